"""A replica fetcher: copies from one source broker what this broker follows there.

Stands for ``ReplicaFetcherThread`` and ``AbstractFetcherThread``: one thread, one connection,
one request in flight; build the fetch for all ready partitions, send, wait, append
everything, again.  An error delays a partition by ``replica.fetch.backoff.ms``; the delay's
end is noticed when the running fetch returns.

Truncation is the one of IBP 2.7 and later: the leader answers a diverging epoch instead of
data.  Left out: throttles, tiered storage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mypy_extensions import mypyc_attr

from kafkasim.broker.fetcher_settings import FetcherSettings
from kafkasim.broker.partition import FOLLOWER, Partition
from kafkasim.clients.java_hash import string_hash
from kafkasim.connection import OPEN, Connection, ConnectionOwner, Directory
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
    RecordBatch,
    Request,
)

# Sizes by the message schema (v17, follower, incremental).
FETCH_REQUEST_BASE_BYTES: Final = 73
FETCH_REQUEST_TOPIC_BYTES: Final = 18
FETCH_REQUEST_PARTITION_BYTES: Final = 33


def fetcher_number(topic: str, partition: int, threads: int) -> int:
    """Which of ``num.replica.fetchers`` threads copies a partition (``AbstractFetcherManager.getFetcherId``)."""
    return ((31 * string_hash(topic) + partition) & 0x7FFFFFFF) % threads


@mypyc_attr(allow_interpreted_subclasses=True)
class FetcherListener:
    """What fetchers tell their broker."""

    def truncated(self, partition: Partition, removed: list[RecordBatch], cause: int, now: float) -> None:
        """Batches have been cut off a follower's log."""
        raise NotImplementedError

    def backed_off(self, partition: Partition, error: int, now: float) -> None:
        """A partition is delayed after an error."""
        raise NotImplementedError


class FollowedPartition:
    """One partition of a fetcher: its record in the session, and until when it is delayed."""

    def __init__(self, partition: Partition, fetch: FetchPartition) -> None:
        self.partition = partition
        self.fetch = fetch
        self.delayed_until: float = 0.0
        self.delayed: bool = False
        self.failed: bool = False


class ReplicaFetcher(ConnectionOwner):
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
        self.broker_id: int = broker_id
        self.source_id: int = source_id
        self.name: str = f"{broker_id}/{source_id}" if number == 0 else f"{broker_id}/{source_id}/{number}"
        self.host = host
        self.settings = settings
        self.listener = listener
        self.followed: dict[int, FollowedPartition] = {}
        self.requests: int = 0
        self.busy_s: float = 0.0
        self.alive: bool = True
        self._scheduler = scheduler
        self._network = network
        self._directory = directory
        self._life = Life(scheduler) if life is None else life
        self._connection: Connection | None = None
        self._session: dict[int, FetchPartition] = {}
        self._data: FetchRequestData | None = None
        self._changed: list[FetchPartition] = []
        self._forgotten: list[FetchPartition] = []
        self._fresh: list[FollowedPartition] = []
        self._delayed: list[FollowedPartition] = []
        self._running: bool = False
        self._sessionless: bool = False
        self._sleep_generation: int = 0
        self._generation: int = 0
        self._on_processed: Callable[[Request], None] = self._process  # a bound method is made once

    # ---- what LeaderAndIsr does

    def add(self, partition: Partition) -> None:
        """Follow ``partition`` from its log's end on; noticed when the running fetch returns."""
        fetch = FetchPartition(partition.tp)
        fetch.fetch_offset = partition.log.log_end_offset
        fetch.current_leader_epoch = partition.leader_epoch
        fetch.last_fetched_epoch = partition.log.latest_epoch()
        fetch.max_bytes = self.settings.partition_max_bytes
        fetch.cause = partition.epoch_cause
        followed = FollowedPartition(partition, fetch)
        self.followed[partition.tp.index] = followed
        self._fresh.append(followed)
        if not self._running:
            self._sleep_generation += 1
            self._running = True
            self._scheduler.call_at(self._scheduler.now, self._work, self._generation)

    def remove(self, partition: Partition) -> None:
        """Follow ``partition`` no more; the running fetch's answer is ignored for it."""
        followed = self.followed.pop(partition.tp.index, None)
        if followed is None:
            return
        followed.failed = True
        if self._session.get(partition.tp.index) is followed.fetch:
            del self._session[partition.tp.index]
            self._forgotten.append(followed.fetch)

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
        if generation != self._generation or self._life.holds(self._work, generation):
            return
        now = self._scheduler.now
        if self._fresh:
            for followed in self._fresh:
                if not followed.failed:
                    self._session[followed.fetch.tp.index] = followed.fetch
                    self._changed.append(followed.fetch)
            self._fresh.clear()
        if self._delayed:
            self._end_delays(now)
        if not self._session:
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

    def _end_delays(self, now: float) -> None:
        still: list[FollowedPartition] = []
        for followed in self._delayed:
            if followed.failed:
                continue
            if followed.delayed_until <= now:
                followed.delayed = False
                self._session[followed.fetch.tp.index] = followed.fetch
                self._changed.append(followed.fetch)
            else:
                still.append(followed)
        self._delayed = still

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
        )
        # A new connection begins a new session: a full fetch.
        settings = self.settings
        self._data = FetchRequestData(
            self.broker_id, self._session, settings.max_wait_s, settings.min_bytes, settings.response_max_bytes
        )
        self._forgotten = []
        self._changed = list(self._session.values())
        self._connection.open()

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
        connection.send(Request(FETCH, size, None, 0, None, data), now)

    def connection_opened(self, connection: Connection) -> None:
        """Fetchers skip ApiVersions: the first fetch goes out at once."""
        if connection is self._connection and self.alive:
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
        for index in list(self._session):
            followed = self.followed.get(index)
            if followed is not None:
                self._delay(followed, now)
        self._session = {}
        self._changed = []
        self._forgotten = []
        if self.alive:
            self._work(self._generation)

    def _delay(self, followed: FollowedPartition, now: float) -> None:
        followed.delayed = True
        followed.delayed_until = now + self.settings.backoff_s
        self._delayed.append(followed)
        self._session.pop(followed.fetch.tp.index, None)

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
        if data is None:
            raise AssertionError("a fetcher only fetches")
        now = self._scheduler.now
        settings = self.settings
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
                    partition.high_watermark = high_watermark
        connection = self._connection
        if synced_at > now:
            self._scheduler.call_at(synced_at, self._work, self._generation)
        elif self._fresh or self._delayed or not self._session or connection is None or connection.state != OPEN:
            self._work(self._generation)
        else:
            self._send(connection, now)

    def _append(self, partition: Partition, fetch: FetchPartition, at: float) -> float:
        """Append what came; returns when the thread is done with it (an epoch file may be synced)."""
        log = partition.log
        batches = fetch.batches
        for batch in batches:
            if not log.epochs or batch.leader_epoch > log.epochs[-1]:
                if log.assign_epoch(batch.leader_epoch, batch.base_offset):
                    at = self.host.disk.fsync(at)
            if self.settings.syncs_rolls and log.needs_snapshot(batch):
                at = self.host.disk.fsync(at)
            log.append(batch)
        fetch.fetch_offset = log.log_end_offset
        fetch.last_fetched_epoch = log.epochs[-1]
        self._changed.append(fetch)
        batches.clear()
        return at

    def _process_refusal(self, followed: FollowedPartition, at: float) -> float:
        """Cut the log or delay the partition; returns when the thread is done with it (s)."""
        now = self._scheduler.now
        fetch = followed.fetch
        partition = followed.partition
        error = fetch.error
        if error == NONE:
            at = self._truncate(followed, fetch.diverging_epoch, fetch.diverging_end_offset, at)
            self._changed.append(fetch)
        elif error == OFFSET_OUT_OF_RANGE:
            # The leader's log is shorter: only after an unclean election or lost data.
            at = self._cut(followed, fetch.high_watermark if fetch.high_watermark >= 0 else 0, at)
            self._changed.append(fetch)
        elif error == FENCED_LEADER_EPOCH and fetch.current_leader_epoch == partition.leader_epoch:
            followed.failed = True
            self.followed.pop(fetch.tp.index, None)
            self._session.pop(fetch.tp.index, None)
            self._forgotten.append(fetch)
        else:
            self._delay(followed, now)
            self._forgotten.append(fetch)
            self.listener.backed_off(partition, error, now)
        fetch.current_leader_epoch = partition.leader_epoch
        _empty(fetch)
        return at

    def _truncate(self, followed: FollowedPartition, epoch: int, end_offset: int, at: float) -> float:
        log = followed.partition.log
        own_epoch, own_end = log.end_offset_for(epoch)
        target = min(end_offset, log.log_end_offset)
        if own_epoch >= 0:
            target = min(target, own_end)
        return self._cut(followed, target, at)

    def _cut(self, followed: FollowedPartition, offset: int, at: float) -> float:
        """Truncate; the thread waits for every file that is synced, other partitions with it."""
        partition = followed.partition
        log = partition.log
        removed = log.truncate(offset)
        if partition.high_watermark > log.log_end_offset:
            partition.high_watermark = log.log_end_offset
        if removed:
            self.listener.truncated(partition, removed, partition.epoch_cause, self._scheduler.now)
            disk = self.host.disk
            if self.settings.syncs_cut_epochs:
                at = disk.fsync(at)
            at = disk.fsync(at)  # the snapshot that ends the rebuild of the producer state
            at = disk.fsync(at)  # the directory's recovery-point checkpoint
        followed.fetch.fetch_offset = log.log_end_offset
        followed.fetch.last_fetched_epoch = log.latest_epoch()
        return at


def _empty(fetch: FetchPartition) -> None:
    fetch.batches = []
    fetch.bytes = 0
    fetch.error = NONE
    fetch.diverging_epoch = -1
    fetch.diverging_end_offset = -1
