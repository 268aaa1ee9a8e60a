"""What a replica fetcher copies, and whom it tells what happens to it.

Stands for ``PartitionFetchState`` of ``AbstractFetcherThread``.
"""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from kafkasim.broker.partition import Partition
from kafkasim.protocol import FetchPartition, RecordBatch


@mypyc_attr(allow_interpreted_subclasses=True)
class FetcherListener:
    """What fetchers tell their broker."""

    def truncated(self, partition: Partition, removed: list[RecordBatch], cause: int, now: float) -> None:
        """Batches have been cut off a follower's log."""
        raise NotImplementedError

    def log_start_raised(self, partition: Partition, removed: list[RecordBatch], now: float) -> None:
        """A follower's log begins later, as its leader's does; ``removed`` it has dropped at once."""

    def advanced(self, partitions: list[Partition], now: float) -> float:
        """High watermarks of followers that somebody reads have moved; returns when the thread is done (s)."""
        return now

    def backed_off(self, partition: Partition, error: int, now: float) -> None:
        """A partition is delayed after an error."""
        raise NotImplementedError

    def failed(self, partition: Partition, reason: str, now: float) -> None:
        """A partition is not fetched any more until the controller says something new about it."""
        raise NotImplementedError

    def ahead_of_leader(self, partition: Partition, leader_end_offset: int, now: float) -> None:
        """A follower's log is longer than its leader's, and it may not be cut: the process ends (before 2.0)."""
        raise NotImplementedError


class FollowedPartition:
    """One partition of a fetcher: its record in the session, and until when it is delayed.

    ``truncating``: where its log leaves the leader's is still to be found out (releases with a phase for that).
    """

    def __init__(self, partition: Partition, fetch: FetchPartition) -> None:
        self.partition = partition
        self.fetch = fetch
        self.delayed_until: float = 0.0
        self.delayed: bool = False
        self.failed: bool = False
        self.truncating: bool = False
