"""Who decides that a session is dead: the leader's tracker and the followers' touch tables.

SessionTrackerImpl and ExpiryQueue: each touch moves a session to the bucket
``(floor((now + T) / tick) + 1) * tick`` of the server's monotonic millisecond clock; at
each multiple the whole bucket expires.  A follower only notes who touched it, and tells the
leader in its reply to the next ping (LearnerSessionTracker).

Left out: local sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafkasim.hosts.life import Life
from kafkasim.kernel.clock import Clock


class _Session:
    """A session as the tracker sees it; ``owner`` is the server it belongs to (0: not known yet)."""

    __slots__ = ("bucket_ms", "closing", "owner", "row", "timeout_ms")

    def __init__(self, timeout_ms: int) -> None:
        self.timeout_ms = timeout_ms
        self.bucket_ms = 0
        self.closing = False
        self.owner = 0
        self.row: list[Any] | None = None


class SessionTracker:
    """The leader's: expiry buckets on the grid of its own clock.

    ``expired(session_id)`` is called for each session of a bucket that comes due; ``trace``
    gets a row a session and bucket: name, server, last touch there, last touch here, bucket,
    expiry (all in s; the last None until it happens).
    """

    def __init__(
        self,
        life: Life,
        clock: Clock,
        tick_ms: int,
        expired: Callable[[int], None],
        trace: list[list[Any]] | None,
        name_of: Callable[[int], str],
    ) -> None:
        self.sessions: dict[int, _Session] = {}
        self.over = False
        self._life = life
        self._clock = clock
        self._tick_ms = tick_ms
        self._expired = expired
        self._buckets: dict[int, dict[int, None]] = {}
        self._trace = trace
        self._name_of = name_of

    def track(self, session_id: int, timeout_ms: int, now: float, server_id: int) -> None:
        """A session begins (or a term begins with it): a full timeout from ``now``."""
        if session_id not in self.sessions:
            self.sessions[session_id] = _Session(timeout_ms)
        self.touch(session_id, now, now, server_id)

    def touch(self, session_id: int, now: float, touched_at: float, server_id: int) -> bool:
        """A sign of life that server ``server_id`` saw at ``touched_at`` (s); False if there is no such session."""
        session = self.sessions.get(session_id)
        if session is None or session.closing:
            return False
        tick_ms = self._tick_ms
        bucket_ms = ((self._clock.ms(now) + session.timeout_ms) // tick_ms + 1) * tick_ms
        if bucket_ms != session.bucket_ms:
            self._leave_bucket(session_id, session)
            session.bucket_ms = bucket_ms
            bucket = self._buckets.get(bucket_ms)
            if bucket is None:
                bucket = self._buckets[bucket_ms] = {}
                self._life.plan(max(self._clock.time_of(bucket_ms), self._life.scheduler.now), self._due, bucket_ms)
            bucket[session_id] = None
            session.row = None
        if self._trace is not None:
            self._note(session_id, session, now, touched_at, server_id)
        return True

    def settle(self, session_id: int, timeout_ms: int, now: float, touched_at: float, server_id: int) -> None:
        """A session of a settled start, last touched here at ``now`` (s, before the start)."""
        self.sessions[session_id] = _Session(timeout_ms)
        self.touch(session_id, now, touched_at, server_id)
        self.moved(session_id, server_id)

    def timeout_ms(self, session_id: int) -> int:
        """The timeout of a live session, else 0."""
        session = self.sessions.get(session_id)
        return 0 if session is None or session.closing else session.timeout_ms

    def belongs(self, session_id: int, server_id: int) -> bool:
        """Whether a write of the session may come through ``server_id`` (the first one decides)."""
        session = self.sessions[session_id]
        if session.owner == 0:
            session.owner = server_id
        return session.owner == server_id

    def moved(self, session_id: int, server_id: int) -> None:
        """The session has attached to ``server_id``."""
        session = self.sessions.get(session_id)
        if session is not None:
            session.owner = server_id

    def closing(self, session_id: int) -> None:
        """Its closeSession is on the way: touches and writes are refused from here on."""
        session = self.sessions.get(session_id)
        if session is not None:
            session.closing = True

    def remove(self, session_id: int) -> None:
        """Its closeSession has been applied."""
        session = self.sessions.pop(session_id, None)
        if session is not None:
            self._leave_bucket(session_id, session)

    def _leave_bucket(self, session_id: int, session: _Session) -> None:
        bucket = self._buckets.get(session.bucket_ms)
        if bucket is not None:
            bucket.pop(session_id, None)

    def _due(self, bucket_ms: int) -> None:
        if self.over:
            return
        now = self._life.scheduler.now
        for session_id in self._buckets.pop(bucket_ms, {}):
            session = self.sessions[session_id]
            if not session.closing:
                session.closing = True
                if session.row is not None:
                    session.row[5] = now
                self._expired(session_id)

    def _note(self, session_id: int, session: _Session, now: float, touched_at: float, server_id: int) -> None:
        """One row a bucket: of several touches only the last can matter."""
        if session.row is None:
            bucket_s = self._clock.time_of(session.bucket_ms)
            session.row = [self._name_of(session_id), server_id, touched_at, now, bucket_s, None]
            assert self._trace is not None
            self._trace.append(session.row)
        else:
            session.row[1] = server_id
            session.row[2] = touched_at
            session.row[3] = now


class TouchTable:
    """A follower's: sessions touched since the leader's last ping, with the time of the last touch."""

    def __init__(self) -> None:
        self._touched: dict[int, float] = {}

    def touch(self, session_id: int, now: float) -> None:
        """A sign of life of ``session_id``."""
        self._touched[session_id] = now

    def forget(self, session_id: int) -> None:
        """The session is closed."""
        self._touched.pop(session_id, None)

    def take(self) -> list[tuple[int, float]]:
        """All touches, for the leader; the table is empty then."""
        touched = list(self._touched.items())
        self._touched.clear()
        return touched
