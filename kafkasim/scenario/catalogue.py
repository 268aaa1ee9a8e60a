"""The catalogue of configs: every name that brokers, topics, producers, consumers and ZooKeeper servers know.

Two tables beside this file hold it. ``kafka-configs.csv`` was read from the ConfigDefs of the Kafka releases 0.10.2 to
3.9, ``zookeeper-configs.csv`` from ZooKeeper's sources. Each entry has its type, unit, default per version and valid
range, and says whether the model uses, approximates or ignores it, and why.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from kafkasim.scenario.versions import Version

SIDES = ("broker", "topic", "producer", "consumer", "zookeeper")
_TABLES = ("kafka-configs.csv", "zookeeper-configs.csv")
REQUIRED = "(required)"


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One config of one side."""

    side: str
    name: str
    type: str
    unit: str
    since: Version
    until: Version | None
    """The last release line that has it; None = all up to 3.9."""
    defaults: tuple[tuple[Version, str], ...]
    """From which release line on which default holds, oldest first."""
    valid: str
    status: str
    """``used``, ``approximated`` or ``ignored`` by the model."""
    note: str

    def default_text(self, version: Version) -> str:
        """The default in that release, as Kafka's table writes it; before ``since`` the first one."""
        text = self.defaults[0][1]
        for start, value in self.defaults:
            if start <= version:
                text = value
        return text

    def exists_in(self, version: Version) -> bool:
        """Whether the release has this config."""
        line = Version(version.major, version.minor)
        return self.since <= Version(line.major, line.minor, 999) and (self.until is None or line <= self.until)


def _defaults(text: str) -> tuple[tuple[Version, str], ...]:
    pairs = []
    for part in text.split(" ; "):
        start, _, value = part.partition("=")
        pairs.append((Version.parse(start), value))
    return tuple(pairs)


@cache
def _entries() -> dict[str, dict[str, ConfigEntry]]:
    sides: dict[str, dict[str, ConfigEntry]] = {side: {} for side in SIDES}
    for table in _TABLES:
        text = resources.files("kafkasim.scenario").joinpath(table).read_text("utf-8")
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        for row in csv.DictReader(lines):
            sides[row["side"]][row["name"]] = ConfigEntry(
                side=row["side"],
                name=row["name"],
                type=row["type"],
                unit=row["unit"],
                since=Version.parse(row["since"]),
                until=Version.parse(row["until"]) if row["until"] else None,
                defaults=_defaults(row["default"]),
                valid=row["valid"],
                status=row["status"],
                note=row["note"],
            )
    return sides


def catalogue(side: str) -> dict[str, ConfigEntry]:
    """All configs of a side by name. Do not change the returned mapping."""
    return _entries()[side]


def search(words: Iterable[str], side: str | None = None, used: bool = False) -> list[ConfigEntry]:
    """Entries whose name, side, status or note holds every word; ``used`` leaves the ignored ones out."""
    wanted = [word.lower() for word in words]
    found = []
    for name in SIDES if side is None else (side,):
        for entry in catalogue(name).values():
            text = f"{entry.side} {entry.name} {entry.note} {entry.status} {entry.unit}".lower()
            if all(word in text for word in wanted) and not (used and entry.status == "ignored"):
                found.append(entry)
    return found


def sides_of(name: str) -> list[str]:
    """The sides that know a config of this name."""
    return [side for side in SIDES if name in catalogue(side)]


#: Topic configs and the broker configs that stand behind them, first set one wins; a factor turns hours into ms.
TOPIC_SYNONYMS: dict[str, tuple[tuple[str, int], ...]] = {
    "cleanup.policy": (("log.cleanup.policy", 1),),
    "compression.gzip.level": (("compression.gzip.level", 1),),
    "compression.lz4.level": (("compression.lz4.level", 1),),
    "compression.type": (("compression.type", 1),),
    "compression.zstd.level": (("compression.zstd.level", 1),),
    "delete.retention.ms": (("log.cleaner.delete.retention.ms", 1),),
    "file.delete.delay.ms": (("log.segment.delete.delay.ms", 1),),
    "flush.messages": (("log.flush.interval.messages", 1),),
    "flush.ms": (("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)),
    "index.interval.bytes": (("log.index.interval.bytes", 1),),
    "local.retention.bytes": (("log.local.retention.bytes", 1),),
    "local.retention.ms": (("log.local.retention.ms", 1),),
    "max.compaction.lag.ms": (("log.cleaner.max.compaction.lag.ms", 1),),
    "max.message.bytes": (("message.max.bytes", 1),),
    "message.downconversion.enable": (("log.message.downconversion.enable", 1),),
    "message.format.version": (("log.message.format.version", 1),),
    "message.timestamp.after.max.ms": (("log.message.timestamp.after.max.ms", 1),),
    "message.timestamp.before.max.ms": (("log.message.timestamp.before.max.ms", 1),),
    "message.timestamp.difference.max.ms": (("log.message.timestamp.difference.max.ms", 1),),
    "message.timestamp.type": (("log.message.timestamp.type", 1),),
    "min.cleanable.dirty.ratio": (("log.cleaner.min.cleanable.ratio", 1),),
    "min.compaction.lag.ms": (("log.cleaner.min.compaction.lag.ms", 1),),
    "min.insync.replicas": (("min.insync.replicas", 1),),
    "preallocate": (("log.preallocate", 1),),
    "retention.bytes": (("log.retention.bytes", 1),),
    "retention.ms": (
        ("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000),
    ),
    "segment.bytes": (("log.segment.bytes", 1),),
    "segment.index.bytes": (("log.index.size.max.bytes", 1),),
    "segment.jitter.ms": (("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3_600_000)),
    "segment.ms": (("log.roll.ms", 1), ("log.roll.hours", 3_600_000)),
    "unclean.leader.election.enable": (("unclean.leader.election.enable", 1),),
}  # fmt: skip
