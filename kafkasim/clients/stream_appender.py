"""The application thread of a load whose records belong to partitions of their own accord.

Keys, an explicit map, a time window, a cycle: one stream of arrivals a partition, one thread
that sends them all in order of time.
"""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace
from math import inf

from kafkasim.clients.accumulator import RecordAccumulator
from kafkasim.clients.appender import FREE, NO_MEMORY, BulkAppender, RefusedRecords
from kafkasim.clients.arrivals import Arrivals
from kafkasim.clients.batch_size import ConstantSize
from kafkasim.clients.metadata import Metadata
from kafkasim.clients.producer_batch import PartitionQueue, ProducerBatch
from kafkasim.kernel.clock import Clock
from kafkasim.protocol import MAX_BLOCK_TIMEOUT


class StreamAppender(BulkAppender):
    """Loads with one stream a partition: the partition is a property of the load."""

    def __init__(
        self, clock: Clock, accumulator: RecordAccumulator, metadata: Metadata, topic: str, max_block_ms: int,
        refused: RefusedRecords, sizes: ConstantSize, arrivals: list[Arrivals], streams: list[int],
    ) -> None:  # fmt: skip
        super().__init__(clock, accumulator, metadata, topic, max_block_ms, refused, sizes)
        self._arrivals = arrivals
        self._events: list[tuple[float, int, int]] = []
        self._blocked_queue: PartitionQueue | None = None
        for queue in accumulator.queues:
            queue.stream = streams[queue.slot]
            self._plan(queue)

    def arrivals_of(self, queue: PartitionQueue) -> Arrivals:
        return self._arrivals[queue.slot]

    def next_event(self, limit: float) -> float:
        if self.blocked != FREE:
            return self.blocked_until
        events = self._events
        queues = self._accumulator.queues
        while events:
            at, slot, version = events[0]
            queue = queues[slot]
            if version != queue.version:
                heappop(events)
                continue
            if at >= limit:
                return at
            arrivals = self._arrivals[slot]
            known = arrivals.time_until(self._wanted(queue), limit)
            if known > at:
                heapreplace(events, (known, slot, version))
                continue
            batch = queue.open
            if batch is None or batch.close_at >= 0:
                return at
            self._work_out(batch, arrivals, True)
            self._plan(queue)
        return inf

    def _wanted(self, queue: PartitionQueue) -> int:
        """The number of the record whose arrival is the next event of ``queue``."""
        batch = queue.open
        if batch is None:
            return queue.cursor
        if batch.close_at < 0:
            return batch.first + max(self._least_count, batch.count + 1) - 1
        return batch.close_at - 1 if batch.fills_exactly else batch.close_at

    def _plan(self, queue: PartitionQueue) -> None:
        queue.version += 1
        at = self._arrivals[queue.slot].time_bound(self._wanted(queue))
        queue.next_event = at
        if at < inf:
            heappush(self._events, (at, queue.slot, queue.version))

    def advance(self, now: float) -> None:
        if self.blocked != FREE and not self._resume(now):
            return
        events = self._events
        queues = self._accumulator.queues
        while events and events[0][0] <= now:
            _, slot, version = heappop(events)
            queue = queues[slot]
            if version == queue.version:
                self._event(queue, now)
                if self.blocked != FREE and not self._resume(now):
                    return

    def _event(self, queue: PartitionQueue, now: float) -> None:
        arrivals = self._arrivals[queue.slot]
        number = self._wanted(queue)
        if arrivals.count_until(now) <= number:
            self._plan(queue)
            return
        batch = queue.open
        if batch is not None:
            if batch.close_at < 0:
                self._work_out(batch, arrivals, True)
                self._plan(queue)
                return
            self._shut(queue, batch, arrivals)
            queue.cursor = batch.close_at
            if batch.fills_exactly:
                self._plan(queue)
                return
        intended = arrivals.time_of(queue.cursor)
        at = intended if intended > self.accept_from else self.accept_from
        at_ms = self._clock.ms(at)
        if not self._topic_known and self._await_metadata(intended, at):
            self._blocked_queue = queue
        elif self._open(queue, arrivals, queue.stream, queue.cursor, intended, at, at_ms, at_ms):
            arrivals.forget(queue.cursor)
            self._plan(queue)
        else:
            self._blocked_queue = queue
            self._block(NO_MEMORY, intended, at)

    def _resume(self, now: float) -> bool:
        queue = self._blocked_queue
        assert queue is not None
        gave_up = False
        if self._may_resume(now):
            at = now
        elif now >= self.blocked_until:
            # send() gives the record up; the next one begins to wait anew.
            at = self.blocked_until
            self._accumulator.pool.give_up()
            intended = self._arrivals[queue.slot].time_of(queue.cursor)
            self._refused.refused(queue, queue.stream, queue.cursor, intended, MAX_BLOCK_TIMEOUT)
            queue.cursor += 1
            gave_up = True
        else:
            return False
        reason = self.blocked
        at_ms = self._clock.ms(at)
        base_ms = self.blocked_ms if reason == NO_MEMORY else at_ms
        self._resettle()
        self.blocked = FREE
        self.accept_from = at
        self._blocked_queue = None
        if not gave_up:
            arrivals = self._arrivals[queue.slot]
            intended = arrivals.time_of(queue.cursor)
            if not self._open(queue, arrivals, queue.stream, queue.cursor, intended, at, base_ms, at_ms):
                self._blocked_queue = queue
                self._block(NO_MEMORY, intended, at)
        for other in self._accumulator.queues:
            if other.open is not None or other is queue:
                self._plan(other)
        return self.blocked == FREE

    def closed(self, queue: PartitionQueue, batch: ProducerBatch, now: float) -> None:
        queue.cursor = batch.first + batch.count
        if self._blocked_queue is not queue:
            self._plan(queue)

    def append_after(self, time: float) -> float:
        if self.blocked != FREE:
            return self.blocked_until
        nearest = inf
        for queue in self._accumulator.active:
            if len(queue.batches) > 1 and queue.open is not None:
                arrivals = self._arrivals[queue.slot]
                nearest = min(nearest, arrivals.time_bound(arrivals.count_before(time)))
        return nearest

    def waiting(self, now: float) -> list[tuple[PartitionQueue | None, int, int, int, float, float]]:
        rows: list[tuple[PartitionQueue | None, int, int, int, float, float]] = []
        for queue in self._accumulator.queues:
            arrivals = self._arrivals[queue.slot]
            batch = queue.open
            first = queue.cursor
            if batch is not None:
                self.settle(batch, now)
                first = batch.first + batch.count
            count = arrivals.count_until(now) - first
            if count > 0:
                rows.append(
                    (queue, queue.stream, first, count, arrivals.time_of(first), arrivals.time_of(first + count - 1))
                )
        return rows

    def created(self, end_s: float) -> dict[int, int]:
        return {queue.stream: self._arrivals[queue.slot].count_before(end_s) for queue in self._accumulator.queues}

    def oldest_waiting(self, queue: PartitionQueue, now: float) -> float | None:
        arrivals = self._arrivals[queue.slot]
        batch = queue.open
        first = queue.cursor
        if batch is not None:
            if self.blocked == FREE:
                return None  # everything that has arrived is in the open batch, or will be when somebody looks
            self.settle(batch, now)
            first = batch.first + batch.count
        return arrivals.time_of(first) if arrivals.count_until(now) > first else None
