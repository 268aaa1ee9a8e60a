"""Predicted beside measured: latency of a producer on one small machine.

    python benchmarks/data_plane.py        # prints the table of docs/validity.md

Each cell of ``tests/reference/kafka_real_data_plane.csv`` is run as it was measured: brokers, ZooKeeper and producer on
one machine with two cores, evenly spaced sends of 1000 bytes, one partition. Nothing is judged: the costs of a request
come from other cells of the same measurements, and latencies also hold what the host model leaves out.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from kafkasim.scenario import Scenario
from kafkasim.simulation import simulate

ROOT = Path(__file__).parents[1]
REAL = ROOT / "tests" / "reference" / "kafka_real_data_plane.csv"

SCENARIO = """
name: data-plane
duration: {duration}s
warmup: 5s
hosts: {{lab: {{cores: 2, memory: 24GiB}}}}
cluster:
  version: "3.9.1"
  brokers: {{count: {brokers}, host: lab, config: {{auto.leader.rebalance.enable: false}}}}
  zookeeper: {{servers: 1, host: lab, config: {{tickTime: 2000}}}}
topics:
  t: {{partitions: 1, replication_factor: {brokers}, config: {{min.insync.replicas: {min_isr}}}}}
producers:
  - name: p
    topic: t
    rate: {rate}/s
    record_size: 1000B
    host: lab
    config: {{acks: {acks}, linger.ms: {linger}, batch.size: 16384}}
"""


def scenario(cell: dict[str, str]) -> Scenario:
    """The conditions of one cell."""
    duration = 5 + max(20, 12_000 // int(cell["rate_per_s"]))
    min_isr = 2 if cell["brokers"] == "3" else 1
    names = {name: cell[name] for name in ("brokers", "acks")}
    return Scenario.loads(
        SCENARIO.format(**names, rate=cell["rate_per_s"], linger=cell["linger_ms"], min_isr=min_isr, duration=duration)
    )


def predict(cell: dict[str, str], seed: int = 1) -> dict[str, Any]:
    """Median and 99th percentile (µs) of the produce latency of one run."""
    summary: dict[str, Any] = simulate(scenario(cell), seed).summary
    row = next(r for r in summary["latency"] if r["kind"] == "produce" and r["client"] is None and r["broker"] is None)
    return {"p50_us": row["p50_s"] * 1e6, "p99_us": None if row["p99_s"] is None else row["p99_s"] * 1e6}


def table() -> list[dict[str, Any]]:
    """All cells with what is predicted for them."""
    with REAL.open(encoding="utf-8") as file:
        return [{"cell": cell, **predict(cell)} for cell in csv.DictReader(file)]


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table of the docs."""
    lines = [
        "| µs; 1000 B, evenly spaced | p50 real | predicted | ratio | p99 real | predicted |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cell = row["cell"]
        many = "3 brokers, RF 3" if cell["brokers"] == "3" else "1 broker"
        name = f"{many}, acks={cell['acks']}, {int(cell['rate_per_s']):,}/s, linger {cell['linger_ms']}"
        p50 = float(cell["p50_us"])
        p99 = f"{float(cell['p99_us']):,.0f}" if cell["p99_us"] else "not given"
        lines.append(
            f"| {name} | {p50:,.0f} | {row['p50_us']:,.0f} | {row['p50_us'] / p50:.2f} | {p99} | {row['p99_us']:,.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(table()))
