"""Targets of events: ``broker 1``, ``zookeeper 2``, ``leader of T-0``, ``controller``, ``zookeeper leader`` …"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

FORMS = "broker N, zookeeper N, leader of TOPIC-P, controller, zookeeper leader, random broker, rack R"


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """Whom an event hits: an id, or a role that is looked up when the event begins."""

    kind: str
    """``broker``, ``zookeeper``, ``leader_of``, ``controller``, ``zookeeper_leader``, ``random_broker``, ``rack``."""
    id: int | None = None
    topic: str | None = None
    partition: int | None = None
    name: str | None = None

    def __str__(self) -> str:
        if self.kind == "leader_of":
            return f"leader of {self.topic}-{self.partition}"
        if self.kind == "rack":
            return f"rack {self.name}"
        words = self.kind.replace("_", " ")
        return words if self.id is None else f"{words} {self.id}"


def split_partition(text: str, topics: Collection[str]) -> tuple[str, int | None]:
    """``T-0`` → ("T", 0); a declared topic of exactly this name wins."""
    if text in topics:
        return text, None
    name, dash, number = text.rpartition("-")
    if dash and re.fullmatch(r"\d{1,7}", number):
        return name, int(number)
    return text, None


def parse_target(text: str) -> TargetSpec:
    """The target that a text names; ``ValueError`` if it names none."""
    words = text.split()
    match words:
        case ["controller"]:
            return TargetSpec("controller")
        case ["zookeeper", "leader"]:
            return TargetSpec("zookeeper_leader")
        case ["random", "broker"]:
            return TargetSpec("random_broker")
        case ["broker" | "zookeeper" as kind, number] if re.fullmatch(r"\d{1,9}", number):
            return TargetSpec(kind, id=int(number))
        case ["leader", "of", name]:
            topic, partition = split_partition(name, ())
            if partition is None:
                raise ValueError("a partition is written TOPIC-P, such as leader of orders-0")
            return TargetSpec("leader_of", topic=topic, partition=partition)
        case ["rack", name]:
            return TargetSpec("rack", name=name)
    raise ValueError("is not a target")
