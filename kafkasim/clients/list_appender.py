"""The application thread of an explicit list of records: ``send()`` record by record.

Stands for ``KafkaProducer.send`` and ``RecordAccumulator.append`` taken literally, for lists of
(time, size[, partition]) whose records differ.  Each distinct time is one event.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from kafkasim.clients.accumulator import RecordAccumulator
from kafkasim.clients.appender import FREE, IN_FLUSH, NO_MEMORY, Appender, RefusedRecords
from kafkasim.clients.arrivals import CLOSE, SEND, ListedRecord
from kafkasim.clients.batch_size import record_bytes, upper_bound_bytes
from kafkasim.clients.metadata import Metadata
from kafkasim.clients.partitioner import StickyPartitioner
from kafkasim.clients.producer_batch import UNDECIDED, PartitionQueue, ProducerBatch
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.protocol import MAX_BLOCK_TIMEOUT, MESSAGE_TOO_LARGE


class ListAppender(Appender):
    """Records in order of time; those without a partition go where the sticky partitioner says.

    ``flush()`` blocks the thread until everything sent before is decided; after ``close()`` every batch leaves at once.
    """

    def __init__(
        self, clock: Clock, accumulator: RecordAccumulator, metadata: Metadata, topic: str, max_block_ms: int,
        refused: RefusedRecords, scheduler: Scheduler, wake: Callable[[], None], records: list[ListedRecord],
        sticky_stream: int, partitioner: StickyPartitioner | None, max_request_size: int,
    ) -> None:  # fmt: skip
        super().__init__(clock, accumulator, metadata, topic, max_block_ms, refused)
        self.next_record: int = 0
        self._scheduler = scheduler
        self._wake = wake
        self._records = records
        self._sticky_stream: int = sticky_stream
        self._partitioner = partitioner
        self._by_partition: dict[int, PartitionQueue] = {queue.position: queue for queue in accumulator.queues}
        self._has_buffer: int = 0
        self._flushed: list[ProducerBatch] = []
        self._largest: int = min(max_request_size, accumulator.settings.buffer_memory)
        if records:
            scheduler.call_at(records[0].time_s, self._due, None)

    def _due(self, _: None) -> None:
        now = self._scheduler.now
        self.advance(now)
        position = self.next_record
        records = self._records
        while position < len(records) and records[position].time_s <= now:
            position += 1
        if position < len(records):
            self._scheduler.call_at(records[position].time_s, self._due, None)

    def _timed_out(self, _: None) -> None:
        self.advance(self._scheduler.now)

    def next_event(self, limit: float) -> float:
        return inf

    def append_after(self, time: float) -> float:
        return inf

    def advance(self, now: float) -> None:
        records = self._records
        if self.blocked != FREE and not self._resume(now):
            return
        while self.next_record < len(records):
            record = records[self.next_record]
            if record.time_s > now:
                return
            at = record.time_s if record.time_s > self.accept_from else self.accept_from
            if record.operation != SEND:
                self._operate(record.operation, at)
                if self.blocked != FREE and not self._resume(now):
                    return
            elif self._await_metadata(record.time_s, at):
                self._wake()
                self._scheduler.call_at(max(self.blocked_until, now), self._timed_out, None)
                if not self._resume(now):
                    return
            elif upper_bound_bytes(record.key, record.value) > self._largest:
                self._refuse(record, MESSAGE_TOO_LARGE)
            elif self._append(record, at, self._clock.ms(at)):
                self.next_record += 1
            else:
                self._block(NO_MEMORY, record.time_s, at)
                self._scheduler.call_at(max(self.blocked_until, now), self._timed_out, None)
                if not self._resume(now):
                    return

    def _operate(self, operation: int, at: float) -> None:
        accumulator = self._accumulator
        self.next_record += 1
        if operation == CLOSE:
            accumulator.closing = True
        else:
            accumulator.flushing = True
            for queue in accumulator.queues:
                self._flushed.extend(queue.in_flight)
                self._flushed.extend(queue.batches)
            self._block(IN_FLUSH, at, at)
        self._wake()

    def _resume(self, now: float) -> bool:
        if self.blocked == IN_FLUSH:
            self._flushed = [batch for batch in self._flushed if batch.outcome == UNDECIDED]
            if self._flushed:
                return False
            self._accumulator.flushing = False
            self.blocked = FREE
            self.accept_from = now
            return True
        if self._may_resume(now):
            reason = self.blocked
            base_ms = self.blocked_ms
            self.accept_from = now
            self.blocked = FREE
            if reason == NO_MEMORY:
                self._append(self._records[self.next_record], now, base_ms)
                self.next_record += 1
            return True
        if now < self.blocked_until:
            return False
        self.accept_from = self.blocked_until
        self.blocked = FREE
        self._accumulator.pool.give_up()
        self._refuse(self._records[self.next_record], MAX_BLOCK_TIMEOUT)
        return True

    def _refuse(self, record: ListedRecord, error: int) -> None:
        queue = self._by_partition.get(record.partition)
        stream = self._sticky_stream if queue is None else queue.stream
        if queue is None:
            current = -1 if self._partitioner is None else self._partitioner.current
            queue = self._by_partition.get(current, self._accumulator.queues[0])
        self._refused.refused(queue, stream, record.number, record.time_s, error)
        self.next_record += 1

    def _append(self, record: ListedRecord, at: float, timestamp_ms: int) -> bool:
        """``send()`` at ``at``; False if there is no memory."""
        sticky = record.partition < 0
        partitioner = self._partitioner
        chosen = record.partition
        while True:
            if sticky:
                assert partitioner is not None
                chosen = partitioner.pick()
            queue = self._by_partition[chosen]
            if sticky and self._moved_on(queue):
                continue
            last = queue.batches[-1] if queue.batches else None
            if last is not None:
                if self._fits(last, record, timestamp_ms):
                    size = self._add(last, record, timestamp_ms)
                    self._account(queue, size, sticky)
                    if last.full or len(queue.batches) > 1:
                        self._wake()
                    return True
                last.open = False
                last.full = True
                queue.open = None
            limit = max(self._accumulator.settings.batch_size, upper_bound_bytes(record.key, record.value))
            if self._has_buffer == 0:
                moves = sticky and partitioner is not None and not partitioner.uniform
                if moves and partitioner is not None and self._accumulator.pool.waiting_bytes == 0:
                    partitioner.new_batch()
                    queue = self._by_partition[partitioner.current]
                if not self._accumulator.pool.allocate(limit):
                    return False
                self._has_buffer = limit
            if sticky and self._moved_on(queue):
                continue
            self._has_buffer = 0
            stream = self._sticky_stream if sticky else queue.stream
            batch = ProducerBatch(queue, stream, record.number, record.time_s, timestamp_ms, self._clock.ms(at), limit)
            self._add(batch, record, timestamp_ms)
            queue.open = batch if batch.open else None
            self._accumulator.add_batch(queue, batch)
            self._account(queue, batch.size, sticky)
            self._wake()
            return True

    def _moved_on(self, queue: PartitionQueue) -> bool:
        """The partitioner may leave a partition as soon as its batches are complete."""
        partitioner = self._partitioner
        assert partitioner is not None
        if not partitioner.uniform or (queue.batches and not queue.batches[-1].full):
            return False
        return partitioner.add(0, True)

    def _account(self, queue: PartitionQueue, size: int, sticky: bool) -> None:
        if sticky and self._partitioner is not None and self._partitioner.uniform:
            self._partitioner.add(size, queue.batches[-1].full)

    def _fits(self, batch: ProducerBatch, record: ListedRecord, timestamp_ms: int) -> bool:
        if batch.full or not batch.open:
            return False
        size = record_bytes(timestamp_ms - batch.base_ms, batch.count, record.key, record.value)
        return batch.limit >= batch.size + size

    def _add(self, batch: ProducerBatch, record: ListedRecord, timestamp_ms: int) -> int:
        size = record_bytes(timestamp_ms - batch.base_ms, batch.count, record.key, record.value)
        batch.size += size
        batch.count += 1
        batch.last_time = record.time_s
        batch.lengths.append((timestamp_ms, record.key, record.value, record.time_s))
        if batch.size >= batch.limit:
            batch.full = True
            batch.open = False
            if batch.queue.open is batch:
                batch.queue.open = None
        return size

    def settle(self, batch: ProducerBatch, now: float) -> None:
        return

    def closed(self, queue: PartitionQueue, batch: ProducerBatch, now: float) -> None:
        return

    def split(self, batch: ProducerBatch, batch_size: int) -> list[ProducerBatch]:
        parts: list[ProducerBatch] = []
        part: ProducerBatch | None = None
        for offset, (timestamp_ms, key, value, time_s) in enumerate(batch.lengths):
            record = ListedRecord(time_s, key, value)
            if part is None or not self._fits(part, record, timestamp_ms):
                limit = max(batch_size, upper_bound_bytes(key, value))
                part = ProducerBatch(
                    batch.queue, batch.stream, batch.first + offset, time_s, timestamp_ms, batch.created_ms, limit
                )
                parts.append(part)
            self._add(part, record, timestamp_ms)
        return parts

    def waiting(self, now: float) -> list[tuple[PartitionQueue | None, int, int, int, float, float]]:
        rows: list[tuple[PartitionQueue | None, int, int, int, float, float]] = []
        for record in self._records[self.next_record :]:
            if record.time_s > now:
                break
            if record.operation != SEND:
                continue
            queue = self._by_partition.get(record.partition)
            stream = self._sticky_stream if queue is None else queue.stream
            rows.append((queue, stream, record.number, 1, record.time_s, record.time_s))
        return rows

    def created(self, end_s: float) -> dict[int, int]:
        counts: dict[int, int] = {}
        for record in self._records:
            if record.operation != SEND:
                continue
            queue = self._by_partition.get(record.partition)
            stream = self._sticky_stream if queue is None else queue.stream
            counts[stream] = counts.get(stream, 0) + (1 if record.time_s < end_s else 0)
        return counts

    def oldest_waiting(self, queue: PartitionQueue, now: float) -> float | None:
        for record in self._records[self.next_record :]:
            if record.time_s > now:
                return None
            if record.partition == queue.position:
                return record.time_s
        return None
