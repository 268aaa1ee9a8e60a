"""Produces (acks=all) that wait for the high watermark, and the moves of the high watermark that release them.

Stands for ``DelayedProduce`` and ``Partition.tryCompleteDelayedRequests``.  The thread that causes a completion
pays for it: a follower fetch's handler answers the consumers and produces that its high watermark releases
before the follower itself.
"""

from __future__ import annotations

from kafkasim.broker.delayed_fetch import DelayedFetches
from kafkasim.broker.partition import InternalAppend, InternalWaiting, Partition
from kafkasim.broker.purgatory import Purgatory
from kafkasim.broker.replica_costs import PRODUCE_RESPONSE_BASE_BYTES, PRODUCE_RESPONSE_PARTITION_BYTES
from kafkasim.broker.replicas import Replicas
from kafkasim.hosts.life import Life
from kafkasim.protocol import (
    NONE,
    NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    NOT_LEADER_OR_FOLLOWER,
    REQUEST_TIMED_OUT,
    ProducePartition,
    Request,
)


class DelayedProduces:
    """The produce purgatories of one broker process: clients' requests, and the broker's own appends."""

    def __init__(self, replicas: Replicas, fetches: DelayedFetches, life: Life | None = None) -> None:
        self.purgatory = Purgatory(replicas.scheduler, self._expire_produce, life)
        self.internal_purgatory = Purgatory(replicas.scheduler, self._expire_internal, life)
        self._replicas = replicas
        self._fetches = fetches

    def advance(self, partition: Partition, now: float) -> None:
        """Let the high watermark move and release what waited for it."""
        old = partition.high_watermark
        replicas = self._replicas
        live = replicas.live if replicas.filters_dead_replicas else None
        if not partition.advance(now, replicas.lag_time_max_s, live):
            return
        self._note_commits(partition, old, now)
        high_watermark = partition.high_watermark
        # Consumers first, then produces (DelayedOperations: fetch, then produce).
        self._fetches.wake_consumers(partition, now)
        waiting = partition.waiting
        if waiting and waiting[0].required_offset <= high_watermark:
            minimum = partition.effective_min_isr
            error = NONE
            if len(partition.in_sync_replicas) < minimum and partition.maximal_isr_size() < minimum:
                error = NOT_ENOUGH_REPLICAS_AFTER_APPEND
            while waiting and waiting[0].required_offset <= high_watermark:
                waiter = waiting.popleft()
                if isinstance(waiter, ProducePartition):
                    self._resolve(waiter, error, now)
                elif isinstance(waiter, InternalWaiting):
                    self._resolve_internal(waiter, error, now)

    def _note_commits(self, partition: Partition, old: int, now: float) -> None:
        log = partition.log
        if old < log.trimmed_offset:
            old = log.trimmed_offset
        batches = log.batches
        end = len(batches)
        # Mostly it passes the last batch: no need to search.
        index = end - 1 if end > 0 and old >= batches[-1].base_offset else log.index_of(old)
        high_watermark = partition.high_watermark
        told = not partition.internal
        replicas = self._replicas
        monitor = replicas.monitor
        while index < end:
            batch = batches[index]
            if batch.base_offset >= high_watermark:
                break
            if not batch.committed:
                batch.committed = True
                if told:
                    monitor.committed(replicas.broker_id, partition, batch, now)
            index += 1

    def _resolve_internal(self, waiting: InternalWaiting, error: int, now: float) -> None:
        number = waiting.number
        if number >= 0:
            waiting.number = -1
            self._replicas.listener.internal_done(number, error, now)

    def _resolve(self, item: ProducePartition, error: int, now: float) -> None:
        request = item.request
        if request is None:
            return
        item.request = None  # it waits no more, and no cycle of objects is left behind
        data = request.produce
        if data is None or data.waiting <= 0:
            return
        item.acknowledged = True
        if error != NONE:
            item.error = error
        data.waiting -= 1
        if data.waiting == 0:
            replicas = self._replicas
            ready = replicas.ready_at
            if ready < now:
                ready = now
            ready += replicas.costs.completion_s
            replicas.ready_at = ready
            self.answer(request, data.partitions, ready)

    def _expire_produce(self, request: Request) -> None:
        now = self._replicas.scheduler.now
        data = request.produce
        if data is None or data.waiting <= 0:
            return
        data.waiting = 0
        for item in data.partitions:
            if item.error == NONE and not item.acknowledged and item.required_offset > 0:
                partition = self._replicas.partitions.get(item.tp.index)
                if partition is None or partition.high_watermark < item.required_offset:
                    item.error = REQUEST_TIMED_OUT
        self.answer(request, data.partitions, now)

    def _expire_internal(self, parked: InternalAppend) -> None:
        self._resolve_internal(parked.waiting, REQUEST_TIMED_OUT, self._replicas.scheduler.now)

    def answer(self, request: Request, items: list[ProducePartition], at: float) -> None:
        """Send the answer at ``at``."""
        request.parked_until = 0.0
        request.response_bytes = PRODUCE_RESPONSE_BASE_BYTES + PRODUCE_RESPONSE_PARTITION_BYTES * len(items)
        throttle = self._replicas.throttle
        if throttle is not None:
            throttle.produce(request, request.size_bytes, request.expects_response, at)
        if self._replicas.server is not None:
            self._replicas.server.respond(request, at)

    def fail_waiting(self, partition: Partition, now: float) -> None:
        """The partition is not led here any more: whatever waits for it is refused."""
        waiting = partition.waiting
        while waiting:
            entry = waiting.popleft()
            if isinstance(entry, InternalWaiting):
                self._resolve_internal(entry, NOT_LEADER_OR_FOLLOWER, now)
            elif isinstance(entry, ProducePartition):
                if self._replicas.hints:
                    entry.leader_hint, entry.leader_epoch_hint = self._replicas.listener.hint(partition.tp)
                self._resolve(entry, NOT_LEADER_OR_FOLLOWER, now)
        self._fetches.wake_all(partition, now)
