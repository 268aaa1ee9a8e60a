"""Random clusters under random faults: small, fast, every time-out short, every invariant held after every event."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from kafkasim.scenario import Scenario
from kafkasim.scenario.versions import LAST_PATCH
from kafkasim.simulation import simulate

VERSIONS = tuple(f"{major}.{minor}" if major else f"0.{minor}.{patch}" for (major, minor), patch in LAST_PATCH.items())
IDEMPOTENT_SINCE = VERSIONS.index("2.5")
PROCESSES = ("crash", "freeze", "power_loss", "stop")
TARGETS = (
    "broker 1", "broker 2", "broker 3", "leader of orders-0", "leader of orders-1", "controller", "random broker",
    "zookeeper leader", "zookeeper 1", "zookeeper 2",
)  # fmt: skip
PLACES = (
    "broker 1", "broker 2", "broker 3", "brokers", "zookeeper", "zookeeper 1", "clients", "controller",
    "zookeeper leader",
)  # fmt: skip
DURATION_S = 40
QUIET_FROM_S = 24.0
"""No fault begins later: what must come right in the end has time to."""
SHORT = {
    "zookeeper.session.timeout.ms": 2000, "replica.lag.time.max.ms": 1500, "replica.socket.timeout.ms": 2000,
    "request.timeout.ms": 2000, "controller.socket.timeout.ms": 2000, "replica.fetch.wait.max.ms": 200,
    "replica.fetch.backoff.ms": 200, "auto.leader.rebalance.enable": True,
    "leader.imbalance.check.interval.seconds": 5, "offsets.topic.num.partitions": 2,
    "controlled.shutdown.retry.backoff.ms": 500, "replica.high.watermark.checkpoint.interval.ms": 1000,
}  # fmt: skip


@dataclass
class Draw:
    """One random run: what it is made of, and what may go wrong in it."""

    seed: int
    version: str
    acks: str
    min_isr: int
    unclean: bool
    factor: int
    idempotent: bool
    in_flight: int
    events: list[dict[str, Any]] = field(default_factory=list)
    controller: int | None = None
    config: dict[str, Any] = field(default_factory=dict)
    """Of the brokers, on top."""

    @property
    def power(self) -> bool:
        """Whether a machine loses its power."""
        return any("power_loss" in event for event in self.events)

    @property
    def must_keep(self) -> bool:
        """acks=all, clean elections, power for everybody: since 2.1 Kafka loses no acknowledged record."""
        if VERSIONS.index(self.version) < VERSIONS.index("2.1"):
            return False
        return self.acks == "all" and not self.unclean and not self.power

    def scenario(self) -> Scenario:
        """The scenario of this draw."""
        ring = {0: [1, 2, 3], 1: [2, 3, 1], 2: [3, 1, 2]}
        return Scenario.from_dict(
            {
                "name": "random", "seed": self.seed, "duration": f"{DURATION_S}s", "checks": "thorough",
                "cluster": {
                    **({} if self.controller is None else {"initial_controller": self.controller}),
                    "version": self.version,
                    "brokers": {
                        "count": 3,
                        "host": {"start_up": "500ms", "restart_delay": "1s"},
                        "config": {
                            **SHORT, "min.insync.replicas": self.min_isr,
                            "unclean.leader.election.enable": self.unclean, **self.config,
                        },
                    },
                    "zookeeper": {
                        "servers": 3, "host": {"restart_delay": "1s"},
                        "config": {"tickTime": 400, "initLimit": 10, "syncLimit": 5},
                    },
                },
                "topics": {
                    "orders": {
                        "partitions": 3, "replication_factor": self.factor,
                        "assignment": {n: replicas[: self.factor] for n, replicas in ring.items()},
                    }
                },
                "producers": [
                    {
                        "name": "shop", "topic": "orders", "rate": "90/s", "record_size": "100B",
                        "partitioner": "round",
                        "instances": 2, "stop": f"{DURATION_S - 6}s",
                        "config": {
                            "acks": self.acks, "linger.ms": 20,
                            **({"enable.idempotence": self.idempotent} if self.version != "0.10.2" else {}),
                            "max.in.flight.requests.per.connection": self.in_flight, "request.timeout.ms": 1500,
                            "delivery.timeout.ms": 6000, "max.block.ms": 3000, "retries": 2147483647,
                            "reconnect.backoff.max.ms": 200, "metadata.max.age.ms": 5000,
                        },
                    }
                ],
                "consumers": [
                    {
                        "group": "audit", "topics": ["orders"], "members": 2,
                        "config": {
                            "auto.offset.reset": "earliest", "request.timeout.ms": 2000, "session.timeout.ms": 6000,
                            "heartbeat.interval.ms": 500, "auto.commit.interval.ms": 500,
                            "default.api.timeout.ms": 3000,
                        },
                    }
                ],
                "events": self.events,
            }
        )  # fmt: skip


def draw(seed: int) -> Draw:
    """The run of a seed."""
    draws = random.Random(seed)
    acks = draws.choice(["all", "all", "1", "0"])
    made = Draw(
        seed, draws.choice(VERSIONS), acks, draws.choice([1, 2]), draws.random() < 0.3, draws.choice([2, 3, 3]),
        acks == "all" and draws.random() < 0.5, draws.choice([1, 5]),
    )  # fmt: skip
    made.idempotent = made.idempotent and VERSIONS.index(made.version) >= IDEMPOTENT_SINCE
    count = draws.randint(2, 9)
    powerful = draws.random() < 0.5
    for at in sorted(draws.uniform(3.0, QUIET_FROM_S) for _ in range(count)):
        made.events.append(_event(draws, at, powerful))
    return made


def _event(draws: random.Random, at: float, powerful: bool) -> dict[str, Any]:
    verb = draws.choice(["crash", "freeze", "power_loss" if powerful else "crash", "stop", "partition", "partition"])
    event: dict[str, Any] = {"at": f"{at:.3f}s", "for": f"{draws.choice([0.3, 1, 2, 3, 4, 6])}s"}
    if verb == "partition":
        one, other = draws.sample(PLACES, 2)
        if draws.random() < 0.25:
            event[verb] = {"from": one, "to": other}
        else:
            event[verb] = {"between": one, "and": draws.choice([other, "others"])}
    else:
        event[verb] = draws.choice(TARGETS[:7] if verb == "stop" else TARGETS)
    return event


def run(made: Draw) -> Any:
    """Simulate a draw; the invariants are held while it runs."""
    return simulate(made.scenario())


def complaints(made: Draw, result: Any) -> list[str]:
    """What must not be, whatever was drawn."""
    summary = result.summary
    ledger = summary["ledger"]
    broken = [one for one in ledger["identities"] if not one["holds"]]
    found = [f"identity {one['name']}: {one['left']} != {one['right']}" for one in broken]
    if ledger["acknowledged_lost"] != sum(loss["records"] for loss in ledger["losses"]):
        found.append(f"{ledger['acknowledged_lost']} lost, {ledger['losses']} explained")
    if made.must_keep and ledger["acknowledged_lost"]:
        found.append(f"{ledger['acknowledged_lost']} acknowledged records lost with acks=all and clean elections")
    fenced = VERSIONS.index(made.version) >= VERSIONS.index("2.1")  # before, KIP-101, KIP-279 and KIP-320 lacked
    if not made.unclean and not made.power and fenced and summary["findings"]:
        found.append(f"findings without a reason: {summary['findings']}")
    if made.idempotent and not made.unclean and not made.power and ledger["extra_copies"]:
        found.append(f"{ledger['extra_copies']} copies by an idempotent producer")
    open_events = [event["event"] for event in summary["events"] if event["over_s"] is None]
    # Up to 2.6 a leader that knows an old version of its znode changes the ISR no more; before 2.0 followers halt.
    stuck = {"isr_change_skipped", "halted", "fetching_failed"} & {row["event"] for row in summary["timeline"]}
    old = VERSIONS.index(made.version) < VERSIONS.index("2.7")
    if open_events and not (old and stuck):
        found.append(f"not over: {open_events}")
    return found
