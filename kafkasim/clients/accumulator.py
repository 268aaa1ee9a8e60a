"""Batches by partition: what is ready, what is drained, what is put back.

Stands for ``RecordAccumulator``.  How records get in is the appender's business
(:mod:`kafkasim.clients.appender`); an open batch's content is read off the arrivals when it
is drained.  Walks only partitions that hold batches: idle ones cost nothing.  Left out:
compression, transactions.
"""

from __future__ import annotations

from bisect import insort

from kafkasim.clients.accumulator_settings import (
    AccumulatorSettings,
    ContentReader,
    NodeLatency,
    PartitionLoads,
    ReadyCheck,
)
from kafkasim.clients.buffer_pool import BufferPool
from kafkasim.clients.idempotence import Idempotence
from kafkasim.clients.java_hash import hash_order
from kafkasim.clients.metadata import Metadata
from kafkasim.clients.producer_batch import NO_SEQUENCE, PartitionQueue, ProducerBatch, position_of
from kafkasim.clients.queue_expiry import is_due, next_due_ms
from kafkasim.clients.settings import UNLIMITED, Backoff
from kafkasim.protocol import TopicPartition


class RecordAccumulator:
    """The queues of all partitions of one producer.

    :meth:`ready` leaves its answer in ``check``, and what the partitioner goes by in ``loads``.
    """

    def __init__(
        self,
        settings: AccumulatorSettings,
        partitions: list[TopicPartition],
        metadata: Metadata,
        backoff: Backoff,
        idempotence: Idempotence | None,
    ) -> None:
        self.settings = settings
        self.queues: list[PartitionQueue] = [PartitionQueue(tp, tp.partition) for tp in partitions]
        self.queues.sort(key=position_of)
        for slot, queue in enumerate(self.queues):
            queue.slot = slot
        self.by_index: dict[int, PartitionQueue] = {queue.tp.index: queue for queue in self.queues}
        self.pool = BufferPool(settings.buffer_memory)
        self.active: list[PartitionQueue] = []
        self.closing: bool = False
        self.flushing: bool = False
        self.incomplete: int = 0
        self.expires_ms: int = UNLIMITED
        """No batch reaches its delivery timeout before the clock reads this."""
        self.check = ReadyCheck()
        self.loads = PartitionLoads()
        self.used_queues: int = 0
        self.metadata_changes: int = -1
        """``changes`` of the metadata that leaders and orders were copied from."""
        self._latencies: dict[int, NodeLatency] = {}
        self._metadata = metadata
        self._backoff = backoff
        self._idempotence = idempotence
        self._reader: ContentReader | None = None
        self._node_partitions: dict[int, int] = {}
        self._drain_index: dict[int, int] = {}
        self._common_drain_index: int = 0
        self._in_flight_capacity: int = 16
        self._no_slots: list[int] = []
        self._delivery_timeout_ms: int = settings.delivery_timeout_ms
        self._linger_ms: int = settings.linger_ms
        self._availability_ms: int = settings.availability_timeout_ms

    def attach(self, reader: ContentReader) -> None:
        """The appender that fills the batches."""
        self._reader = reader

    # -- the application thread's side

    def add_batch(self, queue: PartitionQueue, batch: ProducerBatch) -> None:
        """A new batch at the end of its queue."""
        queue.batches.append(batch)
        self.incomplete += 1
        expires_ms = batch.created_ms + self._delivery_timeout_ms
        if expires_ms < self.expires_ms:
            self.expires_ms = expires_ms
        if not queue.active:
            self._activate(queue)

    def _activate(self, queue: PartitionQueue) -> None:
        queue.active = True
        if not queue.used:
            queue.used = True
            self.used_queues += 1
        active = self.active
        if not active or active[-1].position < queue.position:
            active.append(queue)
        else:
            insort(active, queue, key=position_of)

    def _deactivate(self, queue: PartitionQueue) -> None:
        queue.active = False
        self.active.remove(queue)

    # -- ready

    def synchronize(self) -> None:
        """Copy leaders and orders out of the metadata if they have changed."""
        metadata = self._metadata
        if metadata.changes == self.metadata_changes:
            return
        self.metadata_changes = metadata.changes
        self._node_partitions = {}
        by_index = self.by_index
        known = True
        for queue in self.queues:
            queue.leader = metadata.leader(queue.tp)
            queue.leader_epoch = metadata.leader_epoch(queue.tp)
            if queue.leader >= 0 and queue.leader not in self._node_partitions:
                members = metadata.partitions_of(queue.leader)
                self._node_partitions[queue.leader] = len(members)
                for position, tp in enumerate(members):
                    member = by_index.get(tp.index)
                    if member is not None:
                        member.drain_position = position
            known = known and queue.leader >= 0
        self.loads.all_leaders_known = known

    def ready(self, now_ms: int) -> bool:
        """Find the nodes with something to send; True if there is one (or a leader is unknown)."""
        if self._metadata.changes != self.metadata_changes:
            self.synchronize()
        nodes: list[int] = []
        next_check_ms = UNLIMITED
        unknown = False
        settled = True
        linger_ms = self._linger_ms
        lengths: list[tuple[int, int]] = []
        available_ms = self._availability_ms
        excluded = self._no_slots if available_ms <= 0 else []
        for queue in self.active:
            batches = queue.batches
            batch = batches[0]
            leader = queue.leader
            if leader < 0:
                unknown = True
                settled = False
                continue
            length = len(batches)
            if available_ms <= 0 or not self._is_slow(leader, available_ms):
                lengths.append((queue.slot, length))
            else:
                excluded.append(queue.slot)
            attempts = batch.attempts
            if attempts == 0:
                if queue.muted or leader in nodes:
                    continue
                if length > 1 or batch.full:
                    nodes.append(leader)
                    continue
                left_ms = linger_ms - now_ms + batch.last_attempt_ms
                if left_ms <= 0 or self.pool.waiting_bytes > 0 or self.closing or self.flushing:
                    nodes.append(leader)
                elif left_ms < next_check_ms:
                    next_check_ms = left_ms
                continue
            waited_ms = now_ms - batch.last_attempt_ms
            settled = False
            leader_epoch = queue.leader_epoch
            if leader_epoch > batch.leader_epoch:
                batch.leader_epoch = leader_epoch
                batch.attempts_at_leader_change = attempts
            backing_off = waited_ms < self._backoff.draw_ms(attempts - 1)
            if self.settings.skips_backoff and attempts == batch.attempts_at_leader_change:
                backing_off = False
            if queue.muted or leader in nodes:
                continue
            if not backing_off:
                nodes.append(leader)
            else:
                left_ms = self._backoff.draw_ms(attempts - 1) - waited_ms
                next_check_ms = min(next_check_ms, max(left_ms, 0))
        if len(nodes) > 1:
            nodes.sort()
        check = self.check
        check.nodes = nodes
        check.next_check_ms = next_check_ms
        check.unknown_leader = unknown
        check.settled = settled
        loads = self.loads
        loads.lengths = lengths
        loads.excluded = excluded
        loads.queues = self.used_queues
        return unknown or len(nodes) > 0

    def ready_none(self) -> None:
        """What :meth:`ready` finds when no batch waits."""
        self.check = ReadyCheck()
        self.loads.clear(self.used_queues)
        if self._metadata.changes != self.metadata_changes:
            self.synchronize()

    def _is_slow(self, node: int, available_ms: int) -> bool:
        latency = self._latencies.get(node)
        return latency is not None and latency.ready_ms - latency.drain_ms > available_ms

    def note_latency(self, node: int, now_ms: int, drained: bool) -> None:
        """``node`` has data that is ready; ``drained``: and takes it (``partitioner.availability.timeout.ms``)."""
        if self.settings.availability_timeout_ms <= 0:
            return
        latency = self._latencies.get(node)
        if latency is None:
            latency = self._latencies[node] = NodeLatency(now_ms)
        if drained:
            latency.drain_ms = now_ms
        latency.ready_ms = now_ms

    def next_change_ms(self, now_ms: int) -> int:
        """The shortest time until a waiting batch becomes sendable by time alone: for a thread that would spin."""
        least_ms = UNLIMITED
        for queue in self.active:
            batch = queue.batches[0]
            waited_ms = now_ms - batch.last_attempt_ms
            if batch.attempts == 0:
                left_ms = self.settings.linger_ms - waited_ms
            else:
                left_ms = self._backoff.least_ms(batch.attempts - 1) - waited_ms
                if left_ms <= 0 and waited_ms < self._backoff.most_ms(batch.attempts - 1):
                    left_ms = 1  # the next look draws another pause
            if 0 < left_ms < least_ms:
                least_ms = left_ms
        return least_ms

    # -- drain

    def drain(self, node: int, max_bytes: int, now: float, now_ms: int) -> list[ProducerBatch]:
        """Take at most one batch of each partition that ``node`` leads, in a rotating order."""
        drained: list[ProducerBatch] = []
        count = self._node_partitions.get(node, 0)
        if count == 0:
            return drained
        by_node = self.settings.index_by_node
        start = (self._drain_index.get(node, 0) if by_node else self._common_drain_index) % count
        candidates: list[PartitionQueue] = []
        for queue in self.active:
            if queue.leader == node:
                candidates.append(queue)
        if len(candidates) > 1:
            turns: list[tuple[int, PartitionQueue]] = [
                ((queue.drain_position - start) % count, queue) for queue in candidates
            ]
            turns.sort(key=_turn_of)
            candidates = [queue for _, queue in turns]
        stopped = -1
        size = 0
        idempotence = self._idempotence
        reader = self._reader
        assert reader is not None
        for queue in candidates:
            if queue.muted:
                continue
            batches = queue.batches
            batch = batches[0]
            leader_epoch = queue.leader_epoch
            if leader_epoch > batch.leader_epoch:
                batch.leader_epoch = leader_epoch
                batch.attempts_at_leader_change = batch.attempts
            attempts = batch.attempts
            if (
                attempts > 0
                and now_ms - batch.last_attempt_ms < self._backoff.draw_ms(attempts - 1)
                and not (self.settings.skips_backoff and attempts == batch.attempts_at_leader_change)
            ):
                continue
            was_open = batch.open
            if was_open:
                reader.settle(batch, now)
            if (drained and size + batch.size > max_bytes) or (
                idempotence is not None and idempotence.stops_drain(queue, batch)
            ):
                stopped = queue.drain_position
                break
            batches.popleft()
            if not batches:
                self._deactivate(queue)
            if was_open:
                self._close(queue, batch, now)
            if idempotence is not None and batch.base_sequence == NO_SEQUENCE:
                idempotence.assign(queue, batch)
            size += batch.size
            queue.in_flight.append(batch)
            drained.append(batch)
        if by_node:
            self._drain_index[node] = stopped if stopped >= 0 else (start - 1) % count
        else:
            self._common_drain_index = start if stopped < 0 else (stopped + 1) % count
        return drained

    def _close(self, queue: PartitionQueue, batch: ProducerBatch, now: float) -> None:
        batch.open = False
        batch.full = True
        queue.open = None
        assert self._reader is not None
        self._reader.closed(queue, batch, now)

    # -- after the answer

    def reenqueue(self, batch: ProducerBatch, now_ms: int) -> None:
        """Put a batch back that is to be sent again: in sequence order, without idempotence at the front."""
        batch.attempts += 1
        batch.last_attempt_ms = now_ms
        batch.retried = True
        self._insert(batch)

    def _insert(self, batch: ProducerBatch) -> None:
        queue = batch.queue
        batches = queue.batches
        position = 0
        if self._idempotence is not None:
            for other in batches:
                if other.base_sequence == NO_SEQUENCE or other.base_sequence >= batch.base_sequence:
                    break
                position += 1
        batches.insert(position, batch)
        expires_ms = batch.created_ms + self.settings.delivery_timeout_ms
        if expires_ms < self.expires_ms:
            self.expires_ms = expires_ms
        if not queue.active:
            self._activate(queue)

    def split(self, batch: ProducerBatch) -> int:
        """MESSAGE_TOO_LARGE: re-pack and put the parts at the front, as if not tried yet."""
        assert self._reader is not None
        parts = self._reader.split(batch, self.settings.batch_size)
        sequence = batch.base_sequence
        for part in parts:
            part.open = False
            part.full = True
            part.split = True
            if sequence != NO_SEQUENCE:
                part.producer_id = batch.producer_id
                part.producer_epoch = batch.producer_epoch
                part.base_sequence = sequence
                sequence += part.count
        for part in reversed(parts):
            self.incomplete += 1
            if self._idempotence is not None:
                self._idempotence.track(part)
            self._insert(part)
        return len(parts)

    def release(self, batch: ProducerBatch) -> None:
        """The batch is decided (or split): its buffer is free."""
        self.incomplete -= 1
        if not batch.split:
            self.pool.free_bytes += batch.limit

    # -- delivery timeout

    def expires_in_ms(self, now_ms: int) -> int:
        """When (ms from now) the next batch reaches its delivery timeout."""
        if self.settings.queue_expiry_ms > 0:
            self.expires_ms = next_due_ms(self.active, self.settings)
            return self.expires_ms - now_ms
        timeout_ms = self.settings.delivery_timeout_ms
        first_ms = UNLIMITED
        oldest_ms = UNLIMITED
        for queue in self.queues:
            if queue.in_flight:
                first_ms = min(first_ms, queue.in_flight[0].created_ms)
                for batch in queue.in_flight:
                    oldest_ms = min(oldest_ms, batch.created_ms)
            if queue.batches:
                first_ms = min(first_ms, queue.batches[0].created_ms)
                for batch in queue.batches:
                    oldest_ms = min(oldest_ms, batch.created_ms)
                    if batch.attempts == 0 and not batch.split:
                        break  # behind it are newer ones only
        self.expires_ms = oldest_ms + timeout_ms
        return first_ms + timeout_ms - now_ms

    def expired(self, now: float, now_ms: int) -> list[ProducerBatch]:
        """Take out the batches that have reached their delivery timeout: queued ones, then those in flight."""
        old = self.settings.queue_expiry_ms > 0
        latest_ms = now_ms - self.settings.delivery_timeout_ms
        expired: list[ProducerBatch] = []
        for queue in self.active.copy():
            batches = queue.batches
            while batches and (is_due(queue, self.settings, now_ms) if old else batches[0].created_ms <= latest_ms):
                batch = batches.popleft()
                if batch.open:
                    assert self._reader is not None
                    self._reader.settle(batch, now)
                    self._close(queue, batch, now)
                expired.append(batch)
            if not batches:
                self._deactivate(queue)
        if old:
            return expired
        for queue in self.in_flight_queues():
            while queue.in_flight and queue.in_flight[0].created_ms <= latest_ms:
                expired.append(queue.in_flight.pop(0))
        return expired

    def in_flight_queues(self) -> list[PartitionQueue]:
        """Partitions with batches in flight, in the order of Kafka's hash map."""
        queues = [queue for queue in self.queues if queue.in_flight]
        while len(queues) * 4 > self._in_flight_capacity * 3:
            self._in_flight_capacity *= 2
        order = hash_order([queue.hash for queue in queues], self._in_flight_capacity)
        return [queues[position] for position in order]


def _turn_of(candidate: tuple[int, PartitionQueue]) -> int:
    return candidate[0]
