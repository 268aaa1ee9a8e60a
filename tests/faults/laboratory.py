"""A small cluster under a small load, and what its timeline says after some faults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kafkasim.scenario import Scenario
from kafkasim.simulation import simulate

BASE = """
name: laboratory
duration: {duration}s
cluster:
  version: "3.9"
  brokers:
    count: 3
    config: {{auto.leader.rebalance.enable: {balance}, offsets.topic.num.partitions: 6, min.insync.replicas: 2}}
  zookeeper: {{servers: 3, initial_leader: 1, config: {{tickTime: 2000, initLimit: 10, syncLimit: 5}}}}
  initial_controller: {controller}
topics:
  orders: {{partitions: 3, replication_factor: {factor}, assignment: {assignment}}}
producers:
  - name: shop
    topic: orders
    rate: 60/s
    record_size: 100B
    partitioner: round
    config: {{acks: {acks}, linger.ms: 0, enable.idempotence: {idempotent}}}
{producers}consumers:
  - name: audit
    topics: [orders]
    assign: all
    config: {{auto.offset.reset: earliest}}
events:
{events}
expect:
{expect}
"""
RING = "{0: [1, 2, 3], 1: [2, 3, 1], 2: [3, 1, 2]}"


@dataclass
class Row:
    """A row of the timeline."""

    id: int
    time_s: float
    actor: str
    event: str
    detail: str
    cause: int | None


class Run:
    """A finished run: its rows, and the summary."""

    def __init__(self, result: Any) -> None:
        self.summary: dict[str, Any] = result.summary
        self.rows = [
            Row(row["id"], row["time_s"], row["actor"], row["event"], row["detail"], row["cause"])
            for row in self.summary["timeline"]
        ]
        self.ledger: dict[str, Any] = self.summary["ledger"]

    def of(self, event: str, detail: str = "", actor: str = "") -> list[Row]:
        """Rows of one kind whose detail and actor contain the texts."""
        return [row for row in self.rows if row.event == event and detail in row.detail and actor in row.actor]

    def at(self, event: str, detail: str = "", actor: str = "") -> float:
        """When the only such row was."""
        found = self.of(event, detail, actor)
        assert len(found) == 1, found
        return found[0].time_s

    def chain(self, row: Row) -> list[str]:
        """The events from a row back to its first cause."""
        by_id = {known.id: known for known in self.rows}
        events = [row.event]
        while row.cause:
            row = by_id[row.cause]
            events.append(row.event)
        return events

    def value(self, sentence: str) -> float | None:
        """What a sentence of ``expect`` was held against."""
        rows: list[dict[str, Any]] = self.summary["expectations"]
        return next(row["value"] for row in rows if row["text"] == sentence)  # type: ignore[no-any-return]

    def outages(self, kind: str, partition: int | None = None, client: str | None = None) -> list[dict[str, Any]]:
        """Rows of unavailability."""
        rows: list[dict[str, Any]] = self.summary["unavailability"]
        return [
            row
            for row in rows
            if row["kind"] == kind and partition in (None, row["partition"]) and client in (None, row["client"])
        ]

    def event(self, number: int = 0) -> dict[str, Any]:
        """An event of the scenario."""
        found: dict[str, Any] = self.summary["events"][number]
        return found

    def leader_epoch(self, partition: int) -> int:
        """The highest leader epoch of a partition of ``orders`` that a leader has applied (0: never another)."""
        name = f"orders-{partition} epoch "
        return max((int(row.detail.split()[2]) for row in self.of("leader_applied", name)), default=0)


def run(
    *events: str, duration: int = 80, seed: int = 1, acks: str = "all", controller: int = 2, balance: str = "false",
    factor: int = 3, assignment: str = RING, sets: tuple[str, ...] = (), expect: tuple[str, ...] = (),
    producer: str = "",
) -> Run:  # fmt: skip
    """Simulate the laboratory with events (and one more producer) written as in a file."""
    text = BASE.format(
        duration=duration, acks=acks, controller=controller, balance=balance, factor=factor, assignment=assignment,
        producers=f"  - {producer}\n" if producer else "",
        idempotent="true" if acks == "all" else "false", events="\n".join(f"  - {event}" for event in events) or " []",
        expect="\n".join(f"  - {sentence}" for sentence in expect) or " []",
    )  # fmt: skip
    with TemporaryDirectory() as directory:
        path = Path(directory) / "laboratory.yaml"
        path.write_text(text, encoding="utf-8")
        return Run(simulate(Scenario.load(path, list(sets)), seed=seed))
