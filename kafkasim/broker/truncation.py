"""Where a follower's log leaves its leader's, by era, and the cut.

Stands for ``AbstractFetcherThread.maybeTruncate``, ``getOffsetTruncationState``, ``truncateOnFetchResponse`` and
``fetchOffsetAndTruncate``.  Up to 0.10.2 a new follower is cut to its own high watermark when its role is applied
(:mod:`kafkasim.broker.role_changes`).  From 0.11 to 2.6 the fetcher thread asks the leader first, with
OffsetsForLeaderEpoch: once (to 1.1), from 2.0 on until both name the same epoch.  From 2.7 on the answers to its
fetches say so.  In all eras a follower that is told OFFSET_OUT_OF_RANGE asks where the leader's log ends.

A leader whose log begins beyond the follower's end: :meth:`ReplicaFetcher._restart`.
"""

from __future__ import annotations

from typing import Final

from kafkasim.broker.fetcher_settings import FetcherSettings
from kafkasim.broker.followed import FetcherListener, FollowedPartition
from kafkasim.hosts.host import Host
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.messages import ListOffsetsItem, OffsetForLeaderEpochItem
from kafkasim.protocol import FENCED_LEADER_EPOCH, LIST_OFFSETS, NONE, OFFSET_FOR_LEADER_EPOCH, Request

LATEST: Final = -1
# Sizes by the message schemas (OffsetForLeaderEpoch v3, ListOffsets v5, of a replica); a topic's name of 6 letters.
_EPOCHS_BASE_BYTES: Final = 30
_EPOCHS_TOPIC_BYTES: Final = 12
_EPOCHS_PARTITION_BYTES: Final = 12
_OFFSETS_BYTES: Final = 60


class Truncations:
    """What one fetcher thread has to find out before it fetches (on).

    ``pending``: there is something to ask.  After :meth:`question` has given None, or after :meth:`answered`,
    ``decided`` may be fetched, ``refused`` have to wait, ``fenced`` have failed; ``busy_until`` (s) is when the
    thread has made its cuts.
    """

    def __init__(self, scheduler: Scheduler, host: Host, settings: FetcherSettings, listener: FetcherListener) -> None:
        self.pending: bool = False
        self.busy_until: float = 0.0
        self.decided: list[FollowedPartition] = []
        self.refused: list[tuple[FollowedPartition, int]] = []
        self.fenced: list[FollowedPartition] = []
        self._scheduler = scheduler
        self._settings = settings
        self._listener = listener
        self._waiting: list[FollowedPartition] = []
        self._beyond: list[FollowedPartition] = []
        self._asked: list[FollowedPartition] = []

    def begin(self, followed: FollowedPartition) -> None:
        """A partition has a new leader, or an epoch that it did not have."""
        followed.truncating = True
        self._waiting.append(followed)
        self.pending = True

    def out_of_range(self, followed: FollowedPartition) -> None:
        """The leader has answered that its log does not reach to the follower's end."""
        self._beyond.append(followed)
        self.pending = True

    def question(self) -> Request | None:
        """The next request to the leader; None if there is nothing (more) that it has to be asked."""
        self.busy_until = self._scheduler.now
        while self._beyond:
            followed = self._beyond.pop(0)
            if not followed.failed:
                self._asked = [followed]
                item = ListOffsetsItem(followed.partition.tp, LATEST, followed.fetch.current_leader_epoch)
                item.replica = True
                return Request(LIST_OFFSETS, _OFFSETS_BYTES, [item])
        waiting = self._waiting
        self._waiting = []
        asked: list[FollowedPartition] = []
        items: list[OffsetForLeaderEpochItem] = []
        topics: dict[str, None] = {}
        for followed in waiting:
            if followed.failed:
                continue
            epoch = followed.partition.log.latest_epoch()
            if epoch < 0:
                self._decide(followed, followed.partition.high_watermark)
                continue
            tp = followed.partition.tp
            topics[tp.topic] = None
            items.append(OffsetForLeaderEpochItem(tp, epoch, followed.fetch.current_leader_epoch))
            asked.append(followed)
        self.pending = False
        self._asked = asked
        if not items:
            return None
        size = _EPOCHS_BASE_BYTES + _EPOCHS_TOPIC_BYTES * len(topics) + _EPOCHS_PARTITION_BYTES * len(items)
        return Request(OFFSET_FOR_LEADER_EPOCH, size, items)

    def answered(self, request: Request) -> None:
        """The leader has answered :meth:`question`."""
        self.busy_until = self._scheduler.now
        asked = self._asked
        self._asked = []
        if request.api == LIST_OFFSETS:
            offsets: list[ListOffsetsItem] = request.body
            self._end_of_leader(asked[0], offsets[0])
        else:
            ends: list[OffsetForLeaderEpochItem] = request.body
            for position in range(len(asked)):
                followed = asked[position]
                if not followed.failed and not self._fails(followed, ends[position].error):
                    self._end_of_epoch(followed, ends[position])
        self.pending = bool(self._beyond or self._waiting)

    def unanswered(self) -> list[FollowedPartition]:
        """The connection is broken: what was to be asked for has to wait."""
        left = [followed for followed in self._asked + self._beyond + self._waiting if not followed.failed]
        self._asked = []
        self._beyond = []
        self._waiting = []
        self.pending = False
        return left

    def _fails(self, followed: FollowedPartition, error: int) -> bool:
        if error == NONE:
            return False
        if error == FENCED_LEADER_EPOCH:
            followed.failed = True
            self.fenced.append(followed)
        else:
            self.refused.append((followed, error))
        return True

    def _end_of_leader(self, followed: FollowedPartition, item: ListOffsetsItem) -> None:
        if followed.failed or self._fails(followed, item.error):
            return
        partition = followed.partition
        if item.offset < partition.log.log_end_offset:
            if self._settings.halts_ahead and not partition.unclean_allowed:
                followed.failed = True
                self._listener.ahead_of_leader(partition, item.offset, self._scheduler.now)
                return
            self._decide(followed, item.offset)
        else:
            self.decided.append(followed)  # the leader has grown meanwhile

    def _end_of_epoch(self, followed: FollowedPartition, item: OffsetForLeaderEpochItem) -> None:
        log = followed.partition.log
        end = log.log_end_offset
        if item.end_offset < 0:
            self._decide(followed, min(followed.partition.high_watermark, end))
            return
        target = min(item.end_offset, end)
        if self._settings.asks_epoch_again and item.end_epoch >= 0:
            own_epoch, own_end = log.end_offset_for(item.end_epoch)
            if own_end >= 0:
                target = min(target, own_end)
                if own_epoch != item.end_epoch:
                    # An epoch that this log does not have: cut to where its last older one ends, and ask again.
                    self.cut(followed, min(own_end, end))
                    self._waiting.append(followed)
                    return
        self._decide(followed, target)

    def _decide(self, followed: FollowedPartition, target: int) -> None:
        self.cut(followed, target)
        followed.truncating = False
        self.decided.append(followed)

    def diverged(self, followed: FollowedPartition, at: float) -> float:
        """A fetch's answer has told the epoch and end offset that both logs share; returns when the cut is made (s)."""
        log = followed.partition.log
        fetch = followed.fetch
        own_epoch, own_end = log.end_offset_for(fetch.diverging_epoch)
        target = min(fetch.diverging_end_offset, log.log_end_offset)
        if own_epoch >= 0:
            target = min(target, own_end)
        self.busy_until = at
        self.cut(followed, target)
        return self.busy_until

    def cut(self, followed: FollowedPartition, offset: int) -> None:
        """Truncate; the thread waits for every file that is synced, other partitions with it."""
        partition = followed.partition
        log = partition.log
        removed = log.truncate(offset)
        if partition.high_watermark > log.log_end_offset:
            partition.high_watermark = log.log_end_offset
        if removed:
            self._listener.truncated(partition, removed, partition.epoch_cause, self._scheduler.now)
            disk = log.storage.disk
            at = self.busy_until
            if self._settings.syncs_cut_epochs:
                at = disk.fsync(at)
            at = disk.fsync(at)  # the snapshot that ends the rebuild of the producer state
            self.busy_until = disk.fsync(at)  # the directory's recovery-point checkpoint
        followed.fetch.fetch_offset = log.log_end_offset
        if self._settings.truncates_on_fetch:
            followed.fetch.last_fetched_epoch = log.latest_epoch()
