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
