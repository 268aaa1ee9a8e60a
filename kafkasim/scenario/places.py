"""Sets of machines in a scenario's link faults: ``broker 2``, ``brokers``, ``zookeeper 3``, ``rack a`` …"""

from __future__ import annotations

import re
from dataclasses import dataclass

PLACE_FORMS = (
    "broker N, brokers, zookeeper N, zookeeper, zookeeper leader, controller, rack R, clients, a client's name, others"
)
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class PlaceSpec:
    """Some machines of a cluster; roles are looked up when the event begins.

    ``kind`` is ``broker``, ``brokers``, ``zookeeper`` (with an id), ``ensemble``, ``zookeeper_leader``, ``controller``,
    ``rack``, ``clients``, ``client`` or ``others`` (all that the other side does not name).
    """

    kind: str
    id: int | None = None
    name: str | None = None

    def __str__(self) -> str:
        match self.kind:
            case "ensemble":
                return "zookeeper"
            case "client":
                return str(self.name)
            case "rack":
                return f"rack {self.name}"
        words = self.kind.replace("_", " ")
        return words if self.id is None else f"{words} {self.id}"


def parse_place(text: str) -> PlaceSpec:
    """The machines that a text names; a single word that is none of the forms is a client's name."""
    match text.split():
        case ["brokers"]:
            return PlaceSpec("brokers")
        case ["zookeeper"]:
            return PlaceSpec("ensemble")
        case ["zookeeper", "leader"]:
            return PlaceSpec("zookeeper_leader")
        case ["controller"]:
            return PlaceSpec("controller")
        case ["clients"]:
            return PlaceSpec("clients")
        case ["others"]:
            return PlaceSpec(OTHERS)
        case ["broker" | "zookeeper" as kind, number] if re.fullmatch(r"\d{1,9}", number):
            return PlaceSpec(kind, id=int(number))
        case ["rack", name]:
            return PlaceSpec("rack", name=name)
        case [name]:
            return PlaceSpec("client", name=name)
    raise ValueError("names no machines")


@dataclass(frozen=True, slots=True)
class LinkFaultSpec:
    """Which directions of which links a fault acts on, and how.

    ``both_ways`` False: only what goes from ``sources`` to ``targets``.  ``latency_s`` and ``jitter_s`` (mean) come
    on top of each one-way trip; ``probability`` is a packet's chance to be lost.
    """

    sources: tuple[PlaceSpec, ...]
    targets: tuple[PlaceSpec, ...]
    both_ways: bool = True
    latency_s: float = 0.0
    jitter_s: float = 0.0
    probability: float = 0.0

    def __str__(self) -> str:
        left = ", ".join(str(place) for place in self.sources)
        right = ", ".join(str(place) for place in self.targets)
        return f"{left} {'and' if self.both_ways else 'to'} {right}"
