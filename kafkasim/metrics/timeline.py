"""What happened, when, to whom, and which earlier event made it happen.

The rows form chains of causes, from a fault to the last recovery. Left out: the sentences that tell them (report).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

MERGE_WITHIN_S: Final = 0.001 + 1e-9


class TimelineRow:
    """One event: id (from 1), time (s), actor, event, detail, cause (an earlier id or None) and count."""

    __slots__ = ("actor", "cause", "count", "detail", "event", "id", "time_s")

    def __init__(self, id: int, time_s: float, actor: str, event: str, detail: str, cause: int | None) -> None:
        self.id: int = id
        self.time_s: float = time_s
        self.actor: str = actor
        self.event: str = event
        self.detail: str = detail
        self.cause: int | None = cause
        self.count: int = 1

    def as_dict(self) -> dict[str, object]:
        """The row as results give it."""
        return {
            "id": self.id,
            "time_s": self.time_s,
            "actor": self.actor,
            "event": self.event,
            "detail": self.detail,
            "cause": self.cause,
            "count": self.count,
        }

    def __repr__(self) -> str:
        times = f" ×{self.count}" if self.count > 1 else ""
        return f"<{self.id} at {self.time_s:.6f} s: {self.actor} {self.event}{times}, cause {self.cause}>"


class Timeline:
    """The events of a run in order of time.

    >>> timeline = Timeline()
    >>> fault = timeline.add(55.0, "broker 1", "fault", "crash")
    >>> expiry = timeline.add(71.2, "zookeeper 2", "session_expired", cause=fault)
    >>> [row.event for row in timeline.chain(expiry)]
    ['fault', 'session_expired']
    """

    def __init__(self) -> None:
        self.rows: Final[list[TimelineRow]] = []
        self.listener: Callable[[str, str, str], None] | None = None
        """Told of every event (actor, event, detail) when it is noted, of each one that is merged too."""
        self._merging: dict[tuple[int | None, str, str], TimelineRow] = {}

    def add(
        self,
        time_s: float,
        actor: str,
        event: str,
        detail: str = "",
        cause: int | None = None,
        merge: bool = False,
    ) -> int:
        """Note an event; return its id.

        With ``merge``, an event that the same cause produced for the same kind of actor (the first word of
        ``actor``) within one millisecond of the row is counted in that row, whose id is returned.

        Raises:
            ValueError: if time runs backwards, or the cause is no earlier row.
        """
        # 0 is how hot rooms, whose attributes are plain integers, say that there is no cause.
        if cause == 0:
            cause = None
        if self.rows and time_s < self.rows[-1].time_s:
            raise ValueError(f"the timeline is at {self.rows[-1].time_s} s, {event} comes at {time_s} s")
        if cause is not None and not 1 <= cause <= len(self.rows):
            raise ValueError(f"{event} at {time_s} s: its cause {cause} is no earlier row")
        if merge:
            key = (cause, actor.split(" ", 1)[0], event)
            known = self._merging.get(key)
            if known is not None and time_s - known.time_s <= MERGE_WITHIN_S:
                known.count += 1
                if self.listener is not None:
                    self.listener(actor, event, detail)
                return known.id
        row = TimelineRow(len(self.rows) + 1, time_s, actor, event, detail, cause)
        self.rows.append(row)
        if merge:
            self._merging[key] = row
        if self.listener is not None:
            self.listener(actor, event, detail)
        return row.id

    def row(self, id: int) -> TimelineRow:
        """The row of an id.

        Raises:
            KeyError: if there is none.
        """
        if not 1 <= id <= len(self.rows):
            raise KeyError(f"the timeline has no row {id}")
        return self.rows[id - 1]

    def chain(self, id: int) -> list[TimelineRow]:
        """The chain of causes that leads to a row, from its first cause to the row itself."""
        chain = [self.row(id)]
        while chain[-1].cause is not None:
            chain.append(self.row(chain[-1].cause))
        chain.reverse()
        return chain

    def effects(self, id: int) -> list[TimelineRow]:
        """All rows that a row made happen, directly or through others, in order of time."""
        reached = {self.row(id).id}
        found: list[TimelineRow] = []
        for row in self.rows[id:]:
            if row.cause is not None and row.cause in reached:
                reached.add(row.id)
                found.append(row)
        return found

    def find(self, event: str, actor: str | None = None, from_s: float = 0.0) -> TimelineRow | None:
        """The first row of an event (and actor) at or after ``from_s``, or None."""
        for row in self.rows:
            if row.event == event and row.time_s >= from_s and (actor is None or row.actor == actor):
                return row
        return None

    def as_dicts(self) -> list[dict[str, object]]:
        """All rows as results give them."""
        return [row.as_dict() for row in self.rows]

    def __iter__(self) -> Iterator[TimelineRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)
