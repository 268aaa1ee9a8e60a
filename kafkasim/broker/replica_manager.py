"""Produce and fetch at one broker: append, replicate, commit, answer.

Stands for ``ReplicaManager`` with its produce and fetch purgatories.  The thread that
causes a completion pays for it: a produce's handler answers the followers' parked fetches
after its own answer, a follower fetch's handler answers the produces and consumers that its
high watermark releases before the follower itself.

Left out: quotas, transactions, follower fetching by rack (a consumer fetch at a follower is
refused), response rotation within a session.
"""

from __future__ import annotations

from typing import Final

from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.partition import (
    LEADER,
    NO_ROLE,
    FollowerState,
    InternalAppend,
    InternalWaiting,
    Partition,
    Waiting,
)
from kafkasim.broker.purgatory import Purgatory
from kafkasim.broker.replica_costs import (
    FETCH_RESPONSE_BASE_BYTES,
    FETCH_RESPONSE_PARTITION_BYTES,
    FETCH_RESPONSE_TOPIC_BYTES,
    PRODUCE_RESPONSE_BASE_BYTES,
    PRODUCE_RESPONSE_PARTITION_BYTES,
    ReplicaCosts,
)
from kafkasim.broker.replica_listener import ReplicaListener
from kafkasim.broker.sessions import EVICTED, FetchSession, FetchSessionCache, SessionPartition
from kafkasim.broker.socket_server import SocketServer
from kafkasim.connection import Connection
from kafkasim.hosts.host import Disk
from kafkasim.hosts.life import Life
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.protocol import (
    DUPLICATE_SEQUENCE_NUMBER,
    FETCH_SESSION_ID_NOT_FOUND,
    MESSAGE_TOO_LARGE,
    NONE,
    NOT_ENOUGH_REPLICAS,
    NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    NOT_LEADER_OR_FOLLOWER,
    OFFSET_OUT_OF_RANGE,
    REQUEST_TIMED_OUT,
    UNKNOWN_LEADER_EPOCH,
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
    """All replicas of one broker process, and the produce and fetch requests on them."""

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
        disk: Disk | None,
        session_cache: FetchSessionCache,
        life: Life | None = None,
    ) -> None:
        self.broker_id: int = broker_id
        self.partitions: dict[int, Partition] = {}
        self.costs = costs
        self.listener = listener
        self.monitor = monitor
        self.lag_time_max_s: float = lag_time_max_s
        self.hints: bool = hints
        self.session_cache = session_cache
        self.live: frozenset[int] | None = None
        self.filters_dead_replicas: bool = filters_dead_replicas
        self.joins_need_live_broker: bool = joins_need_live_broker
        self.disk = disk  # where a rolled segment's snapshot is synced (up to 3.6), else None
        self.server: SocketServer | None = None
        self.produce_purgatory = Purgatory(scheduler, self._expire_produce, life)
        self.internal_purgatory = Purgatory(scheduler, self._expire_internal, life)
        self.fetch_purgatory = Purgatory(scheduler, self._expire_fetch, life)
        self.bytes_in: int = 0
        self.replication_bytes_in: int = 0
        self.bytes_out: int = 0
        self.replication_bytes_out: int = 0
        self.produce_requests: int = 0
        self.fetch_requests: int = 0
        self._scheduler = scheduler
        self._ready_at: float = 0.0  # when the thread at work will have done what it did so far

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

    # ---- produce

    def handle_produce(self, request: Request, data: ProduceRequestData) -> float:
        """Append what may be appended; answer, or wait for the followers (acks=all)."""
        now = self._scheduler.now
        locked_s = self._lock(request, data, now)
        if locked_s > 0.0:
            return -locked_s
        if self.disk is not None:
            synced_s = self._sync_snapshots(self.disk, data, now)
            if synced_s > 0.0:
                return -synced_s
        self.produce_requests += 1
        self._ready_at = now
        partitions = self.partitions
        items = data.partitions
        acks_all = data.acks == -1
        waiting = 0
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
            self._append(partition, item, acks_all, now)
            if acks_all and item.error == NONE and partition.high_watermark < item.required_offset:
                partition.waiting.append(Waiting(item.required_offset, request, item))
                waiting += 1
        if waiting > 0:
            data.waiting = waiting
            self.produce_purgatory.park(request, now, data.timeout_s)
        else:
            self._answer_produce(request, items, now)
        if data.acks == 0:
            self._drop_refused(request, items, now)
        # Then, on the same thread: what the appends make possible for others.
        for item in items:
            if item.base_offset >= 0:
                partition = partitions[item.tp.index]
                # With another member in the ISR an append alone cannot move the minimum of the log ends.
                if len(partition.in_sync_replicas) <= 1:
                    self.advance(partition, now)
                self._wake_followers(partition, now)
                if partition.appended_batches >= TRIM_EVERY_BATCHES:
                    partition.appended_batches = 0
                    if not partition.internal:
                        self.monitor.trim(partition)
        return self._ready_at - now

    def append_internal(
        self, tp: TopicPartition, batch: RecordBatch, number: int, timeout_s: float, acks_all: bool = True
    ) -> None:
        """An append by the broker itself; ``listener.internal_done`` tells the end."""
        now = self._scheduler.now
        partition = self.partitions.get(tp.index)
        if partition is None or partition.role != LEADER:
            self.listener.internal_done(number, NOT_LEADER_OR_FOLLOWER, now)
            return
        if acks_all and len(partition.in_sync_replicas) < partition.effective_min_isr:
            self.listener.internal_done(number, NOT_ENOUGH_REPLICAS, now)
            return
        self._ready_at = now
        self._store(partition, batch, now)
        waiting = InternalWaiting(partition.log.log_end_offset, number)
        self.advance(partition, now)
        if not acks_all or partition.high_watermark >= waiting.required_offset:
            self.listener.internal_done(number, NONE, now)
        else:
            partition.waiting.append(waiting)
            self.internal_purgatory.park(InternalAppend(waiting), now, timeout_s)
        self._wake_followers(partition, now)

    def _lock(self, request: Request, data: ProduceRequestData, now: float) -> float:
        """Appends to one log exclude each other: seconds that this one has to wait still, else 0."""
        end = now
        started_at = request.started_at
        for item in data.partitions:
            partition = self.partitions.get(item.tp.index)
            if partition is not None:
                locked_until = partition.log.locked_until
                if locked_until > started_at and locked_until > data.lock_free_at:
                    begun = max(locked_until, started_at + self.costs.produce_s)
                    end = max(end, begun + self.costs.produce_per_byte_s * item.batch.size_bytes)
        if end > now + 1e-12:
            data.lock_free_at = end  # the next look finds the lock free, unless somebody else has got it
            return end - now
        return 0.0

    def _sync_snapshots(self, disk: Disk, data: ProduceRequestData, now: float) -> float:
        """Up to 3.6 a roll fsyncs the producer-state snapshot under the log's lock, before the append (s)."""
        end = now
        for item in data.partitions:
            partition = self.partitions.get(item.tp.index)
            if partition is not None and partition.role == LEADER and partition.log.needs_snapshot(item.batch):
                partition.log.snapshot_offset = partition.log.log_end_offset
                end = disk.fsync(end)
                partition.log.locked_until = end
        if end > now:
            data.lock_free_at = end
        return end - now

    def _append(self, partition: Partition, item: ProducePartition, acks_all: bool, now: float) -> None:
        batch = item.batch
        if acks_all and len(partition.in_sync_replicas) < partition.effective_min_isr:
            item.error = NOT_ENOUGH_REPLICAS
            return
        if batch.size_bytes > partition.max_message_bytes:
            item.error = MESSAGE_TOO_LARGE
            return
        log = partition.log
        if batch.producer_id >= 0:
            verdict = log.check_sequence(batch)
            if verdict == DUPLICATE_SEQUENCE_NUMBER:
                known = log.duplicate_of(batch)
                if known is not None:
                    item.base_offset = -1
                    item.required_offset = known.base_offset + known.count
                    return
            elif verdict != NONE:
                item.error = verdict
                return
        if batch.base_offset >= 0:
            # A retry that is appended again is another batch: replicas share what was appended.
            batch = RecordBatch(
                batch.stream, batch.first, batch.count, batch.size_bytes, batch.first_time, batch.last_time,
                batch.producer_id, batch.producer_epoch, batch.base_sequence,
            )  # fmt: skip
        self._store(partition, batch, now)
        item.base_offset = batch.base_offset
        item.required_offset = log.log_end_offset
        self.bytes_in += batch.size_bytes

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
            self.monitor.appended(self.broker_id, partition, batch, now)

    def _drop_refused(self, request: Request, items: list[ProducePartition], now: float) -> None:
        """acks=0 has no answer to carry an error: the broker closes the connection instead."""
        refused = False
        for item in items:
            if item.error != NONE:
                refused = True
                self.monitor.refused(item.tp, item.batch, request.cause, now)
        if refused and self.server is not None and request.connection is not None:
            self.server.drop(request.connection, request.cause)

    def _refuse(self, item: ProducePartition) -> None:
        item.error = NOT_LEADER_OR_FOLLOWER
        if item.tp.index not in self.partitions and not self.listener.knows(item.tp):
            item.error = UNKNOWN_TOPIC_OR_PARTITION
            return
        if self.hints:
            item.leader_hint, item.leader_epoch_hint = self.listener.hint(item.tp)

    def _answer_produce(self, request: Request, items: list[ProducePartition], at: float) -> None:
        request.parked_until = 0.0
        request.response_bytes = PRODUCE_RESPONSE_BASE_BYTES + PRODUCE_RESPONSE_PARTITION_BYTES * len(items)
        if self.server is not None:
            self.server.respond(request, at)

    def _wake_followers(self, partition: Partition, now: float) -> None:
        for entry in partition.sessions:
            session = entry.session
            if session.replica_id >= 0 and entry.active:
                if not entry.dirty:  # FetchSession.mark, in line
                    entry.dirty = True
                    session.dirty.append(entry)
                if session.parked is not None:
                    self._try_parked(session, now)

    # ---- the high watermark and what waits for it

    def advance(self, partition: Partition, now: float) -> None:
        """Let the high watermark move and release what waited for it."""
        old = partition.high_watermark
        if not partition.advance(now, self.lag_time_max_s, self.live if self.filters_dead_replicas else None):
            return
        self._note_commits(partition, old, now)
        high_watermark = partition.high_watermark
        # Consumers first, then produces (DelayedOperations: fetch, then produce).
        for entry in partition.sessions:
            if entry.active:
                session = entry.session
                if session.replica_id >= 0:
                    if not entry.watermark_dirty:  # FetchSession.mark_watermark, in line
                        entry.watermark_dirty = True
                        session.watermark_dirty.append(entry)
                else:
                    if not entry.dirty:  # FetchSession.mark, in line
                        entry.dirty = True
                        session.dirty.append(entry)
                    if session.parked is not None:
                        self._try_parked(session, now)
        waiting = partition.waiting
        if waiting and waiting[0].required_offset <= high_watermark:
            minimum = partition.effective_min_isr
            short = len(partition.in_sync_replicas) < minimum and partition.maximal_isr_size() < minimum
            error = NOT_ENOUGH_REPLICAS_AFTER_APPEND if short else NONE
            while waiting and waiting[0].required_offset <= high_watermark:
                waiter = waiting.popleft()
                if waiter.item is not None and waiter.request is not None:
                    self._resolve(waiter.request, waiter.item, error, now)
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
        monitor = self.monitor
        while index < end:
            batch = batches[index]
            if batch.base_offset >= high_watermark:
                break
            if not batch.committed:
                batch.committed = True
                if told:
                    monitor.committed(self.broker_id, partition, batch, now)
            index += 1

    def _resolve_internal(self, waiting: InternalWaiting, error: int, now: float) -> None:
        number = waiting.number
        if number >= 0:
            waiting.number = -1
            self.listener.internal_done(number, error, now)

    def _resolve(self, request: Request, item: ProducePartition, error: int, now: float) -> None:
        data = request.produce
        if data is None or item.acknowledged or data.waiting <= 0:
            return
        item.acknowledged = True
        if error != NONE:
            item.error = error
        data.waiting -= 1
        if data.waiting == 0:
            ready = self._ready_at if self._ready_at > now else now
            ready += self.costs.completion_s
            self._ready_at = ready
            self._answer_produce(request, data.partitions, ready)

    def _expire_produce(self, request: Request) -> None:
        now = self._scheduler.now
        data = request.produce
        if data is None or data.waiting <= 0:
            return
        data.waiting = 0
        for item in data.partitions:
            if item.error == NONE and not item.acknowledged and item.required_offset > 0:
                partition = self.partitions.get(item.tp.index)
                if partition is None or partition.high_watermark < item.required_offset:
                    item.error = REQUEST_TIMED_OUT
        self._answer_produce(request, data.partitions, now)

    def _expire_internal(self, parked: InternalAppend) -> None:
        self._resolve_internal(parked.waiting, REQUEST_TIMED_OUT, self._scheduler.now)

    def fail_waiting(self, partition: Partition, now: float) -> None:
        """The partition is not led here any more: whatever waits for it is refused."""
        waiting = partition.waiting
        while waiting:
            entry = waiting.popleft()
            if isinstance(entry, InternalWaiting):
                self._resolve_internal(entry, NOT_LEADER_OR_FOLLOWER, now)
            elif entry.item is not None and entry.request is not None:
                if self.hints:
                    entry.item.leader_hint, entry.item.leader_epoch_hint = self.listener.hint(partition.tp)
                self._resolve(entry.request, entry.item, NOT_LEADER_OR_FOLLOWER, now)
        for session_entry in partition.sessions:
            session = session_entry.session
            if session_entry.active:
                session.mark(session_entry)
                if session.parked is not None:
                    self._try_parked(session, now)

    def delete(self, partition: Partition, now: float) -> None:
        """The replica is deleted: whoever waits for it or reads it is told that it is not here."""
        self.partitions.pop(partition.tp.index, None)
        partition.role = NO_ROLE
        self.fail_waiting(partition, now)

    # ---- fetch

    def handle_fetch(self, request: Request, data: FetchRequestData) -> float:
        """Read, take note of a follower's progress, answer or park."""
        now = self._scheduler.now
        self._ready_at = now
        self.fetch_requests += 1
        connection = request.connection
        session = None if connection is None else connection.session
        if not isinstance(session, FetchSession):
            if session is EVICTED:
                return self._refuse_session(request)
            session = self._session(connection, data)
        session.last_used_at = now
        if data.forgotten is not None:
            self._forget(session, data.forgotten)
        changed = data.changed
        entries = session.partitions
        replica_id = data.replica_id
        any_data = data.min_bytes <= 1
        unsure = not any_data or not data.session
        for fetch in changed:
            entry = entries.get(fetch.tp.index)
            if entry is None or entry.fetch is not fetch or not entry.active:
                self._enter(session, fetch)
                unsure = True
            elif not entry.dirty:
                partition = entry.partition
                log = partition.log
                if (
                    any_data
                    and fetch.fetch_offset == (log.log_end_offset if replica_id >= 0 else partition.high_watermark)
                    and fetch.current_leader_epoch == partition.leader_epoch
                    and (fetch.last_fetched_epoch < 0 or fetch.last_fetched_epoch == log.latest_epoch())
                    and partition.role == LEADER
                ):
                    fetch.error = NONE  # the fetcher has everything: what a read would find
                else:
                    entry.dirty = True  # FetchSession.mark, in line
                    session.dirty.append(entry)
        size = 0
        patient = data.max_wait_s > 0.0
        enough = not patient or any_data or self._enough(session, data)
        if enough:
            if session.dirty:
                size = self._read(session, request, data)
                unsure = True
            enough = size > 0 or not patient or (unsure and self._urgent(data))
        if replica_id >= 0:
            session.last_fetch_at = now
            retried: list[FetchPartition] | None = None
            if session.out_of_sync:
                retried = session.out_of_sync
                session.out_of_sync = []
            for fetch in changed:
                self._note_follower(session, replica_id, fetch, now)
            if retried is not None:
                for fetch in retried:
                    if fetch not in changed:
                        self._note_follower(session, replica_id, fetch, now)
        if enough:
            self._answer_fetch(session, request, data, size)
        else:
            session.parked = request
            self.fetch_purgatory.park(request, now, data.max_wait_s)
        return self._ready_at - now

    def _forget(self, session: FetchSession, forgotten: list[FetchPartition]) -> None:
        for fetch in forgotten:
            entry = session.partitions.get(fetch.tp.index)
            if entry is not None and entry.fetch is fetch:
                entry.active = False

    def _session(self, connection: Connection | None, data: FetchRequestData) -> FetchSession:
        if connection is None:
            raise AssertionError("a fetch arrives on a connection")
        session = connection.session
        if isinstance(session, FetchSession):
            return session
        fresh = FetchSession(data.replica_id)
        fresh.connection = connection
        connection.session = fresh
        return fresh

    def _refuse_session(self, request: Request) -> float:
        """The session was evicted: an empty error, after which the fetcher asks in full and begins another."""
        if request.connection is not None:
            request.connection.session = None
        request.error = FETCH_SESSION_ID_NOT_FOUND
        request.response_bytes = FETCH_RESPONSE_BASE_BYTES
        if self.server is not None:
            self.server.respond(request, self._ready_at)
        return 0.0

    def _keep(self, session: FetchSession, data: FetchRequestData) -> None:
        """A full fetch is answered: does its session get a slot?  Else the next request is full again."""
        evicted = self.session_cache.admit(session, self._scheduler.now)
        data.sessionless = not session.cached
        if evicted is not None:
            connection = evicted.connection
            parked = evicted.parked
            if connection is not None:
                self.close_session(connection)
                connection.session = EVICTED
            if parked is not None:
                parked.response_bytes = FETCH_RESPONSE_BASE_BYTES
                if self.server is not None:
                    self.server.respond(parked, self._ready_at)

    def _enter(self, session: FetchSession, fetch: FetchPartition) -> None:
        """A partition is new in the session, or in it again."""
        index = fetch.tp.index
        entry = session.partitions.get(index)
        partition = self.partitions.get(index)
        if entry is None or entry.fetch is not fetch:
            if entry is not None:
                entry.active = False
                entry.partition.sessions.remove(entry)
                del session.partitions[index]
            if partition is None:
                known = self.listener.knows(fetch.tp)
                fetch.error = NOT_LEADER_OR_FOLLOWER if known else UNKNOWN_TOPIC_OR_PARTITION
                return
            entry = SessionPartition(session, fetch, partition)
            session.partitions[index] = entry
            partition.sessions.append(entry)
            session.mark_watermark(entry)
        elif not entry.active:
            entry.active = True
            session.mark_watermark(entry)
        session.mark(entry)

    def _read(self, session: FetchSession, request: Request, data: FetchRequestData) -> int:
        """Read every marked partition into the answer; returns the bytes found."""
        total = 0
        marked = session.dirty
        if not marked:
            return 0
        max_bytes = data.max_bytes
        kept: list[SessionPartition] = []
        answered = data.answered
        consumer = data.replica_id < 0
        for entry in marked:
            if not entry.active:
                entry.dirty = False
                continue
            fetch = entry.fetch
            partition = entry.partition
            log = partition.log
            fetch.error = NONE
            end = log.log_end_offset
            offset = fetch.fetch_offset
            epoch = fetch.last_fetched_epoch
            if (
                offset > end
                or (epoch >= 0 and (not log.epochs or epoch != log.epochs[-1]))
                or fetch.current_leader_epoch != partition.leader_epoch
                or partition.role != LEADER
            ) and self._refuses_fetch(request, fetch, partition):
                answered.append(fetch)
                kept.append(entry)
                continue
            upper = partition.high_watermark if consumer else end
            if offset >= upper:
                entry.dirty = False
                continue
            room = max_bytes - total
            if room > fetch.max_bytes:
                room = fetch.max_bytes
            last = log.batches[-1]
            size = last.size_bytes
            if offset >= last.base_offset and size <= room:
                # PartitionLog.read, in line for who keeps up: the last batch, and all that there is.
                fetch.batches.append(last)
                entry.dirty = False
            else:
                size = log.read(offset, upper, room, fetch.batches, total == 0)
                if size == 0:
                    kept.append(entry)
                    continue
                if fetch.batches:
                    last = fetch.batches[-1]
                    if last.base_offset + last.count >= upper:
                        entry.dirty = False
                if entry.dirty:
                    kept.append(entry)
            fetch.bytes = size
            fetch.high_watermark = partition.high_watermark
            total += size
            answered.append(fetch)
        session.dirty = kept
        return total

    def _refuses_fetch(self, request: Request, fetch: FetchPartition, partition: Partition) -> bool:
        """Whether an error or a diverging epoch is the answer; sets it."""
        if partition.role != LEADER or fetch.current_leader_epoch != partition.leader_epoch:
            fetch.error = partition.epoch_error(fetch.current_leader_epoch)
            if fetch.error == NOT_LEADER_OR_FOLLOWER and self._is_deleted(partition):
                fetch.error = UNKNOWN_TOPIC_OR_PARTITION
                return True
            if fetch.error != NONE:
                if self.hints and fetch.error != UNKNOWN_LEADER_EPOCH:
                    fetch.leader_hint, fetch.leader_epoch_hint = self.listener.hint(fetch.tp)
                request.cause = partition.epoch_cause
                return True
        log = partition.log
        beyond = fetch.fetch_offset > log.log_end_offset
        if (
            fetch.last_fetched_epoch >= 0
            and (beyond or fetch.last_fetched_epoch != log.latest_epoch())
            and log.diverges(fetch)
        ):
            return True
        if beyond:
            fetch.error = OFFSET_OUT_OF_RANGE
        return beyond

    def _is_deleted(self, partition: Partition) -> bool:
        """Whether a replica that a session still holds is gone with its topic."""
        tp = partition.tp
        return partition.role == NO_ROLE and tp.index not in self.partitions and not self.listener.knows(tp)

    def _note_follower(self, session: FetchSession, replica_id: int, fetch: FetchPartition, now: float) -> None:
        if fetch.error != NONE or fetch.diverging_end_offset >= 0:
            return
        partition = self.partitions.get(fetch.tp.index)
        if partition is None or partition.role != LEADER:
            return
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
        moved = partition.note_fetch(state, fetch.fetch_offset, now)
        if not state.in_sync:
            # Looked at again at every fetch, also when nothing has changed.
            session.out_of_sync.append(fetch)
            if partition.may_join(state, self.live if self.joins_need_live_broker else None):
                self.listener.may_expand(partition, replica_id, now, fetch.cause)
        if moved and not held:
            self.advance(partition, now)

    def _urgent(self, data: FetchRequestData) -> bool:
        """An error or a diverging epoch answers the whole fetch at once."""
        for fetch in data.answered:
            if fetch.error != NONE or fetch.diverging_end_offset >= 0:
                return True
        for fetch in data.changed:
            if fetch.error != NONE:
                if fetch not in data.answered:
                    data.answered.append(fetch)
                return True
        return not data.session

    def _try_parked(self, session: FetchSession, now: float) -> None:
        """Something has happened to a partition of a parked fetch: is it enough?"""
        request = session.parked
        if request is None:
            return
        data = request.fetch
        if data is None or (data.min_bytes > 1 and not self._enough(session, data)):
            return
        size = self._read(session, request, data)
        if size > 0 or self._urgent(data):
            session.parked = None
            request.parked_until = 0.0
            if self._ready_at < now:
                self._ready_at = now
            self._ready_at += self.costs.completion_s
            self._answer_fetch(session, request, data, size)

    def _enough(self, session: FetchSession, data: FetchRequestData) -> bool:
        """Whether ``fetch.min.bytes`` are there, without reading."""
        available = 0
        for entry in session.dirty:
            if not entry.active:
                continue
            partition = entry.partition
            fetch = entry.fetch
            if partition.role != LEADER or fetch.current_leader_epoch != partition.leader_epoch:
                return True
            if fetch.fetch_offset > partition.log.log_end_offset:
                return True
            upper = partition.high_watermark if data.replica_id < 0 else partition.log.log_end_offset
            available += min(partition.log.bytes_between(fetch.fetch_offset, upper), fetch.max_bytes)
            if available >= data.min_bytes:
                return True
        return False

    def _expire_fetch(self, request: Request) -> None:
        data = request.fetch
        if data is None:
            return
        session = self._session(request.connection, data)
        if session.parked is not request:
            return
        session.parked = None
        now = self._scheduler.now
        self._ready_at = now + self.costs.completion_s
        size = self._read(session, request, data)
        self._answer_fetch(session, request, data, size)

    def _answer_fetch(self, session: FetchSession, request: Request, data: FetchRequestData, size: int) -> None:
        consumer = data.replica_id < 0
        answered = data.answered
        if consumer:
            for fetch in answered:
                if fetch.bytes > 0:
                    partition = self.partitions[fetch.tp.index]
                    if not partition.internal:
                        self.monitor.read_out(self.broker_id, partition, fetch.bytes)
        if session.watermark_dirty:
            many: dict[int, None] | None = None
            if len(session.watermark_dirty) > 16:  # a new session of many partitions: no search for each
                many = dict.fromkeys([fetch.tp.index for fetch in answered])
            for entry in session.watermark_dirty:
                entry.watermark_dirty = False
                fetch = entry.fetch
                if entry.active and fetch.error == NONE and not fetch.batches:
                    fetch.high_watermark = entry.partition.high_watermark
                    if many is None:
                        if fetch not in answered:
                            answered.append(fetch)
                    elif fetch.tp.index not in many:
                        many[fetch.tp.index] = None
                        answered.append(fetch)
            session.watermark_dirty.clear()
        if consumer:
            self.bytes_out += size
            self._ready_at += self.costs.consumer_fetch_per_byte_s * size
        else:
            self.replication_bytes_out += size
            self._ready_at += self.costs.fetch_per_byte_s * size
        data.answered_bytes = size
        response_bytes = FETCH_RESPONSE_BASE_BYTES + size
        named = len(answered)
        if not session.cached:
            self._keep(session, data)
            if data.sessionless:
                named = len(session.partitions)
        if named:
            response_bytes += FETCH_RESPONSE_TOPIC_BYTES + FETCH_RESPONSE_PARTITION_BYTES * named
        request.response_bytes = response_bytes
        if self.server is not None:
            self.server.respond(request, self._ready_at)

    # ---- the process

    def close_session(self, connection: Connection) -> None:
        """A fetcher has gone: its session ends."""
        session = connection.session
        if isinstance(session, FetchSession):
            session.closed = True
            self.session_cache.remove(session)
            if session.parked is not None:
                session.parked.parked_until = 0.0
                session.parked = None
            for entry in session.partitions.values():
                entry.active = False
                entry.partition.sessions.remove(entry)
            connection.session = None

    def crash(self) -> None:
        """The process dies: what is parked is gone; logs stay (page cache)."""
        self.produce_purgatory.clear()
        self.internal_purgatory.clear()
        self.fetch_purgatory.clear()
        self.session_cache.clear()
        for partition in self.partitions.values():
            partition.waiting.clear()
            partition.sessions.clear()
