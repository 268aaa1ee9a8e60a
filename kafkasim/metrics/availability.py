"""Unavailability of a partition as a client felt it.

A row is a maximal interval in which at least one record of the partition waits and none completes for any instance
of the client: from the later of the last completion and the intended time of the oldest waiting record, to the next
completion (or until nothing waits any more, or the run ends). A partition without demand is never unavailable.

Left out: which records waited (the ledger knows them).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

CauseOf = Callable[[str, str, str, int, float], int | None]
"""(kind, client, topic, partition, from_s) -> the id of a timeline row."""

KINDS: Final = ("produce", "consume")
LONG_AGO: Final = -1e300
NEVER: Final = 1e300


class Outage:
    """One row: who could not do what, from when until when (s), and why (the id of a timeline row)."""

    __slots__ = ("acks", "cause", "client", "from_s", "kind", "open", "partition", "topic", "until_s")

    def __init__(
        self,
        kind: str,
        client: str,
        topic: str,
        partition: int,
        acks: str | None,
        from_s: float,
        until_s: float,
        open: bool,
        cause: int | None,
    ) -> None:
        self.kind: str = kind
        self.client: str = client
        self.topic: str = topic
        self.partition: int = partition
        self.acks: str | None = acks
        self.from_s: float = from_s
        self.until_s: float = until_s
        self.open: bool = open
        self.cause: int | None = cause

    def as_dict(self) -> dict[str, object]:
        """The row as results give it."""
        return {
            "kind": self.kind,
            "client": self.client,
            "topic": self.topic,
            "partition": self.partition,
            "acks": self.acks,
            "from_s": self.from_s,
            "until_s": self.until_s,
            "duration_s": self.until_s - self.from_s,
            "open": self.open,
            "cause": self.cause,
        }


class Availability:
    """Watches one partition for one client.

    ``completed`` costs one comparison as long as completions follow each other within the threshold.

    >>> outages = AvailabilityBook(lambda *what: None)
    >>> produce = outages.tracker("produce", "app", "tweets", 0, threshold_s=0.2, acks="all")
    >>> produce.completed(1.0, 0.99)
    >>> produce.completed(20.0, 5.0)
    >>> [(row.from_s, row.until_s) for row in outages.rows()]
    [(5.0, 20.0)]
    """

    def __init__(
        self,
        kind: str,
        client: str,
        topic: str,
        partition: int,
        threshold_s: float,
        acks: str | None,
        cause_of: CauseOf,
        sink: list[Outage],
    ) -> None:
        self.kind: Final = kind
        self.client: Final = client
        self.topic: Final = topic
        self.partition: Final = partition
        self.acks: Final = acks
        self.threshold_s: float = threshold_s
        self.last_s: float = LONG_AGO
        """The last completion, or for a group its first assignment."""
        self.started: bool = kind == "produce"
        self._since_s: float = NEVER
        """The start of a wait whose oldest record has failed meanwhile; void after the next completion."""
        self._gave_up_s: float = LONG_AGO
        self._cause_of: CauseOf = cause_of
        self._sink: list[Outage] = sink

    def start(self, t: float) -> None:
        """The group got its first assignment at ``t`` (s): waiting counts from here. Later calls do nothing."""
        if not self.started:
            self.started = True
            self.last_s = t

    def completed(self, t: float, oldest_waiting: float) -> None:
        """A record completed at ``t``; ``oldest_waiting`` is the intended time (s) of the oldest one that
        waited until now, those that complete at ``t`` included."""
        if t - self.last_s <= self.threshold_s:
            self.last_s = t
            return
        self._ended(t, oldest_waiting)
        self.last_s = t

    def gave_up(self, t: float, oldest_waiting: float, still_waiting: float | None) -> None:
        """Waiting records failed at ``t`` (s) without a completion.

        ``oldest_waiting``: intended time of the oldest one before; ``still_waiting``: of the oldest one that waits
        on, None if nothing does, which ends the interval.
        """
        if still_waiting is None or still_waiting > t:
            self._ended(t, oldest_waiting)
        else:
            self._since_s = self._from(oldest_waiting)
            self._gave_up_s = t

    def is_out(self, t: float, oldest_waiting: float | None) -> bool:
        """Whether at ``t`` (s) the current wait exceeds the threshold: a row is open."""
        if not self.started or oldest_waiting is None:
            return False
        return t - self._from(oldest_waiting) > self.threshold_s

    def finish(self, t: float, oldest_waiting: float | None) -> None:
        """The run ends at ``t`` (s); ``oldest_waiting`` is None when nothing waits."""
        if self.is_out(t, oldest_waiting) and oldest_waiting is not None:
            self._row(self._from(oldest_waiting), t, True)

    def _from(self, oldest_waiting: float) -> float:
        if self._gave_up_s >= self.last_s:
            return max(self.last_s, min(oldest_waiting, self._since_s))
        return max(self.last_s, oldest_waiting)

    def _ended(self, t: float, oldest_waiting: float) -> None:
        from_s = self._from(oldest_waiting)
        self._since_s = NEVER
        self._gave_up_s = LONG_AGO
        if self.started and t - from_s > self.threshold_s:
            self._row(from_s, t, False)

    def _row(self, from_s: float, until_s: float, open: bool) -> None:
        cause = self._cause_of(self.kind, self.client, self.topic, self.partition, from_s)
        self._sink.append(
            Outage(
                self.kind,
                self.client,
                self.topic,
                self.partition,
                self.acks,
                from_s,
                until_s,
                open,
                cause,
            )
        )


class AvailabilityBook:
    """All trackers of a run and the rows they gave."""

    def __init__(self, cause_of: CauseOf) -> None:
        self.trackers: Final[list[Availability]] = []
        self._cause_of: CauseOf = cause_of
        self._known: dict[tuple[str, str, str, int], Availability] = {}
        self._rows: list[Outage] = []

    def tracker(
        self, kind: str, client: str, topic: str, partition: int, threshold_s: float, acks: str | None = None
    ) -> Availability:
        """The tracker of a partition for a client, made on first asking: all its instances share it.

        Raises:
            ValueError: if ``kind`` is neither ``produce`` nor ``consume``.
        """
        if kind not in KINDS:
            raise ValueError(f"no such kind of unavailability: {kind}")
        key = (kind, client, topic, partition)
        known = self._known.get(key)
        if known is None:
            known = Availability(kind, client, topic, partition, threshold_s, acks, self._cause_of, self._rows)
            self._known[key] = known
            self.trackers.append(known)
        return known

    @property
    def rows_so_far(self) -> list[Outage]:
        """The rows in the order in which they ended."""
        return self._rows

    def rows(self) -> list[Outage]:
        """The rows so far, by their start, then topic, partition, kind and client."""
        return sorted(self._rows, key=lambda row: (row.from_s, row.topic, row.partition, row.kind, row.client))

    def as_dicts(self) -> list[dict[str, object]]:
        """The rows as results give them."""
        return [row.as_dict() for row in self.rows()]
