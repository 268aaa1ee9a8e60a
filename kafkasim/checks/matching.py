"""How far the logs of two replicas agree, remembered, so that each batch is compared once.

Replicas share the object of a batch that they both hold, so two logs agree on a batch when it is the same object.
"""

from __future__ import annotations

from kafkasim.broker.log import PartitionLog
from kafkasim.broker.partition import Partition
from kafkasim.protocol import RecordBatch


class Matching:
    """The common prefixes of one partition's replicas.

    ``tail``: compare no more than so many batches below the offset asked for (0: all; what is trimmed agrees).
    """

    def __init__(self, tail: int = 0) -> None:
        self._agreed: dict[tuple[int, int], int] = {}
        self._tail = tail

    def cut(self, broker_id: int, log_end_offset: int) -> None:
        """A replica has lost what it held from ``log_end_offset`` on."""
        for pair, offset in self._agreed.items():
            if broker_id in pair and offset > log_end_offset:
                self._agreed[pair] = log_end_offset

    def forget(self, broker_id: int) -> None:
        """A replica was deleted."""
        for pair in [pair for pair in self._agreed if broker_id in pair]:
            del self._agreed[pair]

    def agreed(self, one: Partition, other: Partition, upto: int) -> int:
        """The offset (at most ``upto``) below which both hold the same batches; a shorter log agrees to its end."""
        pair = (one.broker_id, other.broker_id) if one.broker_id < other.broker_id else (other.broker_id, one.broker_id)
        if self._tail:  # nobody tells of what is cut between two looks: nothing is remembered
            return _agree(one.log, other.log, 0, upto, self._tail)
        known = self._agreed.get(pair, 0)
        if known >= upto:
            return upto
        reached = _agree(one.log, other.log, known, upto, 0)
        self._agreed[pair] = reached
        return reached if reached < upto else upto


def _agree(one: PartitionLog, other: PartitionLog, known: int, upto: int, tail: int) -> int:
    end = min(one.log_end_offset, other.log_end_offset, upto)
    start = max(known, _same_below(one), _same_below(other))
    if start >= end:
        return max(known, min(start, end))
    i, j = one.index_of(start), other.index_of(start)
    if tail:
        skip = one.index_of(end) - tail - i
        if skip > 0:
            start = one.batches[i + skip].base_offset
            i, j = i + skip, other.index_of(start)
    mine, theirs = one.batches, other.batches
    reached = start
    while i < len(mine) and j < len(theirs) and reached < end:
        if mine[i] is not theirs[j]:
            return reached
        reached = mine[i].base_offset + mine[i].count
        i += 1
        j += 1
    return reached


def _same_below(log: PartitionLog) -> int:
    """Nobody compares what has been folded away, deleted by retention or cleaned."""
    return max(log.trimmed_offset, log.log_start_offset, log.cleaned_offset)


def holds(log: PartitionLog, batch: RecordBatch) -> bool:
    """Whether a log holds a batch, or has held it."""
    if batch.base_offset >= log.log_end_offset:
        return False
    return batch.base_offset < _same_below(log) or log.batches[log.index_of(batch.base_offset)] is batch
