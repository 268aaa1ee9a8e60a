"""The partitions of one fetcher thread: what is fetched, what waits, what has failed.

Stands for ``PartitionStates`` and the ``…Partitions`` methods of ``AbstractFetcherThread``.
"""

from __future__ import annotations

from kafkasim.broker.fetcher_settings import FetcherSettings
from kafkasim.broker.followed import FetcherListener, FollowedPartition
from kafkasim.broker.follower_throttle import FollowerThrottle
from kafkasim.broker.partition import Partition
from kafkasim.broker.truncation import Truncations
from kafkasim.connection import ConnectionOwner
from kafkasim.hosts.host import Host
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.protocol import FetchPartition


class PartitionStates(ConnectionOwner):
    """What a fetcher follows.  ``dead``: the thread has ended with an error (before 2.3), and fetches no more."""

    def __init__(
        self, name: str, scheduler: Scheduler, host: Host, settings: FetcherSettings, listener: FetcherListener
    ) -> None:
        self.name: str = name
        self.host = host
        self.settings = settings
        self.listener = listener
        self.followed: dict[int, FollowedPartition] = {}
        self.dead: bool = False
        self.throttle: FollowerThrottle | None = None
        self._scheduler = scheduler
        self._session: dict[int, FetchPartition] = {}
        self._changed: list[FetchPartition] = []
        self._forgotten: list[FetchPartition] = []
        self._fresh: list[FollowedPartition] = []
        self._delayed: list[FollowedPartition] = []
        self._truncations = Truncations(scheduler, host, settings, listener)

    def remove(self, partition: Partition) -> None:
        """Follow ``partition`` no more; the running fetch's answer is ignored for it."""
        followed = self.followed.pop(partition.tp.index, None)
        if followed is None:
            return
        followed.failed = True
        if self.throttle is not None:
            self.throttle.held.pop(partition.tp.index, None)
        if self._session.get(partition.tp.index) is followed.fetch:
            del self._session[partition.tp.index]
            self._forgotten.append(followed.fetch)

    def _begin_fresh(self) -> None:
        """What was added since: fetched at once, or first asked about (0.11 to 2.6)."""
        # Up to 0.10.2 the log was cut when the role was applied.
        asks = self.settings.keeps_epochs and not self.settings.truncates_on_fetch
        for followed in self._fresh:
            if followed.failed:
                continue
            if asks:
                self._truncations.begin(followed)
            else:
                self._enter(followed)
        self._fresh.clear()

    def _end_delays(self, now: float) -> None:
        still: list[FollowedPartition] = []
        for followed in self._delayed:
            if followed.failed:
                continue
            if followed.delayed_until <= now:
                followed.delayed = False
                if followed.truncating:
                    self._truncations.begin(followed)
                else:
                    self._enter(followed)
            else:
                still.append(followed)
        self._delayed = still

    def _enter(self, followed: FollowedPartition) -> None:
        """From now on the partition is fetched."""
        self._session[followed.fetch.tp.index] = followed.fetch
        self._changed.append(followed.fetch)

    def _put_off(self, followed: FollowedPartition, error: int, now: float) -> None:
        """Delay a partition after an error."""
        if followed.fetch.tp.index in self._session:
            self._forgotten.append(followed.fetch)
        self._delay(followed, now)
        self.listener.backed_off(followed.partition, error, now)

    def _give_up(self, followed: FollowedPartition) -> None:
        """The partition has failed: it waits for the controller's next word."""
        followed.failed = True
        fetch = followed.fetch
        self.followed.pop(fetch.tp.index, None)
        if self._session.pop(fetch.tp.index, None) is not None:
            self._forgotten.append(fetch)

    def _delay(self, followed: FollowedPartition, now: float) -> None:
        followed.delayed = True
        followed.delayed_until = now + self.settings.backoff_s
        self._delayed.append(followed)
        self._session.pop(followed.fetch.tp.index, None)

    def _fit(self, partition: Partition, fetch: FetchPartition) -> bool:
        """Logs that differ: the leader's batch begins before this log's end.

        Before batches (0.11) a log is read by the record: what is missing of the batch is appended.  Later a batch
        that begins earlier does not fit; the partition fails (2.3 on), or the thread ends with all its partitions.
        """
        batch = fetch.batches[0]
        end = partition.log.log_end_offset
        if not self.settings.keeps_epochs and batch.base_offset < end < batch.base_offset + batch.count:
            fetch.batches[0] = batch.tail(end - batch.base_offset)
            return True
        fetch.batches.clear()
        now = self._scheduler.now
        followed = self.followed[fetch.tp.index]
        if self.settings.fails_partitions:
            self._give_up(followed)
            self.listener.failed(partition, f"a batch at {batch.base_offset} does not fit its end {end}", now)
        else:
            self.dead = True
            self.listener.failed(partition, f"a batch at {batch.base_offset} ends the thread {self.name}", now)
        return False
