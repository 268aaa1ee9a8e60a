"""Fetch sessions at the broker (KIP-227): what a fetcher asks for, kept between its requests.

A session is registered once with each of its partitions; an append or a high watermark
that moves marks the partition in the sessions that wait for it, so that a fetch costs the
partitions that changed and never a walk over all of them.

A broker keeps so many incremental sessions as its cache has slots; who gets none is answered without one and
names all its partitions in every request.  Approximation: a session's slot is free when its connection ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kafkasim.protocol import FetchPartition, Request

if TYPE_CHECKING:
    from kafkasim.broker.partition import Partition
    from kafkasim.connection import Connection

EVICTION_S: Final = 120.0
"""A session idle for longer may be evicted by any new one, one older than this by a larger one."""


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

    ``parked`` is the request that waits in the purgatory, if one does; ``suspended`` one whose handler waits for
    an ISR to be written before it answers with what it has found (releases before 2.7); ``max_bytes`` what an answer
    holds at most.
    """

    def __init__(self, replica_id: int) -> None:
        self.replica_id: int = replica_id
        self.partitions: dict[int, SessionPartition] = {}
        self.dirty: list[SessionPartition] = []
        self.watermark_dirty: list[SessionPartition] = []
        self.parked: Request | None = None
        self.out_of_sync: list[FetchPartition] = []
        self.last_fetch_at: float = 0.0
        self.last_used_at: float = 0.0
        self.created_at: float = 0.0
        self.cached: bool = False
        self.shard: int = 0
        self.connection: Connection | None = None
        self.closed: bool = False
        self.suspended: Request | None = None
        self.suspended_bytes: int = 0
        self.suspended_enough: bool = False
        self.max_bytes: int = 1 << 62
        self.crosses_racks: bool = False

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

    def rank(self) -> tuple[bool, int]:
        """Who is evicted first: consumers before followers, small sessions before large ones."""
        return self.replica_id >= 0, len(self.partitions)


class EvictedSession:
    """What a connection keeps of a session that was evicted: its next request is refused."""


EVICTED: Final = EvictedSession()


class FetchSessionCache:
    """The slots for incremental sessions of one broker process (``FetchSessionCache``, 3.8 and later in shards)."""

    def __init__(self, slots: int, shards: int = 1) -> None:
        self.evictions: int = 0
        self._slots = slots // shards
        self._shards: list[list[FetchSession]] = [[] for _ in range(shards)]
        self._next_shard: int = 0

    def __len__(self) -> int:
        """Sessions that are kept."""
        return sum(len(shard) for shard in self._shards)

    def admit(self, session: FetchSession, now: float) -> FetchSession | None:
        """Keep ``session`` if there is a slot, or one that may be taken; returns whom it was taken from."""
        number = self._next_shard
        self._next_shard = (number + 1) % len(self._shards)
        shard = self._shards[number]
        evicted: FetchSession | None = None
        if len(shard) >= self._slots:
            evicted = self._victim(shard, session, now)
            if evicted is None:
                return None
            shard.remove(evicted)
            evicted.cached = False
            self.evictions += 1
        session.cached = True
        session.shard = number
        session.created_at = now
        shard.append(session)
        return evicted

    def _victim(self, shard: list[FetchSession], session: FetchSession, now: float) -> FetchSession | None:
        if not shard:
            return None
        oldest = min(shard, key=_last_used_at)
        if now - oldest.last_used_at > EVICTION_S:
            return oldest
        follower = session.replica_id >= 0
        candidates = [
            known for known in shard if now - known.created_at > EVICTION_S or (follower and known.replica_id < 0)
        ]
        if not candidates:
            return None
        least = min(candidates, key=FetchSession.rank)
        return least if session.rank() >= least.rank() else None

    def remove(self, session: FetchSession) -> None:
        """The session has ended."""
        if session.cached:
            session.cached = False
            self._shards[session.shard].remove(session)

    def clear(self) -> None:
        """The process has died."""
        for shard in self._shards:
            shard.clear()


def _last_used_at(session: FetchSession) -> float:
    return session.last_used_at
