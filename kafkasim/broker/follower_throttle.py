"""A follower's side of the replication throttle: what a fetcher thread leaves out of its next fetch.

Stands for ``shouldFollowerThrottle``: a throttled partition that is behind the leader's high watermark, or of which
that is not known yet, is not asked for while too much comes in.
"""

from __future__ import annotations

from kafkasim.broker.replication_quota import ReplicationQuota
from kafkasim.kernel.clock import Clock
from kafkasim.protocol import FetchPartition, TopicPartition


class FollowerThrottle:
    """The throttle of one fetcher thread, with the partitions that are left out now."""

    def __init__(self, quota: ReplicationQuota, clock: Clock) -> None:
        self.held: dict[int, FetchPartition] = {}
        self._quota = quota
        self._clock = clock

    def hold_back(self, session: dict[int, FetchPartition], forgotten: list[FetchPartition], now: float) -> bool:
        """Take out of ``session`` what may not be fetched now; False: nothing has to wait."""
        if not self._quota.exceeded(self._clock.ms(now)):
            return False
        for index, fetch in list(session.items()):
            behind = fetch.high_watermark < 0 or fetch.high_watermark > fetch.fetch_offset
            if behind and self._quota.throttles(fetch.tp):
                del session[index]
                forgotten.append(fetch)
                self.held[index] = fetch
        return True

    def release(self, session: dict[int, FetchPartition], changed: list[FetchPartition]) -> None:
        """What was held back is fetched again."""
        for index, fetch in self.held.items():
            session[index] = fetch
            changed.append(fetch)
        self.held.clear()

    def record(self, tp: TopicPartition, size_bytes: int, now: float) -> None:
        """Records have come; they count if their partition is throttled."""
        if self._quota.throttles(tp):
            self._quota.record(size_bytes, self._clock.ms(now))
