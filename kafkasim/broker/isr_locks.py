"""The write lock of a partition whose leader writes its ISR into ZooKeeper (releases before 2.7).

Stands for ``leaderIsrUpdateLock`` as far as somebody waits under it for ZooKeeper.  Who wants to append to the
partition, or to fetch from it, waits for the lock and keeps its handler thread; so does the follower's fetch that
makes the ISR grow.  When ZooKeeper cannot be reached that is for as long as this lasts.

Approximations: a request waits before its first partition, not in the middle; a parked fetch whose partition is
locked is looked at again when the lock is free, and holds no thread; the broker's own appends wait without a thread.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from kafkasim.broker.partition import Partition
from kafkasim.protocol import FetchRequestData, ProduceRequestData, RecordBatch, Request


class HeldAppend:
    """An append by the broker itself that waits for the lock."""

    def __init__(self, batch: RecordBatch, number: int, timeout_s: float, acks_all: bool) -> None:
        self.batch = batch
        self.number: int = number
        self.timeout_s: float = timeout_s
        self.acks_all: bool = acks_all


class IsrGrowth:
    """A follower that a fetch has found to belong into the ISR."""

    def __init__(self, partition: Partition, broker_id: int, cause: int) -> None:
        self.partition = partition
        self.broker_id: int = broker_id
        self.cause: int = cause


@mypyc_attr(allow_interpreted_subclasses=True)
class IsrLocks:
    """The locks of one broker process.

    ``held`` counts the locked partitions; ``wanted`` are the changes that the fetch at work has to make before it
    is answered, ``overdue`` the parked fetches whose time is over.  ``reads_too``: consumers' fetches take the
    lock as well (2.1 and later).
    """

    def __init__(self, reads_too: bool) -> None:
        self.held: int = 0
        self.reads_too: bool = reads_too
        self.wanted: list[IsrGrowth] = []
        self.overdue: list[Request] = []
        self._locked: dict[int, list[Request]] = {}
        self._appends: dict[int, list[HeldAppend]] = {}

    def lock(self, partition: Partition) -> None:
        """ZooKeeper is being asked."""
        self.held += 1
        partition.isr_locked = True
        self._locked[partition.tp.index] = []

    def is_locked(self, partition: Partition) -> bool:
        """Whether somebody holds the lock of this partition."""
        return partition.tp.index in self._locked

    def unlock(self, partition: Partition) -> list[Request]:
        """The lock is free; returns the requests whose handlers wait for it."""
        self.held -= 1
        partition.isr_locked = False
        return self._locked.pop(partition.tp.index)

    def blocks_produce(self, request: Request, data: ProduceRequestData) -> bool:
        """Whether a produce has to wait; it is noted then."""
        for item in data.partitions:
            waiting = self._locked.get(item.tp.index)
            if waiting is not None:
                waiting.append(request)
                return True
        return False

    def blocks_fetch(self, request: Request, data: FetchRequestData) -> bool:
        """Whether a fetch has to wait: it looks at every partition of its session; it is noted then."""
        if data.replica_id < 0 and not self.reads_too:
            return False
        for index in self._locked:
            if index in data.session:
                self._locked[index].append(request)
                return True
        return False

    def blocks_change(self, request: Request, indexes: list[int]) -> bool:
        """Whether a LeaderAndIsr for these partitions has to wait; it is noted then."""
        for index in indexes:
            waiting = self._locked.get(index)
            if waiting is not None:
                waiting.append(request)
                return True
        return False

    def touches(self, data: FetchRequestData) -> bool:
        """Whether a parked fetch cannot be looked at now."""
        if data.replica_id < 0 and not self.reads_too:
            return False
        for index in self._locked:  # noqa: SIM110  (a generator is no friend of the compiler)
            if index in data.session:
                return True
        return False

    def hold(self, partition: Partition, append: HeldAppend) -> None:
        """An append by the broker itself waits."""
        self._appends.setdefault(partition.tp.index, []).append(append)

    def appends(self, partition: Partition) -> list[HeldAppend]:
        """The appends by the broker itself that may be made now."""
        return self._appends.pop(partition.tp.index, [])

    def clear(self) -> None:
        """The process has died."""
        self.held = 0
        self.wanted.clear()
        self.overdue.clear()
        self._locked.clear()
        self._appends.clear()
