"""A replica fetcher: copies from one source broker what this broker follows there.

Stands for ``ReplicaFetcherThread`` and ``AbstractFetcherThread``: one thread, one connection,
one request in flight; build the fetch for all ready partitions, send, wait, append
everything, again.  An error delays a partition by ``replica.fetch.backoff.ms``; the delay's
end is noticed when the running fetch returns.

How it finds out where its log leaves the leader's is told in :mod:`kafkasim.broker.truncation`.  Left out:
tiered storage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kafkasim.broker.append_gate import flush_is_due
from kafkasim.broker.fetcher_settings import FetcherSettings
from kafkasim.broker.flushing import flush
from kafkasim.broker.followed import FetcherListener, FollowedPartition
from kafkasim.broker.partition import FOLLOWER, Partition
from kafkasim.broker.partition_states import PartitionStates
from kafkasim.clients.java_hash import string_hash
from kafkasim.connection import OPEN, Connection, Directory
from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.network import Network
from kafkasim.protocol import (
    FENCED_LEADER_EPOCH,
    FETCH,
    NONE,
    OFFSET_OUT_OF_RANGE,
    FetchPartition,
    FetchRequestData,
    Request,
)

# Sizes by the message schema (v17, follower, incremental).
FETCH_REQUEST_BASE_BYTES: Final = 73
FETCH_REQUEST_TOPIC_BYTES: Final = 18
FETCH_REQUEST_PARTITION_BYTES: Final = 33


def fetcher_number(topic: str, partition: int, threads: int) -> int:
    """Which of ``num.replica.fetchers`` threads copies a partition (``AbstractFetcherManager.getFetcherId``)."""
    return ((31 * string_hash(topic) + partition) & 0x7FFFFFFF) % threads


class ReplicaFetcher(PartitionStates):
    """The fetcher thread of one broker for one source broker."""

    def __init__(
        self,
        scheduler: Scheduler,
        network: Network,
        directory: Directory,
        host: Host,
        broker_id: int,
        source_id: int,
        settings: FetcherSettings,
        listener: FetcherListener,
        life: Life | None = None,
        number: int = 0,
    ) -> None:
        name = f"{broker_id}/{source_id}" if number == 0 else f"{broker_id}/{source_id}/{number}"
        super().__init__(name, scheduler, host, settings, listener)
        self.broker_id: int = broker_id
        self.source_id: int = source_id
        self.requests: int = 0
        self.busy_s: float = 0.0
        self.alive: bool = True
        self._network = network
        self._directory = directory
        self._life = Life(scheduler) if life is None else life
        self._connection: Connection | None = None
        self._data: FetchRequestData | None = None
        self._running: bool = False
        self._sent_at: float = 0.0
        self._sessionless: bool = False
        self._sleep_generation: int = 0
        self._generation: int = 0
        self._asking: bool = False
        self._on_processed: Callable[[Request], None] = self._process  # a bound method is made once

    # ---- what LeaderAndIsr does

    def add(self, partition: Partition) -> None:
        """Follow ``partition`` from its log's end on; noticed when the running fetch returns."""
        followed = FollowedPartition(partition, self._fetch_of(partition))
        self.followed[partition.tp.index] = followed
        self._fresh.append(followed)
        if not self._running:
            self._sleep_generation += 1
            self._running = True
            self._scheduler.call_at(self._scheduler.now, self._work, self._generation)

    def _fetch_of(self, partition: Partition) -> FetchPartition:
        fetch = FetchPartition(partition.tp)
        fetch.fetch_offset = partition.log.log_end_offset
        if self.settings.fences:
            fetch.current_leader_epoch = partition.leader_epoch
        if self.settings.truncates_on_fetch:
            fetch.last_fetched_epoch = partition.log.latest_epoch()
        fetch.max_bytes = self.settings.partition_max_bytes
        fetch.cause = partition.epoch_cause
        return fetch

    def shut_down(self) -> None:
        """The thread ends (nothing left to follow, or the process has died)."""
        self.alive = False
        self._generation += 1
        self._sleep_generation += 1
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # ---- the thread

    def _work(self, generation: int) -> None:
        """Build the next fetch; sleep when there is nothing to fetch."""
        if generation != self._generation or self.dead or self._life.holds(self._work, generation):
            return
        now = self._scheduler.now
        if self._fresh:
            self._begin_fresh()
        if self._delayed:
            self._end_delays(now)
        if self._truncations.pending:
            self._running = True
            known = self._connection
            if known is None or known.state != OPEN:
                self._connect()
            else:
                self._ask(known)
            return
        throttle = self.throttle
        if throttle is not None and not throttle.hold_back(self._session, self._forgotten, now):
            throttle.release(self._session, self._changed)
        if not self._session and (throttle is None or not self._forgotten or self._connection is None):
            self._running = False
            self._sleep_generation += 1
            self._scheduler.call_at(now + self.settings.backoff_s, self._wake, self._sleep_generation)
            return
        self._running = True
        connection = self._connection
        if connection is None or connection.state != OPEN:
            self._connect()
            return
        self._send(connection, now)

    def _wake(self, sleep_generation: int) -> None:
        if self._life.holds(self._wake, sleep_generation):
            return
        if sleep_generation == self._sleep_generation and self.followed:
            self._running = True
            self._work(self._generation)

    def _ask(self, connection: Connection) -> None:
        """Ask the leader where its log leaves this one's, before anything else is fetched."""
        request = self._truncations.question()
        if request is None:
            self._go_on()
        else:
            self._asking = True
            self.requests += 1
            connection.send(request, self._scheduler.now)

    def _answered(self, request: Request) -> None:
        if request.pool_generation != self._generation or self._life.holds(self._answered, request):
            return
        self._truncations.answered(request)
        self._go_on()

    def _go_on(self) -> None:
        """Fetch what is decided, delay what was refused, when the cuts are made."""
        if not self.alive:
            return
        now = self._scheduler.now
        truncations = self._truncations
        for followed in truncations.decided:
            if not followed.failed:
                self._enter(followed)
        for followed in truncations.fenced:
            self._give_up(followed)
        for followed, error in truncations.refused:
            self._put_off(followed, error, now)
        truncations.decided.clear()
        truncations.fenced.clear()
        truncations.refused.clear()
        if truncations.busy_until > now:
            self._scheduler.call_at(truncations.busy_until, self._work, self._generation)
        else:
            self._work(self._generation)

    def _connect(self) -> None:
        directory = self._directory
        self._connection = Connection(
            self._network,
            f"fetcher/{self.name}",
            self,
            self.host,
            directory.server(self.source_id),
            directory.host(self.source_id),
            self.source_id,
            None,
            self.settings.receive_buffer_bytes,
        )
        # A new connection begins a new session: a full fetch.
        settings = self.settings
        self._data = FetchRequestData(
            self.broker_id, self._session, settings.max_wait_s, settings.min_bytes, settings.response_max_bytes
        )
        self._forgotten = []
        self._changed = list(self._session.values())
        self._connection.open()
        self._scheduler.call_at(self._scheduler.now + settings.connect_timeout_s, self._watch, self._connection)

    def _watch(self, connection: Connection) -> None:
        """Give up a connection that is not open by now, or whose fetch is unanswered for ``request.timeout.ms``."""
        if connection is not self._connection or not self.alive or self._life.holds(self._watch, connection):
            return
        now = self._scheduler.now
        due = now
        if connection.state == OPEN:
            due = self._sent_at + self.settings.request_timeout_s
            if not self._running or due > now:
                # Nothing is unanswered, or not for so long: look when the last one would be due.
                due = max(due, now + self.settings.request_timeout_s) if not self._running else due
                self._scheduler.call_at(due, self._watch, connection)
                return
        connection.close()
        self._connection = None
        for followed in self.followed.values():
            # The source may still read for the request that was given up: into what nobody looks at any more.
            followed.fetch = self._fetch_of(followed.partition)
        self._delay_all()

    def clock_stepped(self, step_s: float) -> None:
        """The process's time of day has jumped: what is unanswered looks as much older."""
        self._sent_at -= step_s
        due = self._sent_at + self.settings.request_timeout_s
        if self._running and self._connection is not None and due <= self._scheduler.now:
            self._watch(self._connection)

    def _send(self, connection: Connection, now: float) -> None:
        changed = self._changed
        forgotten = self._forgotten
        size = FETCH_REQUEST_BASE_BYTES
        if self._sessionless:
            changed = list(self._session.values())
            size += FETCH_REQUEST_TOPIC_BYTES + FETCH_REQUEST_PARTITION_BYTES * len(changed)
        elif changed or forgotten:
            size += FETCH_REQUEST_TOPIC_BYTES + FETCH_REQUEST_PARTITION_BYTES * (len(changed) + len(forgotten))
            if forgotten:
                self._forgotten = []
        data = self._data
        assert data is not None
        data.name(changed, forgotten if forgotten else None)
        self._changed = []
        self.requests += 1
        self._sent_at = now
        connection.send(Request(FETCH, size, None, 0, None, data), now)

    def connection_opened(self, connection: Connection) -> None:
        """Fetchers skip ApiVersions: the first request goes out at once."""
        if connection is self._connection and self.alive:
            if self._truncations.pending:
                self._ask(connection)
            else:
                self._send(connection, self._scheduler.now)

    def connection_refused(self, connection: Connection) -> None:
        """Nobody listens: all partitions of the thread are delayed."""
        if connection is self._connection:
            self._connection = None
            self._delay_all()

    def connection_lost(self, connection: Connection) -> None:
        """The source has reset the connection: all partitions of the thread are delayed."""
        if connection is self._connection:
            self._connection = None
            self._delay_all()

    def _delay_all(self) -> None:
        now = self._scheduler.now
        if self._asking or self._truncations.pending:
            # It is the question that has failed: only those whom it was for have to wait.
            self._asking = False
            for followed in self._truncations.unanswered():
                self._delay(followed, now)
            if self.alive:
                self._work(self._generation)
            return
        for index in list(self._session):
            known = self.followed.get(index)
            if known is not None:
                self._delay(known, now)
        self._session = {}
        self._changed = []
        self._forgotten = []
        if self.alive:
            self._work(self._generation)

    # ---- answers

    @property
    def life(self) -> Life:
        """The broker's process."""
        return self._life

    def response_arrived(self, request: Request) -> None:
        """Append everything (CPU of the thread), then take note and fetch again."""
        if not self.alive or request.connection is not self._connection:
            return
        if self._life.stopped_until > 0.0 and self._life.holds(self.response_arrived, request):
            return
        data = request.fetch
        now = self._scheduler.now
        settings = self.settings
        if data is None:
            self._asking = False
            request.pool_generation = self._generation
            self._scheduler.call_at(
                self.host.compute(now, settings.fetch_s + settings.wake_up_s), self._answered, request
            )
            return
        service_s = (
            settings.fetch_s
            + settings.wake_up_s
            + settings.per_byte_s * data.answered_bytes
            + settings.per_session_partition_s * len(self._session)
        )
        self.busy_s += service_s
        done = self.host.compute(now, service_s)
        request.pool_generation = self._generation
        self._scheduler.call_at(done, self._on_processed, request)

    def _process(self, request: Request) -> None:
        data = request.fetch
        if data is None or request.pool_generation != self._generation:
            return
        if self._life.stopped_until > 0.0 and self._life.holds(self._on_processed, request):
            return
        now = self._scheduler.now
        self._sessionless = data.sessionless
        if request.error != NONE:
            self._changed = list(self._session.values())  # the session is gone: a full fetch begins another
        synced_at = now
        moved: list[Partition] | None = None
        for fetch in data.answered:
            followed = self.followed.get(fetch.tp.index)
            if followed is None or followed.fetch is not fetch:
                _empty(fetch)
            elif fetch.error != NONE or fetch.diverging_end_offset >= 0:
                synced_at = self._process_refusal(followed, synced_at)
            elif followed.partition.role != FOLLOWER:
                _empty(fetch)
            else:
                partition = followed.partition
                fetch.bytes = 0
                if fetch.batches:
                    synced_at = self._append(partition, fetch, synced_at)
                high_watermark = fetch.high_watermark
                end = partition.log.log_end_offset
                if high_watermark > end:
                    high_watermark = end
                if high_watermark >= 0:
                    if partition.sessions and high_watermark > partition.high_watermark:
                        moved = [partition] if moved is None else [*moved, partition]
                    partition.high_watermark = high_watermark
                if fetch.log_start_offset > partition.log.log_start_offset:
                    self._raise_start(partition, fetch.log_start_offset)
        if moved is not None:
            synced_at = max(synced_at, self.listener.advanced(moved, now))
        if synced_at > now:
            self._scheduler.call_at(synced_at, self._work, self._generation)
            return
        connection = self._connection
        if (
            connection is None
            or connection.state != OPEN
            or self._fresh
            or self._delayed
            or not self._session
            or self._truncations.pending
            or self.throttle is not None
            or self.dead
        ):
            self._work(self._generation)
        else:
            self._send(connection, now)

    def _append(self, partition: Partition, fetch: FetchPartition, at: float) -> float:
        """Append what came; returns when the thread is done with it (an epoch file may be synced)."""
        log = partition.log
        batches = fetch.batches
        if batches[0].base_offset < log.log_end_offset and not self._fit(partition, fetch):
            return at
        if self.settings.watches_storage:
            size = sum([batch.size_bytes for batch in batches])
            if not log.storage.takes(size):
                batches.clear()
                return at
            write_back = log.storage.disk.write_back
            if write_back is not None:
                at += write_back.admit(at, size)
        for batch in batches:
            if not log.epochs or batch.leader_epoch > log.epochs[-1]:
                if log.assign_epoch(batch.leader_epoch, batch.base_offset) and self.settings.keeps_epochs:
                    at = log.storage.disk.fsync(at)
            if self.settings.syncs_rolls and log.needs_snapshot(batch):
                at = log.storage.disk.fsync(at)
            log.append(batch)
        if self.throttle is not None:
            self.throttle.record(fetch.tp, sum([batch.size_bytes for batch in batches]), at)
        fetch.fetch_offset = log.log_end_offset
        if self.settings.truncates_on_fetch:
            fetch.last_fetched_epoch = log.epochs[-1]
        self._changed.append(fetch)
        batches.clear()
        if self.settings.watches_storage and flush_is_due(log, 0):
            at = flush(log, log.log_end_offset, at, self._scheduler.now)
        return at

    def _process_refusal(self, followed: FollowedPartition, at: float) -> float:
        """Cut the log or delay the partition; returns when the thread is done with it (s)."""
        now = self._scheduler.now
        fetch = followed.fetch
        partition = followed.partition
        error = fetch.error
        if error == NONE:
            at = self._truncations.diverged(followed, at)
            self._changed.append(fetch)
        elif error == OFFSET_OUT_OF_RANGE and fetch.fetch_offset < fetch.log_start_offset:
            at = self._restart(followed, fetch.log_start_offset, at)
            self._changed.append(fetch)
        elif error == OFFSET_OUT_OF_RANGE:
            # The leader's log is shorter: only after an unclean election or lost data.
            self._truncations.out_of_range(followed)
        elif error == FENCED_LEADER_EPOCH and fetch.current_leader_epoch == partition.leader_epoch:
            self._give_up(followed)
        else:
            self._put_off(followed, error, now)
        if self.settings.fences:
            fetch.current_leader_epoch = partition.leader_epoch
        _empty(fetch)
        return at

    def _raise_start(self, partition: Partition, offset: int) -> None:
        """The leader's log begins later: so does this one (its segments are deleted by the next retention pass)."""
        if partition.log.raise_start(min(offset, partition.high_watermark)):
            self.listener.log_start_raised(partition, [], self._scheduler.now)

    def _restart(self, followed: FollowedPartition, offset: int, at: float) -> float:
        """The leader has deleted what comes next: begin again with an empty log at the leader's start."""
        partition = followed.partition
        removed = partition.log.restart_at(offset)
        partition.high_watermark = offset
        self.listener.log_start_raised(partition, removed, self._scheduler.now)
        followed.fetch.fetch_offset = offset
        followed.fetch.last_fetched_epoch = -1
        return partition.log.storage.disk.fsync(at)  # the directory's recovery-point checkpoint


def _empty(fetch: FetchPartition) -> None:
    fetch.batches = []
    fetch.bytes = 0
    fetch.error = NONE
    fetch.diverging_epoch = -1
    fetch.diverging_end_offset = -1
