"""Fetches at one broker that are read, parked and answered: sessions, what is enough, who is woken.

Stands for ``DelayedFetch``, ``FetchSession`` and ``ReplicaManager.readFromLog``.
"""

from __future__ import annotations

from kafkasim.broker.fetch_rules import FetchRules
from kafkasim.broker.partition import LEADER, Partition
from kafkasim.broker.purgatory import Purgatory
from kafkasim.broker.quota_manager import ClientSensors
from kafkasim.broker.replica_costs import (
    FETCH_RESPONSE_BASE_BYTES,
    FETCH_RESPONSE_PARTITION_BYTES,
    FETCH_RESPONSE_TOPIC_BYTES,
)
from kafkasim.broker.replicas import Replicas
from kafkasim.broker.sessions import EVICTED, FetchSession, SessionPartition
from kafkasim.connection import Connection
from kafkasim.hosts.life import Life
from kafkasim.protocol import (
    FETCH_SESSION_ID_NOT_FOUND,
    NONE,
    NOT_LEADER_OR_FOLLOWER,
    UNKNOWN_TOPIC_OR_PARTITION,
    FetchPartition,
    FetchRequestData,
    Request,
)


class DelayedFetches:
    """The fetch purgatory of one broker process, and the way from a session to an answer."""

    def __init__(self, replicas: Replicas, life: Life | None = None, watermark_wakes_followers: bool = False) -> None:
        self.purgatory = Purgatory(replicas.scheduler, self.expire, life)
        self._replicas = replicas
        self.watermark_wakes_followers: bool = watermark_wakes_followers  # 2.4 and 2.5
        self._rules = FetchRules(replicas)

    def session_of(self, connection: Connection | None, data: FetchRequestData) -> FetchSession:
        """The session of the fetcher at the other end, a new one for its first request."""
        if connection is None:
            raise AssertionError("a fetch arrives on a connection")
        session = connection.session
        if isinstance(session, FetchSession):
            return session
        fresh = FetchSession(data.replica_id)
        fresh.connection = connection
        fresh.max_bytes = min(data.max_bytes, self._replicas.fetch_max_bytes)
        racks = connection.client_host.rack, connection.server_host.rack
        fresh.crosses_racks = data.replica_id < 0 and None not in racks and racks[0] != racks[1]
        quota = connection.quota
        if isinstance(quota, ClientSensors) and data.replica_id < 0:
            fresh.max_bytes = min(fresh.max_bytes, quota.most_fetch_bytes)
        connection.session = fresh
        return fresh

    def refuse_session(self, request: Request) -> float:
        """The session was evicted: an empty error, after which the fetcher asks in full and begins another."""
        if request.connection is not None:
            request.connection.session = None
        request.error = FETCH_SESSION_ID_NOT_FOUND
        request.response_bytes = FETCH_RESPONSE_BASE_BYTES
        if self._replicas.server is not None:
            self._replicas.server.respond(request, self._replicas.ready_at)
        return 0.0

    def _keep(self, session: FetchSession, data: FetchRequestData) -> None:
        """A full fetch is answered: does its session get a slot?  Else the next request is full again."""
        if not data.wants_session:
            data.sessionless = True
            return
        evicted = self._replicas.session_cache.admit(session, self._replicas.scheduler.now)
        data.sessionless = not session.cached
        if evicted is not None:
            connection = evicted.connection
            parked = evicted.parked
            if connection is not None:
                self.close_session(connection)
                connection.session = EVICTED
            if parked is not None:
                parked.response_bytes = FETCH_RESPONSE_BASE_BYTES
                if self._replicas.server is not None:
                    self._replicas.server.respond(parked, self._replicas.ready_at)

    def forget(self, session: FetchSession, forgotten: list[FetchPartition]) -> None:
        """The fetcher does not want these partitions any more."""
        for fetch in forgotten:
            entry = session.partitions.get(fetch.tp.index)
            if entry is not None and entry.fetch is fetch:
                entry.active = False

    def enter(self, session: FetchSession, fetch: FetchPartition) -> None:
        """A partition is new in the session, or in it again."""
        index = fetch.tp.index
        entry = session.partitions.get(index)
        partition = self._replicas.partitions.get(index)
        if entry is None or entry.fetch is not fetch:
            if entry is not None:
                entry.active = False
                entry.partition.sessions.remove(entry)
                del session.partitions[index]
            if partition is None:
                known = self._replicas.listener.knows(fetch.tp)
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

    def read(self, session: FetchSession, request: Request, data: FetchRequestData) -> int:
        """Read every marked partition into the answer; returns the bytes found."""
        total = 0
        marked = session.dirty
        if not marked:
            return 0
        max_bytes = session.max_bytes
        kept: list[SessionPartition] = []
        served: list[SessionPartition] = []
        answered = data.answered
        consumer = data.replica_id < 0
        selector = self._replicas.selector if consumer and data.rack else None
        quota = None if consumer else self._replicas.leader_quota
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
                or offset < log.log_start_offset
                or (epoch >= 0 and (not log.epochs or epoch != log.epochs[-1]))
                or fetch.current_leader_epoch != partition.leader_epoch
                or partition.role != LEADER
            ) and self._rules.refuses(request, fetch, partition):
                answered.append(fetch)
                kept.append(entry)
                continue
            if selector is not None and self._rules.sends_elsewhere(data, fetch, partition):
                answered.append(fetch)
                kept.append(entry)
                continue
            high_watermark = partition.high_watermark
            upper = high_watermark if consumer else end
            if offset >= upper:
                entry.dirty = False
                continue
            if quota is not None and self._rules.holds_back(quota, data.replica_id, partition):
                kept.append(entry)
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
                    served.append(entry)  # has more: behind those that got nothing of this answer
            fetch.bytes = size
            fetch.high_watermark = high_watermark
            fetch.log_start_offset = log.log_start_offset
            total += size
            answered.append(fetch)
        if served:
            kept.extend(served)
        session.dirty = kept
        return total

    def urgent(self, data: FetchRequestData) -> bool:
        """An error or a diverging epoch answers the whole fetch at once."""
        for fetch in data.answered:
            if fetch.error != NONE or fetch.diverging_end_offset >= 0:
                return True
            if fetch.preferred_read_replica >= 0 and self._replicas.prefers_at_once:
                return True
        for fetch in data.changed:
            if fetch.error != NONE:
                if fetch not in data.answered:
                    data.answered.append(fetch)
                return True
        return not data.session

    def enough(self, session: FetchSession, data: FetchRequestData) -> bool:
        """Whether ``fetch.min.bytes`` are there, without reading."""
        available = 0
        wanted = min(data.min_bytes, session.max_bytes)
        quota = None if data.replica_id < 0 else self._replicas.leader_quota
        for entry in session.dirty:
            if not entry.active:
                continue
            partition = entry.partition
            fetch = entry.fetch
            if 0 <= fetch.current_leader_epoch != partition.leader_epoch:
                return True
            if partition.role != LEADER and not self._rules.may_follow(data, partition):
                return True
            if not partition.log.log_start_offset <= fetch.fetch_offset <= partition.log.log_end_offset:
                return True
            if self._replicas.prefers_at_once and self._rules.sends_elsewhere(data, fetch, partition):
                return True
            if quota is not None and self._rules.holds_back(quota, data.replica_id, partition):
                continue
            upper = partition.high_watermark if data.replica_id < 0 else partition.log.log_end_offset
            available += min(partition.log.bytes_between(fetch.fetch_offset, upper), fetch.max_bytes)
            if available >= wanted:
                return True
        return False

    def try_parked(self, session: FetchSession, now: float) -> None:
        """Something has happened to a partition of a parked fetch: is it enough?"""
        request = session.parked
        if request is None:
            return
        data = request.fetch
        if data is None or (data.min_bytes > 1 and not self.enough(session, data)):
            return
        locks = self._replicas.locks
        if locks is not None and locks.held > 0 and locks.touches(data):
            return  # looked at again when the lock is free
        size = self.read(session, request, data)
        if size > 0 or self.urgent(data):
            session.parked = None
            request.parked_until = 0.0
            replicas = self._replicas
            ready = replicas.ready_at
            replicas.ready_at = (ready if ready > now else now) + replicas.costs.completion_s
            self.answer(session, request, data, size)

    def _answer_parked(self, session: FetchSession, now: float) -> None:
        """A follower hears of a high watermark that has moved, data or not."""
        request = session.parked
        data = None if request is None else request.fetch
        if request is None or data is None:
            return
        locks = self._replicas.locks
        if locks is not None and locks.held > 0 and locks.touches(data):
            return
        size = self.read(session, request, data)
        session.parked = None
        request.parked_until = 0.0
        self._replicas.ready_at = max(self._replicas.ready_at, now) + self._replicas.costs.completion_s
        self.answer(session, request, data, size)

    def expire(self, request: Request) -> None:
        """The request has waited for its time."""
        data = request.fetch
        if data is None:
            return
        session = self.session_of(request.connection, data)
        if session.parked is not request:
            return
        locks = self._replicas.locks
        if locks is not None and locks.held > 0 and locks.touches(data):
            locks.overdue.append(request)
            return
        session.parked = None
        now = self._replicas.scheduler.now
        self._replicas.ready_at = now + self._replicas.costs.completion_s
        size = self.read(session, request, data)
        self.answer(session, request, data, size)

    def answer(self, session: FetchSession, request: Request, data: FetchRequestData, size: int) -> None:
        """Answer with what was read, and with the high watermarks that moved."""
        replicas = self._replicas
        answered = data.answered
        if data.replica_id < 0:
            if replicas.throttle is not None and self._throttled(session, request, data, size):
                return
            if session.crosses_racks:
                replicas.cross_rack_bytes += size
            for fetch in answered:
                if fetch.bytes > 0:
                    partition = replicas.partitions[fetch.tp.index]
                    if not partition.internal:
                        replicas.monitor.read_out(replicas.broker_id, partition, fetch.bytes)
            per_byte_s = replicas.costs.consumer_fetch_per_byte_s
            replicas.bytes_out += size
        else:
            per_byte_s = replicas.costs.fetch_per_byte_s
            replicas.replication_bytes_out += size
        ready_at = replicas.ready_at + per_byte_s * size
        replicas.ready_at = ready_at
        if session.watermark_dirty:
            many: dict[int, None] | None = None
            if len(session.watermark_dirty) > 16:  # a new session of many partitions: no search for each
                many = dict.fromkeys([fetch.tp.index for fetch in answered])
            for entry in session.watermark_dirty:
                entry.watermark_dirty = False
                fetch = entry.fetch
                if entry.active and fetch.error == NONE and not fetch.batches:
                    fetch.high_watermark = entry.partition.high_watermark
                    fetch.log_start_offset = entry.partition.log.log_start_offset
                    if many is None:
                        if fetch not in answered:
                            answered.append(fetch)
                    elif fetch.tp.index not in many:
                        many[fetch.tp.index] = None
                        answered.append(fetch)
            session.watermark_dirty.clear()
        if data.replica_id >= 0 and replicas.leader_quota is not None:
            self._rules.count_throttled(replicas.leader_quota, answered)
        data.answered_bytes = size
        named = len(answered)
        if not session.cached:
            self._keep(session, data)
            if data.sessionless:
                named = len(session.partitions)
        request.response_bytes = _response_bytes(named, size)
        server = replicas.server
        if server is not None:
            server.respond(request, ready_at)

    def _throttled(self, session: FetchSession, request: Request, data: FetchRequestData, size: int) -> bool:
        """Whether a quota leaves a consumer with an empty answer; what was read is read again next time."""
        throttle = self._replicas.throttle
        answered = data.answered
        if throttle is None or not throttle.fetch(
            request, _response_bytes(len(answered), size), self._replicas.ready_at
        ):
            return False
        data.sessionless = not session.cached  # a full request has not begun a session
        for fetch in answered:
            entry = session.partitions.get(fetch.tp.index)
            if entry is not None and entry.fetch is fetch:
                session.mark(entry)
            else:
                data.sessionless = True  # an error of a partition that is not here: it is asked for again
            fetch.batches.clear()
            fetch.bytes = 0
            fetch.error = NONE
            fetch.preferred_read_replica = -1
        data.answered = []
        data.answered_bytes = 0
        request.response_bytes = FETCH_RESPONSE_BASE_BYTES
        if self._replicas.server is not None:
            self._replicas.server.respond(request, self._replicas.ready_at)
        return True

    def close_session(self, connection: Connection) -> None:
        """A fetcher has gone: its session ends."""
        session = connection.session
        if isinstance(session, FetchSession):
            session.closed = True
            self._replicas.session_cache.remove(session)
            if session.parked is not None:
                session.parked.parked_until = 0.0
                session.parked = None
            for entry in session.partitions.values():
                entry.active = False
                entry.partition.sessions.remove(entry)
            connection.session = None

    def wake_followers(self, partition: Partition, now: float) -> None:
        """An append: the followers' parked fetches have something to read."""
        for entry in partition.sessions:
            session = entry.session
            if session.replica_id >= 0 and entry.active:
                if not entry.dirty:  # FetchSession.mark, in line
                    entry.dirty = True
                    session.dirty.append(entry)
                if session.parked is not None:
                    self.try_parked(session, now)

    def wake_consumers(self, partition: Partition, now: float) -> None:
        """The high watermark has moved: consumers' parked fetches may be answered, followers hear of it next."""
        for entry in partition.sessions:
            if entry.active:
                session = entry.session
                if session.replica_id >= 0:
                    if not entry.watermark_dirty:  # FetchSession.mark_watermark, in line
                        entry.watermark_dirty = True
                        session.watermark_dirty.append(entry)
                    if self.watermark_wakes_followers and session.parked is not None:
                        self._answer_parked(session, now)
                else:
                    if not entry.dirty:  # FetchSession.mark, in line
                        entry.dirty = True
                        session.dirty.append(entry)
                    if session.parked is not None:
                        self.try_parked(session, now)

    def follower_advanced(self, partitions: list[Partition], now: float) -> float:
        """Followers' high watermarks have moved: who reads here may be answered; when the thread is done (s)."""
        self._replicas.ready_at = now
        for partition in partitions:
            self.wake_consumers(partition, now)
        return self._replicas.ready_at

    def wake_all(self, partition: Partition, now: float) -> None:
        """The replica has another role, or is gone: whoever waits on it is looked at."""
        for session_entry in partition.sessions:
            session = session_entry.session
            if session_entry.active:
                session.mark(session_entry)
                if session.parked is not None:
                    self.try_parked(session, now)


def _response_bytes(named: int, size: int) -> int:
    """An answer that names so many partitions and holds ``size`` bytes of records, on the wire."""
    if named:
        size += FETCH_RESPONSE_TOPIC_BYTES + FETCH_RESPONSE_PARTITION_BYTES * named
    return FETCH_RESPONSE_BASE_BYTES + size
