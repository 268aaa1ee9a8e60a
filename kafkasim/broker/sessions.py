"""Fetch sessions at the broker (KIP-227): what a fetcher asks for, kept between its requests.

A session is registered once with each of its partitions; an append or a high watermark
that moves marks the partition in the sessions that wait for it, so that a fetch costs the
partitions that changed and never a walk over all of them.

Left out: the cache's slots and evictions (every session is incremental).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafkasim.protocol import FetchPartition, Request

if TYPE_CHECKING:
    from kafkasim.broker.partition import Partition


class SessionPartition:
    """One partition of a session at the broker; ``fetch`` is the fetcher's own record of it."""

    def __init__(self, session: FetchSession, fetch: FetchPartition, partition: Partition) -> None:
        self.session = session
        self.fetch = fetch
        self.partition = partition
        self.active: bool = True
        self.dirty: bool = False
        self.watermark_dirty: bool = False


class FetchSession:
    """The session of one connection of one fetcher; ``replica_id`` is -1 for a consumer.

    ``parked`` is the request that waits in the purgatory, if one does.
    """

    def __init__(self, replica_id: int) -> None:
        self.replica_id: int = replica_id
        self.partitions: dict[int, SessionPartition] = {}
        self.dirty: list[SessionPartition] = []
        self.watermark_dirty: list[SessionPartition] = []
        self.parked: Request | None = None
        self.out_of_sync: list[FetchPartition] = []
        self.last_fetch_at: float = 0.0
        self.closed: bool = False

    def mark(self, entry: SessionPartition) -> None:
        """There may be something new to read in this partition."""
        if not entry.dirty:
            entry.dirty = True
            self.dirty.append(entry)

    def mark_watermark(self, entry: SessionPartition) -> None:
        """The next answer carries this partition's new high watermark."""
        if not entry.watermark_dirty:
            entry.watermark_dirty = True
            self.watermark_dirty.append(entry)
