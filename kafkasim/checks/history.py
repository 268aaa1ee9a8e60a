"""What was once true of a partition: who led which epoch, what has been committed.

Stands for the auxiliary variables of the specifications (``inv_true_hwm``, ``inv_consumed`` of ``v3_5_types.tla``): the
simulator knows them, no broker does.
"""

from __future__ import annotations

from bisect import bisect_left

from kafkasim.broker.partition import Partition
from kafkasim.checks.matching import Matching, holds
from kafkasim.checks.truth import Truth
from kafkasim.protocol import RecordBatch


class PartitionHistory:
    """The memory that the invariants of one partition need."""

    def __init__(self, tail: int = 0) -> None:
        self.leaders: dict[int, int] = {}
        """The broker that first led an epoch."""
        self.lives: dict[int, int] = {}
        """How often the process of each broker has been made."""
        self.high_watermarks: dict[int, tuple[tuple[int, int], int]] = {}
        """Epoch and life, and the high watermark last seen in it, of each broker that has led."""
        self.matching = Matching(tail)
        self.powerless = False
        """A replica has lost what it had not flushed."""
        self.unclean = False
        """A replica was elected that was not in the ISR."""
        self._before: Truth | None = None
        self._committed: list[RecordBatch] = []
        self._offsets: list[int] = []
        self._complete: dict[int, int] = {}

    def see(self, truth: Truth) -> None:
        """ZooKeeper's state as it is now."""
        before = self._before
        if before is not None and truth.leader_epoch > before.leader_epoch and truth.leader >= 0:
            self.unclean = self.unclean or truth.leader not in before.isr
        self._before = truth

    def commit(self, batch: RecordBatch) -> str | None:
        """A high watermark has passed ``batch`` for the first time; says if another one was committed there."""
        offset = batch.base_offset
        if not self._offsets or offset > self._offsets[-1]:
            self._committed.append(batch)
            self._offsets.append(offset)
            return None
        at = bisect_left(self._offsets, offset)
        if at < len(self._offsets) and self._offsets[at] == offset:
            if self._committed[at] is batch:
                return None
            self.lose(offset)
            self.commit(batch)
            return f"another batch was committed at offset {offset}"
        self._committed.insert(at, batch)
        self._offsets.insert(at, offset)
        self._complete.clear()
        return None

    def first_missing(self, replica: Partition) -> int | None:
        """The first committed offset that a replica does not hold; None if it has all."""
        committed = self._committed
        at = self._complete.get(replica.broker_id, 0)
        while at < len(committed):
            if not holds(replica.log, committed[at]):
                self._complete[replica.broker_id] = at
                return committed[at].base_offset
            at += 1
        self._complete[replica.broker_id] = at
        return None

    def cut(self, broker_id: int, log_end_offset: int) -> None:
        """A replica has lost what it held from ``log_end_offset`` on."""
        self.matching.cut(broker_id, log_end_offset)
        known = self._complete.get(broker_id, 0)
        self._complete[broker_id] = min(known, bisect_left(self._offsets, log_end_offset))

    def lose(self, offset: int) -> None:
        """What was committed from ``offset`` on is gone, and somebody has said so: it is not asked for again."""
        at = bisect_left(self._offsets, offset)
        del self._committed[at:]
        del self._offsets[at:]
        for broker_id, known in self._complete.items():
            self._complete[broker_id] = min(known, at)

    def forget(self, broker_id: int) -> None:
        """A replica was deleted."""
        self.matching.forget(broker_id)
        self._complete.pop(broker_id, None)
        self.high_watermarks.pop(broker_id, None)
