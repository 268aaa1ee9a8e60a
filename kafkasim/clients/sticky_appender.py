"""The application thread of a load without keys: one stream, the partition is chosen while appending.

Stands for ``RecordAccumulator.append`` with the built-in partitioner (3.3+), and for the
``onNewBatch`` dance of ``KafkaProducer`` with the sticky partitioner of KIP-480 (2.4 to 3.2).
With one application thread and one topic the partition that is left never holds a batch
that could take another record, so every batch is a contiguous range of the stream.
"""

from __future__ import annotations

from math import inf

from kafkasim.clients.accumulator import RecordAccumulator
from kafkasim.clients.appender import FREE, NO_MEMORY, BulkAppender, RefusedRecords
from kafkasim.clients.arrivals import Arrivals
from kafkasim.clients.batch_size import ConstantSize
from kafkasim.clients.metadata import Metadata
from kafkasim.clients.partitioner import StickyPartitioner
from kafkasim.clients.producer_batch import PartitionQueue, ProducerBatch
from kafkasim.kernel.clock import Clock
from kafkasim.protocol import MAX_BLOCK_TIMEOUT


class StickyAppender(BulkAppender):
    """One stream for the whole instance; ``cursor`` is the first record that no batch was closed over."""

    def __init__(
        self, clock: Clock, accumulator: RecordAccumulator, metadata: Metadata, topic: str, max_block_ms: int,
        refused: RefusedRecords, sizes: ConstantSize, arrivals: Arrivals, stream: int, partitioner: StickyPartitioner,
    ) -> None:  # fmt: skip
        super().__init__(clock, accumulator, metadata, topic, max_block_ms, refused, sizes)
        self.cursor: int = 0
        self._arrivals = arrivals
        self._stream: int = stream
        self._batch_size: int = accumulator.settings.batch_size
        self._partitioner = partitioner
        self._by_partition: dict[int, PartitionQueue] = {queue.position: queue for queue in accumulator.queues}
        self._open_batch: ProducerBatch | None = None
        self._produced_before: int = 0
        self._uniform: bool = partitioner.uniform
        self._one_bytes: int = sizes.quick_bytes(1)
        self._next: float = arrivals.time_bound(0)
        self._exact: bool = arrivals.exact
        """Whether ``_next`` is the very moment, not a bound."""

    def arrivals_of(self, queue: PartitionQueue) -> Arrivals:
        return self._arrivals

    def next_event(self, limit: float) -> float:
        if self.blocked != FREE:
            return self.blocked_until
        while self._next < limit:
            if not self._exact:
                known = self._arrivals.time_until(self._wanted(), limit)
                if known > self._next:
                    self._next = known
                    continue
                self._exact = True
            batch = self._open_batch
            if batch is None or batch.close_at >= 0:
                break
            self._work_out(batch, self._arrivals, True)
            self._plan()
        return self._next

    def _wanted(self) -> int:
        batch = self._open_batch
        if batch is None:
            return self.cursor
        if batch.close_at < 0:
            return batch.first + max(self._least_count, batch.count + 1) - 1
        return batch.close_at - 1 if batch.fills_exactly else batch.close_at

    def _plan(self) -> None:
        arrivals = self._arrivals
        self._next = arrivals.time_bound(self._wanted())
        self._exact = arrivals.exact

    def advance(self, now: float) -> None:
        if self.blocked != FREE and not self._resume(now):
            return
        while self._next <= now:
            self._event(now)
            if self.blocked != FREE and not self._resume(now):
                return

    def _event(self, now: float) -> None:
        arrivals = self._arrivals
        if not self._exact and arrivals.count_until(now) <= self._wanted():
            self._plan()
            return
        batch = self._open_batch
        if batch is not None:
            if batch.close_at < 0:
                self._work_out(batch, arrivals, True)
                self._plan()
                return
            self._shut(batch.queue, batch, arrivals)
            self._leave(batch)
            if batch.fills_exactly:
                # The record that fills a batch completes it: the partitioner may move on at once.
                if self._uniform:
                    self._partitioner.add(0, True)
                self._plan()
                return
        intended = arrivals.time_of(self.cursor)
        at = intended if intended > self.accept_from else self.accept_from
        if not self._topic_known and self._await_metadata(intended, at):
            return
        if batch is None and self._partitioner.current >= 0 and self._uniform:
            self._partitioner.add(0, True)  # a complete partition is left before memory is asked for
        at_ms = self._clock.ms(at)
        if not self._begin(intended, at, at_ms, at_ms):
            self._block(NO_MEMORY, intended, at)

    def _leave(self, batch: ProducerBatch) -> None:
        """The open batch has been closed: its bytes count for the partitioner."""
        self.cursor = batch.first + batch.count
        self._partitioner.produced_bytes = self._produced_before + batch.size
        self._open_batch = None

    def _begin(self, intended: float, at: float, base_ms: int, at_ms: int) -> bool:
        """Open a batch with the record at the cursor; False if there is no memory."""
        partitioner = self._partitioner
        pool = self._accumulator.pool
        if partitioner.current < 0:
            partitioner.pick()
        if self._uniform:
            # The memory is found before the partition is looked at again.
            if pool.free_bytes < self._sizes.limit:
                pool.allocate(self._sizes.limit)
                return False
            if partitioner.produced_bytes >= self._batch_size:  # else add() would change nothing
                partitioner.add(0, True)
        elif pool.waiting_bytes == 0:
            partitioner.new_batch()
        queue = self._by_partition[partitioner.current]
        left = queue.open
        if left is not None:
            self._shut(queue, left, self._arrivals)
        if not self._open(queue, self._arrivals, self._stream, self.cursor, intended, at, base_ms, at_ms):
            return False
        self._arrivals.forget(self.cursor)
        batch = queue.open
        assert batch is not None
        produced_bytes = partitioner.produced_bytes
        self._produced_before = produced_bytes
        self._open_batch = batch
        size = self._one_bytes
        if self._uniform and size < batch.limit and produced_bytes + size >= 2 * self._batch_size:
            # A record of twice batch.size moves the choice on although its batch is not full to the last byte.
            self._work_out(batch, self._arrivals, True)
            self._open_batch = None
            self.cursor += 1
            partitioner.add(size, False)
            self._plan()
        elif batch.close_at >= 0:  # _plan, in line: the batch's content is known already
            arrivals = self._arrivals
            self._next = arrivals.time_bound(batch.close_at - 1 if batch.fills_exactly else batch.close_at)
            self._exact = arrivals.exact
        else:
            self._plan()
        return True

    def _resume(self, now: float) -> bool:
        gave_up = False
        if self._may_resume(now):
            at = now
        elif now >= self.blocked_until:
            at = self.blocked_until
            self._accumulator.pool.give_up()
            partition = self._partitioner.current
            queue = self._by_partition[partition] if partition >= 0 else self._accumulator.queues[0]
            intended = self._arrivals.time_of(self.cursor)
            self._refused.refused(queue, self._stream, self.cursor, intended, MAX_BLOCK_TIMEOUT)
            self.cursor += 1
            gave_up = True
        else:
            return False
        at_ms = self._clock.ms(at)
        base_ms = self.blocked_ms if self.blocked == NO_MEMORY else at_ms
        self.blocked = FREE
        self.accept_from = at
        if gave_up:
            self._plan()
            return True
        intended = self._arrivals.time_of(self.cursor)
        if not self._begin(intended, at, base_ms, at_ms):
            self._block(NO_MEMORY, intended, at)
            return False
        return True

    def closed(self, queue: PartitionQueue, batch: ProducerBatch, now: float) -> None:
        if batch is self._open_batch:
            self._leave(batch)
            if self.blocked == FREE:
                self._plan()

    def append_after(self, time: float) -> float:
        if self.blocked != FREE:
            return self.blocked_until
        batch = self._open_batch
        if batch is None or len(batch.queue.batches) < 2:
            return inf
        return self._arrivals.time_bound(self._arrivals.count_before(time))

    def waiting(self, now: float) -> list[tuple[PartitionQueue | None, int, int, int, float, float]]:
        first = self.cursor
        batch = self._open_batch
        if batch is not None:
            self.settle(batch, now)
            first = batch.first + batch.count
        arrivals = self._arrivals
        count = arrivals.count_until(now) - first
        if count <= 0:
            return []
        return [(None, self._stream, first, count, arrivals.time_of(first), arrivals.time_of(first + count - 1))]

    def created(self, end_s: float) -> dict[int, int]:
        return {self._stream: self._arrivals.count_before(end_s)}

    def oldest_waiting(self, queue: PartitionQueue, now: float) -> float | None:
        return None
