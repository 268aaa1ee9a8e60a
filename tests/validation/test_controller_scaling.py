"""What the controller does grows with partitions as published: one request at a time, or ten."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation

PUBLISHED = Path(__file__).parents[1] / "reference" / "published_controller.csv"


def published() -> dict[str, dict[str, str]]:
    with PUBLISHED.open(encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def cluster(client: str, topics: dict[str, Any], event: dict[str, Any], duration_s: float) -> Simulation:
    """Five brokers and five ZooKeeper servers, idle."""
    data = {
        "name": "controller-scaling",
        "duration": f"{duration_s:g}s",
        "cluster": {
            "initial_controller": 1,
            "controller": {"zookeeper_client": client},
            "brokers": {
                "count": 5,
                "config": {
                    "auto.leader.rebalance.enable": False,
                    "offsets.topic.num.partitions": 1,
                    "zookeeper.session.timeout.ms": 6000,
                },
            },
            "zookeeper": {"servers": 5},
        },
        "topics": topics,
        "events": [event],
    }
    simulation = Simulation(Scenario.from_dict(data), 1)
    simulation.run()
    return simulation


def failover_s(client: str, topics: int, duration_s: float = 60.0) -> float:
    """From the creation of /controller until the new one is ready: single-partition topics, one replica each."""
    # The old controller holds none of them: as in the published runs nothing is elected or written in between.
    spec = {f"t{number}": {"assignment": {"0": [2 + number % 4]}} for number in range(topics)}
    simulation = cluster(client, spec, {"at": "1s", "stop": "broker 1", "for": f"{duration_s:g}s"}, duration_s)
    row = next(row for row in simulation.cluster.timeline.rows if row.event == "controller_elected")
    return float(row.detail.split("ready after ")[1].split(" ms")[0]) / 1000.0


def shutdown_s(client: str, partitions: int, duration_s: float = 60.0) -> float:
    """From the order to stop until the broker leads nothing and is in no ISR: it leads every second partition."""
    assignment = {str(n): [2, 1 + 2 * (n // 2 % 2)] if n % 2 else [3 + n // 2 % 3, 2] for n in range(partitions)}
    simulation = cluster(client, {"t": {"assignment": assignment}}, {"at": "1s", "stop": "broker 2"}, duration_s)
    rows = simulation.cluster.timeline.rows
    stopped_s = next(row.time_s for row in rows if row.event == "stopped")
    assert not any(row.event == "controlled_shutdown_failed" for row in rows)
    return max(row.time_s for row in rows if row.event == "isr_changed" and row.time_s < stopped_s) - 1.0


def test_failover_is_linear_in_partitions() -> None:
    small, large = failover_s("pipelined", 200, 20.0), failover_s("pipelined", 1000, 20.0)
    assert 3.5 <= large / small <= 5.5


def test_a_synchronous_controller_takes_a_round_trip_a_request() -> None:
    """Two requests a single-partition topic: 58 to 61 s for 100,000 of them were published."""
    predicted_s = failover_s("synchronous", 1000, 20.0) * 100
    runs = [float(row["value"]) for name, row in published().items() if name.startswith("AK3765-TRUNK")]
    assert len(runs) == 4
    assert all(0.75 <= predicted_s / run <= 1.25 for run in runs), predicted_s


def test_the_window_of_ten_is_worth_most_of_it() -> None:
    gain = failover_s("synchronous", 500, 20.0) / failover_s("pipelined", 500, 20.0)
    assert 3.0 <= gain <= 10.0


def test_controlled_shutdown_is_linear_in_partitions() -> None:
    small, large = shutdown_s("pipelined", 100, 40.0), shutdown_s("pipelined", 500, 40.0)
    assert 3.5 <= large / small <= 6.0


@pytest.mark.full
def test_published_cases() -> None:
    """AK3765 in full size; AK1149 with 2500 partitions on the broker."""
    rows = published()
    runs = [float(row["value"]) for name, row in rows.items() if name.startswith("AK3765-TRUNK")]
    predicted_s = failover_s("synchronous", 100_000, 120.0)
    assert all(0.75 <= predicted_s / run <= 1.25 for run in runs), predicted_s
    # Batched requests over the synchronous client of that time: about 3 s.
    assert rows["AK1149-02"]["value"] == "about 3"
    batched_s = shutdown_s("synchronous", 2500, 60.0)
    assert 1.5 <= batched_s <= 6.0, batched_s
