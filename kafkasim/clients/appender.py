"""The application thread: how arrivals get into the accumulator's batches.

Stands for ``KafkaProducer.send`` and ``RecordAccumulator.append`` with one application
thread.  Records are never touched one by one: an open batch knows the number of the first
record that will not fit, and only what wakes the I/O thread (a new batch, a full one) is an
event, processed when :meth:`Appender.advance` is called.  The thread blocks while metadata or
memory are missing; records intended meanwhile are accepted when it goes on.
"""

from __future__ import annotations

from math import inf
from typing import Final

from kafkasim.clients.accumulator import RecordAccumulator
from kafkasim.clients.accumulator_settings import ContentReader
from kafkasim.clients.arrivals import Arrivals
from kafkasim.clients.batch_size import ConstantSize
from kafkasim.clients.metadata import Metadata
from kafkasim.clients.producer_batch import PartitionQueue, ProducerBatch
from kafkasim.kernel.clock import Clock

FREE: Final = 0
NO_METADATA: Final = 1
NO_MEMORY: Final = 2
IN_FLUSH: Final = 3

_TICK_S: Final = 1e-9
"""The clock's own tolerance: it reads a millisecond up to this much early."""
_SHORT_MS: Final = 64
_MEDIUM_MS: Final = 8192
_ANY: Final = 1 << 60


class RefusedRecords:
    """Told of records that ``send()`` gave up on."""

    def refused(self, queue: PartitionQueue, stream: int, number: int, intended: float, error: int) -> None:
        """``max.block.ms`` has passed (MAX_BLOCK_TIMEOUT), or the record is too large (MESSAGE_TOO_LARGE)."""
        raise NotImplementedError


class Appender(ContentReader):
    """What all kinds of loads share: the thread that may be blocked.

    ``accept_from``: nothing is accepted before this moment.  ``blocked_record_s`` is the intended time of
    the record that the blocked thread holds.
    """

    def __init__(
        self, clock: Clock, accumulator: RecordAccumulator, metadata: Metadata, topic: str, max_block_ms: int,
        refused: RefusedRecords,
    ) -> None:  # fmt: skip
        self.blocked: int = FREE
        self.blocked_record_s: float = 0.0
        self.blocked_until: float = inf
        self.blocked_ms: int = 0
        self.accept_from: float = 0.0
        self._clock = clock
        self._accumulator = accumulator
        self._metadata = metadata
        self._topic = topic
        self._max_block_s: float = max_block_ms / 1000.0
        self._refused = refused
        self._topic_known: bool = False
        self._metadata_version: int = -1
        accumulator.attach(self)

    def advance(self, now: float) -> None:
        """Do what the application thread does up to ``now``."""
        raise NotImplementedError

    def next_event(self, limit: float) -> float:
        """When the application thread next wakes the I/O thread, if before ``limit`` (else some time not before it)."""
        raise NotImplementedError

    def waiting(self, now: float) -> list[tuple[PartitionQueue | None, int, int, int, float, float]]:
        """Records intended by ``now`` that no batch holds: (queue, stream, first, count, first time, last time)."""
        raise NotImplementedError

    def created(self, end_s: float) -> dict[int, int]:
        """Records intended before ``end_s``, by the ledger's stream."""
        raise NotImplementedError

    def oldest_waiting(self, queue: PartitionQueue, now: float) -> float | None:
        """Intended time of the oldest record of ``queue`` that no batch holds at ``now``."""
        raise NotImplementedError

    def append_after(self, time: float) -> float:
        """When a record is next appended to a queue of several batches at or after ``time`` (this wakes, too)."""
        raise NotImplementedError

    def _await_metadata(self, intended: float, at: float) -> bool:
        """Before the send of a record at ``at``: True if the topic is not known and the thread must wait."""
        if self._topic_known:
            return False
        metadata = self._metadata
        if metadata.knows(self._topic):
            self._topic_known = True
            return False
        metadata.add_topic(self._topic)
        metadata.request_update_for_topic(self._topic)
        self._metadata_version = metadata.version
        self._block(NO_METADATA, intended, at)
        return True

    def _block(self, reason: int, intended: float, at: float) -> None:
        self.blocked = reason
        self.blocked_record_s = intended
        self.blocked_ms = self._clock.ms(at)
        self.blocked_until = at + self._max_block_s

    def _may_resume(self, now: float) -> bool:
        if self.blocked == NO_METADATA:
            metadata = self._metadata
            if metadata.knows(self._topic):
                self._topic_known = True
                return True
            if metadata.version != self._metadata_version and now < self.blocked_until:
                metadata.request_update_for_topic(self._topic)
                self._metadata_version = metadata.version
            return False
        pool = self._accumulator.pool
        return pool.free_bytes >= pool.waiting_bytes


class BulkAppender(Appender):
    """Loads whose records are all alike: batches by arithmetic."""

    def __init__(
        self, clock: Clock, accumulator: RecordAccumulator, metadata: Metadata, topic: str, max_block_ms: int,
        refused: RefusedRecords, sizes: ConstantSize,
    ) -> None:  # fmt: skip
        super().__init__(clock, accumulator, metadata, topic, max_block_ms, refused)
        self._sizes = sizes
        self._least_count: int = sizes.fill(0, sizes.overhead, sizes.limit, 1, 1, _ANY)[0]
        self._most_count: int = sizes.fill(0, sizes.overhead, sizes.limit, _ANY, _ANY, _ANY)[0]

    def arrivals_of(self, queue: PartitionQueue) -> Arrivals:
        """The stream that feeds ``queue``."""
        raise NotImplementedError

    def _open(
        self, queue: PartitionQueue, arrivals: Arrivals, stream: int, number: int, intended: float, at: float,
        base_ms: int, at_ms: int,
    ) -> bool:  # fmt: skip
        """Begin a batch with record ``number`` at ``at`` (``at_ms`` on the clock); False if there is no memory."""
        sizes = self._sizes
        accumulator = self._accumulator
        if not accumulator.pool.allocate(sizes.limit):
            return False
        batch = ProducerBatch(queue, stream, number, intended, base_ms, at_ms, sizes.limit)
        batch.size = sizes.overhead
        batch.short_until = (base_ms + _SHORT_MS - self._clock.offset_ms) / 1000.0 - _TICK_S  # Clock.time_of
        batch.quick = at == intended and sizes.quick_count > 0
        queue.open = batch
        accumulator.add_batch(queue, batch)
        if batch.quick:
            self._work_out(batch, arrivals, False)
        return True

    def _work_out(self, batch: ProducerBatch, arrivals: Arrivals, exactly: bool) -> None:
        """Find the first record that will not fit; without ``exactly`` only if that is simple."""
        sizes = self._sizes
        if batch.quick and batch.count == 0:
            last = batch.first + sizes.quick_count - 1
            if last == batch.first or arrivals.count_before_capped(batch.short_until, last + 1) > last:
                batch.close_at = last + 1
                batch.fills_exactly = sizes.quick_full
                return
        if exactly:
            short, medium = self._thresholds(batch, arrivals, batch.first + self._most_count)
            count, size = sizes.fill(batch.count, batch.size, batch.limit, short, medium, _ANY)
            batch.close_at = batch.first + count
            batch.fills_exactly = size >= batch.limit

    def _thresholds(self, batch: ProducerBatch, arrivals: Arrivals, until: int) -> tuple[int, int]:
        """How many records have timestamps less than 64 and 8192 ms behind the first."""
        first = batch.first
        short_until = batch.short_until
        medium_until = self._clock.time_of(batch.base_ms + _MEDIUM_MS) - _TICK_S
        floor = -inf if batch.quick else self.accept_from
        short = arrivals.count_before_capped(short_until, until) - first if floor < short_until else batch.count
        medium = arrivals.count_before_capped(medium_until, until) - first if floor < medium_until else batch.count
        return short, medium

    def settle(self, batch: ProducerBatch, now: float) -> None:
        arrivals = self.arrivals_of(batch.queue)
        if self.blocked != FREE and now > self.blocked_record_s:
            now = self.blocked_record_s  # the thread sends in order of intended time
        count = arrivals.count_until(now)
        if 0 <= batch.close_at < count:
            count = batch.close_at
        self._measure(batch, arrivals, count - batch.first)

    def _measure(self, batch: ProducerBatch, arrivals: Arrivals, count: int) -> None:
        if count < 1:
            count = 1  # the first record is in whatever its intended time: a blocked thread has appended it late
        if count <= batch.count:
            return
        last_time = arrivals.time_of(batch.first + count - 1)
        batch.last_time = last_time
        sizes = self._sizes
        if batch.quick and last_time < batch.short_until and count <= sizes.quick_count:
            batch.size = sizes.quick_size if count == sizes.quick_count else sizes.quick_bytes(count)
            batch.count = count
            return
        short, medium = self._thresholds(batch, arrivals, batch.first + count)
        batch.count, batch.size = sizes.fill(batch.count, batch.size, _ANY, short, medium, count)

    def _shut(self, queue: PartitionQueue, batch: ProducerBatch, arrivals: Arrivals) -> None:
        """The open batch is full."""
        self._measure(batch, arrivals, batch.close_at - batch.first)
        batch.open = False
        batch.full = True
        queue.open = None

    def _resettle(self) -> None:
        """The thread goes on after a pause: what open batches held is settled, the rest comes later than intended."""
        for queue in self._accumulator.queues:
            batch = queue.open
            if batch is not None:
                self.settle(batch, self.blocked_record_s)
                batch.quick = False
                batch.close_at = -1

    def split(self, batch: ProducerBatch, batch_size: int) -> list[ProducerBatch]:
        """Parts of equal records; times in between are interpolated, timestamps taken as within 64 ms."""
        sizes = ConstantSize(self._sizes.key, self._sizes.value, batch_size, self._sizes.messages)
        overhead = sizes.overhead
        each = max(sizes.fill(0, overhead, sizes.limit, _ANY, _ANY, _ANY)[0], 1)
        parts: list[ProducerBatch] = []
        spacing = (batch.last_time - batch.first_time) / max(batch.count - 1, 1)
        done = 0
        while done < batch.count:
            count = min(each, batch.count - done)
            first_time = batch.first_time + done * spacing
            part = ProducerBatch(
                batch.queue, batch.stream, batch.first + done, first_time, batch.base_ms, batch.created_ms, sizes.limit
            )
            part.count, part.size = sizes.fill(0, overhead, _ANY, _ANY, _ANY, count)
            part.last_time = batch.first_time + (done + count - 1) * spacing
            parts.append(part)
            done += count
        return parts
