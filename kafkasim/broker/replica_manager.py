"""Produce and fetch at one broker: append, replicate, commit, answer.

Stands for ``ReplicaManager``.  The thread that causes a completion pays for it: a produce's handler answers the
followers' parked fetches after its own answer, a follower fetch's handler answers the produces and consumers that
its high watermark releases before the follower itself.  What waits is in :mod:`kafkasim.broker.delayed_produce`
and :mod:`kafkasim.broker.delayed_fetch`.

Left out: transactions.
"""

from __future__ import annotations

from math import inf
from typing import Final

from kafkasim.broker.append_gate import AppendGate
from kafkasim.broker.delayed_fetch import DelayedFetches
from kafkasim.broker.delayed_produce import DelayedProduces
from kafkasim.broker.flushing import flushed_inside
from kafkasim.broker.isr_locks import HeldAppend, IsrLocks
from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.partition import (
    LEADER,
    NO_ROLE,
    FollowerState,
    InternalAppend,
    InternalWaiting,
    Partition,
)
from kafkasim.broker.replica_costs import ReplicaCosts
from kafkasim.broker.replica_listener import ReplicaListener
from kafkasim.broker.replicas import Replicas
from kafkasim.broker.sessions import EVICTED, FetchSession, FetchSessionCache
from kafkasim.broker.socket_server import SocketServer
from kafkasim.connection import Connection
from kafkasim.hosts.life import Life
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.protocol import (
    DUPLICATE_SEQUENCE_NUMBER,
    KAFKA_STORAGE_ERROR,
    MESSAGE_TOO_LARGE,
    NONE,
    NOT_ENOUGH_REPLICAS,
    NOT_LEADER_OR_FOLLOWER,
    UNKNOWN_TOPIC_OR_PARTITION,
    FetchPartition,
    FetchRequestData,
    ProducePartition,
    ProduceRequestData,
    RecordBatch,
    Request,
    TopicPartition,
)

TRIM_EVERY_BATCHES: Final = 512


class ReplicaManager:
    """The produce and fetch requests of one broker process on all its replicas."""

    def __init__(
        self,
        scheduler: Scheduler,
        broker_id: int,
        costs: ReplicaCosts,
        listener: ReplicaListener,
        monitor: BrokerMonitor,
        lag_time_max_s: float,
        hints: bool,
        filters_dead_replicas: bool,
        joins_need_live_broker: bool,
        syncs_rolls: bool,
        session_cache: FetchSessionCache,
        life: Life | None = None,
        locks: IsrLocks | None = None,
        completes_inside: bool = False,
        watermark_wakes_followers: bool = False,
        watches_storage: bool = False,
    ) -> None:
        replicas = Replicas(
            scheduler, broker_id, costs, listener, monitor, lag_time_max_s, hints, filters_dead_replicas, session_cache
        )
        replicas.locks = locks
        self.partitions = replicas.partitions
        self.costs = costs
        self.listener = listener
        self.monitor = monitor
        self.lag_time_max_s: float = lag_time_max_s
        self.joins_need_live_broker: bool = joins_need_live_broker
        self.gate = AppendGate(self.partitions, costs.produce_s, costs.produce_per_byte_s, syncs_rolls, watches_storage)
        self.produce_requests: int = 0
        self.fetch_requests: int = 0
        self.locks = locks
        self._completes_inside: bool = completes_inside
        self._scheduler = scheduler
        self.shared = replicas
        self.fetches = DelayedFetches(replicas, life, watermark_wakes_followers)
        self._produces = DelayedProduces(replicas, self.fetches, life)

    def serve(self, server: SocketServer) -> None:
        """Answers go out through ``server``."""
        self.shared.server = server

    def know_live(self, live: frozenset[int] | None) -> None:
        """The brokers that the metadata cache calls alive; None: it does not say yet."""
        self.shared.live = live

    # ---- the request handlers' work

    def service(self, request: Request) -> float:
        """A handler's seconds until the effect of ``request``."""
        costs = self.costs
        fetch = request.fetch
        if fetch is not None:
            return costs.fetch_s + costs.fetch_per_session_partition_s * len(fetch.session)
        produce = request.produce
        if produce is not None:
            return costs.produce_s + costs.produce_per_byte_s * produce.payload_bytes
        return self.listener.service(request)

    def handle(self, request: Request) -> float:
        """The effect of ``request``; returns for how long the handler is held after it (s)."""
        if request.fetch is not None:
            return self.handle_fetch(request, request.fetch)
        if request.produce is not None:
            return self.handle_produce(request, request.produce)
        return self.listener.handle(request)

    def handle_produce(self, request: Request, data: ProduceRequestData) -> float:
        """Append what may be appended; answer, or wait for the followers (acks=all)."""
        replicas = self.shared
        now = self._scheduler.now
        locks = self.locks
        if locks is not None and locks.held > 0 and locks.blocks_produce(request, data):
            return -inf
        wait_s = self.gate.wait_s(request, data, now)
        if wait_s > 0.0:
            return -wait_s
        self.produce_requests += 1
        replicas.ready_at = now
        partitions = self.partitions
        items = data.partitions
        acks_all = data.acks == -1
        waiting = 0
        appended: list[Partition] = []
        for item in items:
            partition = partitions.get(item.tp.index)
            if partition is None:
                self._refuse(item)
                continue
            partition.log.locked_until = now
            if partition.role != LEADER:
                self._refuse(item)
                request.cause = partition.epoch_cause
                continue
            if self._append(partition, item, acks_all, now):
                appended.append(partition)
            if acks_all and item.error == NONE and partition.high_watermark < item.required_offset:
                item.request = request
                partition.waiting.append(item)
                waiting += 1
        if self._completes_inside:
            waiting = self._complete_inside(data, appended, waiting, now)
        if waiting > 0:
            data.waiting = waiting
            self._produces.purgatory.park(request, now, data.timeout_s)
        else:
            self._produces.answer(request, items, replicas.ready_at)
        if data.acks == 0:
            self._drop_refused(request, items, now)
        if self._completes_inside:
            return replicas.ready_at - now
        # Then, on the same thread: what the appends make possible for others.
        self._complete(appended, now)
        return replicas.ready_at - now

    def _complete(self, appended: list[Partition], now: float) -> None:
        """Followers read what was appended; where the leader is alone the high watermark moves."""
        for partition in appended:
            # With another member in the ISR an append alone cannot move the minimum of the log ends.
            if len(partition.in_sync_replicas) <= 1:
                self._produces.advance(partition, now)
            self.fetches.wake_followers(partition, now)
            if partition.appended_batches >= TRIM_EVERY_BATCHES:
                partition.appended_batches = 0
                if not partition.internal:
                    self.monitor.trim(partition)

    def _complete_inside(self, data: ProduceRequestData, appended: list[Partition], waiting: int, now: float) -> int:
        """Before 2.7 others are served within the appends, before the request's own answer; who still waits then."""
        data.waiting = waiting + 1  # its own part is not decided yet
        self._complete(appended, now)
        data.waiting -= 1
        return data.waiting

    def append_internal(
        self, tp: TopicPartition, batch: RecordBatch, number: int, timeout_s: float, acks_all: bool = True
    ) -> None:
        """An append by the broker itself; ``listener.internal_done`` tells the end."""
        now = self._scheduler.now
        partition = self.partitions.get(tp.index)
        if partition is None or partition.role != LEADER:
            self.listener.internal_done(number, NOT_LEADER_OR_FOLLOWER, now)
            return
        if self.locks is not None and self.locks.is_locked(partition):
            self.locks.hold(partition, HeldAppend(batch, number, timeout_s, acks_all))
            return
        if acks_all and len(partition.in_sync_replicas) < partition.effective_min_isr:
            self.listener.internal_done(number, NOT_ENOUGH_REPLICAS, now)
            return
        self.shared.ready_at = now
        self._store(partition, batch, now)
        waiting = InternalWaiting(partition.log.log_end_offset, number)
        self._produces.advance(partition, now)
        if not acks_all or partition.high_watermark >= waiting.required_offset:
            self.listener.internal_done(number, NONE, now)
        else:
            partition.waiting.append(waiting)
            self._produces.internal_purgatory.park(InternalAppend(waiting), now, timeout_s)
        self.fetches.wake_followers(partition, now)

    def _append(self, partition: Partition, item: ProducePartition, acks_all: bool, now: float) -> bool:
        """Append the batch of ``item``, unless it is refused or known already: then False."""
        batch = item.batch
        if acks_all and len(partition.in_sync_replicas) < partition.effective_min_isr:
            item.error = NOT_ENOUGH_REPLICAS
            return False
        if batch.size_bytes > partition.max_message_bytes:
            item.error = MESSAGE_TOO_LARGE
            return False
        log = partition.log
        if batch.producer_id >= 0:
            verdict = log.producers.check(batch)
            if verdict == DUPLICATE_SEQUENCE_NUMBER:
                known = log.producers.duplicate_of(batch)
                if known is not None:
                    item.base_offset = -1
                    item.required_offset = known.base_offset + known.count
                    return False
            elif verdict != NONE:
                item.error = verdict
                return False
        if batch.base_offset >= 0:
            # A retry that is appended again is another batch: replicas share what was appended.
            batch = RecordBatch(
                batch.stream, batch.first, batch.count, batch.size_bytes, batch.first_time, batch.last_time,
                batch.producer_id, batch.producer_epoch, batch.base_sequence,
            )  # fmt: skip
        if self.gate.watches_storage and not log.storage.takes(batch.size_bytes):
            item.error = KAFKA_STORAGE_ERROR
            return False
        self._store(partition, batch, now)
        if item.flushed:
            flushed_inside(log, now)
        item.base_offset = batch.base_offset
        item.required_offset = log.log_end_offset
        self.shared.bytes_in += batch.size_bytes
        return True

    def _store(self, partition: Partition, batch: RecordBatch, now: float) -> None:
        log = partition.log
        old_end = log.log_end_offset
        batch.base_offset = old_end
        batch.leader_epoch = partition.leader_epoch
        batch.appended_at = now
        partition.note_append(old_end)
        log.append(batch)
        partition.appended_batches += 1
        if not partition.internal:
            self.monitor.appended(self.shared.broker_id, partition, batch, now)

    def _drop_refused(self, request: Request, items: list[ProducePartition], now: float) -> None:
        """acks=0 has no answer to carry an error: the broker closes the connection instead."""
        refused = False
        for item in items:
            if item.error != NONE:
                refused = True
                self.monitor.refused(item.tp, item.batch, request.cause, now)
        if refused and self.shared.server is not None and request.connection is not None:
            self.shared.server.drop(request.connection, request.cause)

    def _refuse(self, item: ProducePartition) -> None:
        item.error = NOT_LEADER_OR_FOLLOWER
        partition = self.partitions.get(item.tp.index)
        if partition is not None and partition.log.storage.offline:
            item.error = KAFKA_STORAGE_ERROR
            return
        if partition is None and not self.listener.knows(item.tp):
            item.error = UNKNOWN_TOPIC_OR_PARTITION
            return
        if self.shared.hints:
            item.leader_hint, item.leader_epoch_hint = self.listener.hint(item.tp)

    def handle_fetch(self, request: Request, data: FetchRequestData) -> float:
        """Read, take note of a follower's progress, answer or park."""
        replicas = self.shared
        fetches = self.fetches
        now = self._scheduler.now
        replicas.ready_at = now
        connection = request.connection
        session = None if connection is None else connection.session
        locks = self.locks
        if locks is not None:
            if isinstance(session, FetchSession) and session.suspended is request:
                return self._go_on(session, request, data, now)
            if request.suspended and (connection is None or connection.ended):
                return 0.0  # nobody waits for it any more
            if locks.held > 0 and locks.blocks_fetch(request, data):
                request.suspended = True
                return -inf
        self.fetch_requests += 1
        if not isinstance(session, FetchSession):
            if session is EVICTED:
                return fetches.refuse_session(request)
            session = fetches.session_of(connection, data)
        session.last_used_at = now
        if data.forgotten is not None:
            fetches.forget(session, data.forgotten)
        changed = data.changed
        follower = data.replica_id >= 0
        any_data = data.min_bytes <= 1
        entered = False
        for fetch in changed:
            entry = session.partitions.get(fetch.tp.index)
            if entry is None or entry.fetch is not fetch or not entry.active:
                fetches.enter(session, fetch)
                entered = True
            elif not entry.dirty:
                partition = entry.partition
                if (
                    fetch.fetch_offset == (partition.log.log_end_offset if follower else partition.high_watermark)
                    and any_data
                    and fetch.current_leader_epoch == partition.leader_epoch
                    and (fetch.last_fetched_epoch < 0 or fetch.last_fetched_epoch == partition.log.latest_epoch())
                    and partition.role == LEADER
                ):
                    fetch.error = NONE  # the fetcher has everything: what a read would find
                else:
                    entry.dirty = True  # FetchSession.mark, in line
                    session.dirty.append(entry)
        size = 0
        enough = data.max_wait_s <= 0.0
        if enough or any_data or fetches.enough(session, data):
            looked = entered or not any_data or not data.session
            if session.dirty:
                size = fetches.read(session, request, data)
                looked = True
            enough = enough or size > 0 or (looked and fetches.urgent(data))
        if follower:
            session.last_fetch_at = now
            retried = session.out_of_sync
            session.out_of_sync = []
            for fetch in changed:
                self._note_follower(session, fetch, now)
            for fetch in retried:
                if fetch not in changed:
                    self._note_follower(session, fetch, now)
            if locks is not None and locks.wanted:
                session.suspended = request
                session.suspended_bytes = size
                session.suspended_enough = enough
                request.suspended = True
                wanted = locks.wanted
                locks.wanted = []
                self.listener.grow(request, wanted, now)
                return -inf
            if not enough and session.watermark_dirty and fetches.watermark_wakes_followers:
                enough = True
        if enough:
            fetches.answer(session, request, data, size)
        else:
            session.parked = request
            fetches.purgatory.park(request, now, data.max_wait_s)
        return replicas.ready_at - now

    def _go_on(self, session: FetchSession, request: Request, data: FetchRequestData, now: float) -> float:
        """The ISR is written (or not): answer with what had been found, or wait for more."""
        session.suspended = None
        if session.suspended_enough:
            self.fetches.answer(session, request, data, session.suspended_bytes)
        else:
            session.parked = request
            self.fetches.purgatory.park(request, now, data.max_wait_s)
            if session.dirty:
                self.fetches.try_parked(session, now)
        return self.shared.ready_at - now

    def unlock(self, partition: Partition, now: float) -> None:
        """The ISR of ``partition`` is written, or cannot be: what has waited for its lock goes on."""
        locks = self.locks
        if locks is None:
            return
        waiting = locks.unlock(partition)
        for append in locks.appends(partition):
            self.append_internal(partition.tp, append.batch, append.number, append.timeout_s, append.acks_all)
        self.shared.ready_at = now
        self.fetches.wake_all(partition, now)
        overdue = locks.overdue
        locks.overdue = []
        for request in overdue:
            self.fetches.expire(request)
        server = self.shared.server
        if server is not None:
            for request in waiting:
                server.resume(request)

    def _note_follower(self, session: FetchSession, fetch: FetchPartition, now: float) -> None:
        if fetch.error != NONE or fetch.diverging_end_offset >= 0:
            return
        partition = self.partitions.get(fetch.tp.index)
        if partition is None or partition.role != LEADER:
            return
        replica_id = session.replica_id
        state: FollowerState | None = None
        high_watermark = partition.high_watermark
        held = False
        for follower in partition.followers:
            if follower.broker_id == replica_id:
                state = follower
            elif follower.log_end_offset <= high_watermark and follower.in_sync:
                held = True  # whatever this one has, the high watermark cannot move
        if state is None:
            return
        state.session = session
        offset = fetch.fetch_offset
        moved = offset != state.log_end_offset
        state.note_fetch(offset, partition.log.log_end_offset, now)
        if not state.in_sync:
            # Looked at again at every fetch, also when nothing has changed.
            session.out_of_sync.append(fetch)
            if partition.may_join(state, self.shared.live if self.joins_need_live_broker else None):
                self.listener.may_expand(partition, replica_id, now, fetch.cause)
        if moved and not held:
            self._produces.advance(partition, now)

    def delete(self, partition: Partition, now: float) -> None:
        """The replica is deleted: whoever waits for it or reads it is told that it is not here."""
        self.partitions.pop(partition.tp.index, None)
        partition.role = NO_ROLE
        self._produces.fail_waiting(partition, now)

    def crash(self) -> None:
        """The process dies: what is parked is gone; logs stay (page cache)."""
        self._produces.purgatory.clear()
        self._produces.internal_purgatory.clear()
        self.fetches.purgatory.clear()
        self.shared.session_cache.clear()
        for partition in self.partitions.values():
            partition.waiting.clear()
            partition.sessions.clear()
            partition.isr_locked = False
        if self.locks is not None:
            self.locks.clear()

    def advance(self, partition: Partition, now: float) -> None:
        """Let the high watermark of ``partition`` move and release what waited for it."""
        self._produces.advance(partition, now)

    def fail_waiting(self, partition: Partition, now: float) -> None:
        """The partition is not led here any more: whatever waits for it is refused."""
        self._produces.fail_waiting(partition, now)

    def close_session(self, connection: Connection) -> None:
        """A fetcher has gone: its session ends."""
        self.fetches.close_session(connection)
