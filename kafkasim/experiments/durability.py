"""The table of what a producer's and a topic's settings promise, found by simulation: ``kafkasim durability``.

For each of ``acks`` x ``min.insync.replicas`` x ``unclean.leader.election.enable`` with three replicas, four
situations: the leader is killed while its followers are in sync; its followers are cut off until the ISR is the leader
alone, then the leader is killed and stays away; one broker is down; two are. Every time-out is short, so that
a cell takes a second: what may be lost and what stands still does not hang on how long a time-out is. The brokers are
10 ms from each other, so that a leader that is killed has records that its followers have not.

Left out: losses of power (``acks=all`` does not wait for a disk either: see the gallery's ``power_loss``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from kafkasim.scenario import Scenario
from kafkasim.simulation import simulate

ACKS: Final = ("0", "1", "all")
MIN_ISR: Final = (1, 2, 3)
DURATION_S: Final = 24
_HIT_S: Final = 8.013
_SHORT: Final = {
    "zookeeper.session.timeout.ms": 1500, "replica.lag.time.max.ms": 1500, "replica.fetch.wait.max.ms": 200,
    "replica.fetch.backoff.ms": 200, "request.timeout.ms": 1500, "controller.socket.timeout.ms": 1500,
    "auto.leader.rebalance.enable": False, "offsets.topic.num.partitions": 1,
}  # fmt: skip
SITUATIONS: Final[dict[str, list[dict[str, object]]]] = {
    "leader_dies": [{"at": f"{_HIT_S}s", "crash": "broker 1", "for": "60s"}],
    "isr_shrank_leader_dies": [
        {"at": "4s", "partition": {"between": "broker 1", "and": ["broker 2", "broker 3"]}, "for": "4s"},
        {"at": f"{_HIT_S}s", "crash": "broker 1", "for": "60s"},
    ],
    "one_down": [{"at": "6s", "crash": "broker 3", "for": "60s"}],
    "two_down": [
        {"at": "6s", "crash": "broker 3", "for": "60s"},
        {"at": "6s", "crash": "broker 2", "for": "60s"},
    ],
}
"""By name: broker 1 leads at first."""
_QUIET_S: Final = 18.0
"""By then every time-out has passed; whether writes go on is looked at from here on."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One row: its settings, and by situation whether acknowledged records were lost and whether writes go on."""

    acks: str
    min_insync_replicas: int
    unclean: bool
    lost: dict[str, bool]
    writes: dict[str, bool]

    def as_dict(self) -> dict[str, object]:
        """The row for JSON."""
        return asdict(self)


def settings() -> Iterator[tuple[str, int, bool]]:
    """All rows' settings, in the table's order."""
    for acks in ACKS:
        for minimum in MIN_ISR:
            for unclean in (False, True):
                yield acks, minimum, unclean


def table(seed: int = 1, version: str = "3.9", progress: Callable[[int, int], None] | None = None) -> list[Cell]:
    """Simulate every row; ``progress(done, of)`` is called after each."""
    rows = list(settings())
    cells: list[Cell] = []
    for acks, minimum, unclean in rows:
        cells.append(cell(acks, minimum, unclean, seed, version))
        if progress is not None:
            progress(len(cells), len(rows))
    return cells


def cell(acks: str, minimum: int, unclean: bool, seed: int = 1, version: str = "3.9") -> Cell:
    """Simulate one row."""
    lost: dict[str, bool] = {}
    writes: dict[str, bool] = {}
    for name, events in SITUATIONS.items():
        summary = simulate(scenario(acks, minimum, unclean, events, version), seed=seed).summary
        ledger: Any = summary["ledger"]
        lost[name] = ledger["acknowledged_lost"] > 0
        writes[name] = _writes_go_on(summary)
    return Cell(acks, minimum, unclean, lost, writes)


def scenario(acks: str, minimum: int, unclean: bool, events: list[dict[str, object]], version: str) -> Scenario:
    """The cluster of one situation: one partition on three brokers, one producer that never gives up soon."""
    return Scenario.from_dict(
        {
            "name": "durability", "duration": f"{DURATION_S}s",
            "cluster": {
                "version": version, "initial_controller": 1,
                "brokers": {
                    "count": 3, "racks": ["a", "b", "c"], "host": {"start_up": "500ms"},
                    "config": {
                        **_SHORT, "min.insync.replicas": minimum, "unclean.leader.election.enable": unclean,
                        "offsets.topic.replication.factor": 3,
                    },
                },
                "zookeeper": {"servers": 3, "config": {"tickTime": 300}},
                "network": {"cross_rack": {"latency": "10ms", "jitter": "1ms"}},
            },
            "topics": {"t": {"partitions": 1, "replication_factor": 3, "assignment": {0: [1, 2, 3]}}},
            "producers": [
                {
                    "name": "p", "topic": "t", "rate": "500/s", "record_size": "100B",
                    "config": {
                        "acks": acks, "enable.idempotence": False, "linger.ms": 0, "request.timeout.ms": 1500,
                        "delivery.timeout.ms": 4000, "max.block.ms": 2000, "metadata.max.age.ms": 1000,
                        "reconnect.backoff.max.ms": 200,
                    },
                }
            ],
            "events": events,
        }
    )  # fmt: skip


def _writes_go_on(summary: dict[str, object]) -> bool:
    """Whether records are acknowledged at the end: no outage of writes lasts beyond ``_QUIET_S``."""
    outages: Any = summary["unavailability"]
    return not any(row["kind"] == "produce" and row["until_s"] > _QUIET_S for row in outages)
