"""A finished run as a report reads it: typed views of a :class:`~kafkasim.results.Result`, nothing else.

Left out: any judgement (``story`` tells what happened) and any layout.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kafkasim.results import Result

Row = dict[str, object]


def mapping(value: object) -> Row:
    """``value`` if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def rows(value: object) -> list[Row]:
    """The mappings of a list; empty if it is none."""
    return [mapping(row) for row in value] if isinstance(value, list | tuple) else []


def real(value: object) -> float | None:
    """A number as a float; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def whole(value: object) -> int | None:
    """A number as an int; None if it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def dig(value: object, *path: str) -> object:
    """What lies at ``path`` in nested mappings, or None."""
    for part in path:
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


@dataclass(frozen=True)
class Moment:
    """One row of the timeline."""

    id: int
    time_s: float
    actor: str
    event: str
    detail: str
    cause: int | None
    count: int


@dataclass(frozen=True)
class Outage:
    """One row of unavailability."""

    kind: str
    client: str
    topic: str
    partition: int
    acks: str | None
    from_s: float
    until_s: float
    open: bool
    cause: int | None

    @property
    def duration_s(self) -> float:
        """How long it lasted (s)."""
        return self.until_s - self.from_s

    @property
    def where(self) -> str:
        """The partition's name."""
        return f"{self.topic}-{self.partition}"


@dataclass(frozen=True)
class Fault:
    """An event of the scenario, from when to when; ``over_s`` None: not over when the run ended."""

    id: int
    at_s: float
    event: str
    target: str
    over_s: float | None

    @property
    def title(self) -> str:
        """What it did to whom."""
        words = self.event.replace("_", " ")
        return words if self.target in ("", "all") else f"{words} {self.target}"


@dataclass
class Reading:
    """The parts of one result that more than one page needs."""

    result: Result
    name: str
    seed: int
    duration_s: float
    warmup_s: float
    moments: list[Moment] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def summary(self) -> Row:
        """``summary.json``."""
        return self.result.summary

    @property
    def ledger(self) -> Row:
        """The ledger's terms."""
        return mapping(self.summary.get("ledger"))

    @property
    def identities(self) -> list[Row]:
        """The ledger's identities."""
        return rows(self.ledger.get("identities"))

    @property
    def scenario(self) -> Row:
        """The resolved scenario; empty if the manifest holds none."""
        return mapping(self.result.manifest.get("scenario"))

    @property
    def latency(self) -> list[Row]:
        """Latency of all clients and brokers together, by topic and kind."""
        found = rows(self.summary.get("latency"))
        return [row for row in found if row.get("client") is None and row.get("broker") is None]

    def table(self, name: str, *columns: str) -> Iterable[tuple[object, ...]]:
        """The rows of a table, of these columns only; none if the run has no such table."""
        table = self.result.tables.get(name)
        if table is None or not len(table):
            return iter(())
        return zip(*(table.column(column) for column in columns), strict=True)

    def root(self, id: int | None) -> int | None:
        """The first cause behind a row of the timeline."""
        while id is not None and 1 <= id <= len(self.moments):
            cause = self.moments[id - 1].cause
            if cause is None or cause >= id:
                return id
            id = cause
        return None

    def behind(self, id: int | None) -> Fault | None:
        """The scenario's event that is behind a row of the timeline: the nearest one up its chain of causes."""
        known = {fault.id: fault for fault in self.faults}
        while id is not None and 1 <= id <= len(self.moments):
            if id in known:
                return known[id]
            cause = self.moments[id - 1].cause
            if cause is not None and cause >= id:
                return None
            id = cause
        return None


def read(result: Result) -> Reading:
    """Take a result apart."""
    summary = result.summary
    seed = whole(summary.get("seed"))
    reading = Reading(
        result,
        str(summary.get("name", "")),
        0 if seed is None else seed,
        real(summary.get("duration_s")) or 0.0,
        real(summary.get("warmup_s")) or 0.0,
    )
    for row in rows(summary.get("timeline")):
        reading.moments.append(
            Moment(
                whole(row.get("id")) or 0,
                real(row.get("time_s")) or 0.0,
                str(row.get("actor", "")),
                str(row.get("event", "")),
                str(row.get("detail") or ""),
                whole(row.get("cause")),
                whole(row.get("count")) or 1,
            )
        )
    for row in rows(summary.get("unavailability")):
        acks = row.get("acks")
        reading.outages.append(
            Outage(
                str(row.get("kind", "")),
                str(row.get("client", "")),
                str(row.get("topic", "")),
                whole(row.get("partition")) or 0,
                None if acks is None else str(acks),
                real(row.get("from_s")) or 0.0,
                real(row.get("until_s")) or 0.0,
                bool(row.get("open")),
                whole(row.get("cause")),
            )
        )
    for row in rows(summary.get("events")):
        reading.faults.append(
            Fault(
                whole(row.get("id")) or 0,
                real(row.get("at_s")) or 0.0,
                str(row.get("event", "")),
                str(row.get("target", "")),
                real(row.get("over_s")),
            )
        )
    return reading
