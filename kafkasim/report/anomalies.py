"""Anomalies and broken invariants of a run, as the screen, the story and the page tell them.

What the configuration does not allow is told loudly; what it allows, with the reason; what did not happen, by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kafkasim.report import words
from kafkasim.report.reading import Reading, real, rows, whole
from kafkasim.report.words import clean

JUMPS: Final = ("nonmonotonic-poll", "poll-skip")
"""Counted by the jump of a position; the others by the record."""
MEANINGS: Final = {
    "lost-write": "acknowledged, and in no log",
    "duplicate": "stored again: copies beyond the first",
    "inconsistent-offsets": "an offset that was told, and holds another record now",
    "unseen": "acknowledged and readable, and delivered to nobody",
    "failed-read": "failed for its producer, and delivered all the same",
    "precommitted-read": "delivered before it was ever committed",
    "nonmonotonic-send": "stored behind what the same producer sent later",
    "nonmonotonic-poll": "a consumer went back to what it had polled",
    "poll-skip": "a consumer went on beyond what it had polled",
}


@dataclass(frozen=True)
class Told:
    """One row of the page."""

    name: str
    count: int
    not_allowed: int
    meaning: str
    example: str
    cause: int | None
    because: str


def told(reading: Reading) -> list[Told]:
    """What happened, what is not allowed first."""
    found = [
        Told(
            str(row.get("name")), whole(row.get("count")) or 0, whole(row.get("not_allowed")) or 0,
            MEANINGS.get(str(row.get("name")), ""), str(row.get("example") or ""), whole(row.get("cause")),
            str(row.get("because") or ""),
        )
        for row in rows(reading.summary.get("anomalies"))
        if whole(row.get("count"))
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.not_allowed == 0)


def absent(reading: Reading) -> list[str]:
    """The names that were looked for and did not happen."""
    return [str(row.get("name")) for row in rows(reading.summary.get("anomalies")) if not whole(row.get("count"))]


def amount(one: Told, count: int) -> str:
    """``12 records``, ``3 jumps``."""
    return words.plural(count, "jump" if one.name in JUMPS else "record")


def alarms(reading: Reading) -> list[str]:
    """What must be told whatever else gives way: anomalies that are not allowed."""
    lines: list[str] = []
    for one in told(reading):
        if one.not_allowed:
            row = f", row {one.cause}" if one.cause else ""
            lines.append(
                f"ANOMALY THAT IS NOT ALLOWED: {one.name}, {amount(one, one.not_allowed)} ({clean(one.example)}{row})"
            )
    return lines


def in_short(reading: Reading) -> str:
    """The allowed ones in one line; empty if there are none."""
    parts = [f"{one.name} {words.count(float(one.count))}" for one in told(reading) if not one.not_allowed]
    return ", ".join(parts)


def findings(reading: Reading) -> list[str]:
    """Broken invariants by reason, each in a sentence."""
    reasons: dict[str, dict[str, None]] = {}
    for row in rows(reading.summary.get("findings")):
        reasons.setdefault(str(row.get("because")), {})[str(row.get("invariant"))] = None
    return [f"{', '.join(names)} did not hold ({because})" for because, names in reasons.items()]


def first_finding(reading: Reading) -> float | None:
    """When an invariant was first seen broken (s)."""
    return min(
        (at for row in rows(reading.summary.get("findings")) if (at := real(row.get("at_s"))) is not None), default=None
    )
