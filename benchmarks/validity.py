"""Predicted beside measured: faults of a small cluster over many seeds beside a real cluster's trials.

    python benchmarks/validity.py [--seeds 30]        # prints the tables of docs/validity.md

A row whose real median is 500 ms or more holds when the simulated median is within 15 % of it
and the real median lies between the simulated 10th percentile - 100 ms and the 90th + 100 ms.
Smaller ones are shown, not judged.
"""

from __future__ import annotations

import argparse
import csv
from concurrent.futures import ProcessPoolExecutor
from math import isnan
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from kafkasim.scenario import Scenario
from kafkasim.simulation import simulate

ROOT = Path(__file__).parents[1]
REFERENCE, VALIDATION = ROOT / "tests" / "reference", ROOT / "scenarios" / "validation"
REAL = REFERENCE / "kafka_real_broker_killed.csv"
SCENARIO = VALIDATION / "broker-killed.yaml"
KILL_S, ELECT_S = 20.0, 85.0
STOPPED_REAL = REFERENCE / "kafka_real_controlled_shutdown.csv"
STOPPED = VALIDATION / "controlled-shutdown.yaml"
OTHERS_REAL = REFERENCE / "kafka_real_other_faults.csv"
STOP_S, STOP_ELECT_S, STOP_END_S = 20.0, 60.0, 80.0
PACE_MS = 50.0
LED = (0, 3)
JUDGED_FROM_MS = 500.0


def trial(seed: int) -> dict[str, float]:
    """One simulated trial: every row of the table in milliseconds."""
    summary: dict[str, Any] = simulate(Scenario.load(SCENARIO), seed).summary
    rows = summary["timeline"]
    gone = next(r["time_s"] for r in rows if r["event"] == "znode_deleted" and r["detail"] == "/brokers/ids/1")
    led = next(r["time_s"] for r in rows if r["event"] == "leader_elected" and r["time_s"] >= gone)
    figures = {
        "id znode gone after the kill": (gone - KILL_S) * 1000,
        "first new leader published after that": (led - gone) * 1000,
    }
    for acks, topic in (("all", "a"), ("1", "b")):
        for kind, partitions in (("led", LED), ("followed", (1, 2, 4, 5))):
            name = f"acks={acks} {kind}"
            figures[f"gap {name}"] = gap(summary, "produce", topic, partitions, KILL_S, ELECT_S)
            figures[f"consumer gap {name}"] = gap(summary, "consume", topic, partitions, KILL_S, ELECT_S)
        figures[f"later preferred election gap acks={acks}"] = gap(summary, "produce", topic, LED, ELECT_S, 120.0)
    figures["lost"] = summary["ledger"]["acknowledged_lost"]
    return figures


def stop_trial(seed: int) -> dict[str, float]:
    """The same for a broker that is told to stop."""
    summary: dict[str, Any] = simulate(Scenario.load(STOPPED), seed).summary
    rows = summary["timeline"]
    gone = next(r["time_s"] for r in rows if r["event"] == "znode_deleted" and r["detail"] == "/brokers/ids/1")
    moved = next(r["time_s"] for r in rows if r["event"] == "leader_elected" and r["time_s"] >= STOP_S)
    figures = {
        "first leader moved after the stop": (moved - STOP_S) * 1000,
        "id znode gone after the stop": (gone - STOP_S) * 1000,
    }
    for acks, topic in (("all", "a"), ("1", "b")):
        for kind, partitions in (("led", LED), ("followed", (1, 2, 4, 5))):
            name = f"acks={acks} {kind}"
            figures[f"stop gap {name}"] = gap(summary, "produce", topic, partitions, STOP_S, STOP_ELECT_S)
            figures[f"stop consumer gap {name}"] = gap(summary, "consume", topic, partitions, STOP_S, STOP_ELECT_S)
        name = f"preferred election after the stop: gap acks={acks}"
        figures[name] = gap(summary, "produce", topic, LED, STOP_ELECT_S, STOP_END_S)
    figures["lost"] = summary["ledger"]["acknowledged_lost"]
    return figures


def other_trials(seed: int) -> dict[str, float]:
    """A leader that is stopped for 8 s; ZooKeeper's leader killed; its quorum lost; a large fetch.min.bytes."""
    stopped: dict[str, Any] = simulate(Scenario.load(VALIDATION / "leader-stopped.yaml"), seed).summary
    elected: dict[str, Any] = simulate(Scenario.load(VALIDATION / "zookeeper-leader-killed.yaml"), seed).summary
    quorum: dict[str, Any] = simulate(Scenario.load(VALIDATION / "zookeeper-quorum-lost.yaml"), seed).summary
    fetched: dict[str, Any] = simulate(Scenario.load(VALIDATION / "fetch-min-bytes.yaml"), seed).summary
    led = next(r["time_s"] for r in elected["timeline"] if r["event"] == "zookeeper_leader_elected")
    waits = next(r for r in fetched["latency"] if r["kind"] == "end_to_end" and r["topic"] == "a")
    return {
        "leader stopped for 8 s: gap acks=all led": gap(stopped, "produce", "a", LED, STOP_S, 60.0),
        "leader stopped for 8 s: gap acks=all followed": gap(stopped, "produce", "a", (1, 2, 4, 5), STOP_S, 60.0),
        "leader stopped for 8 s: gap acks=1 followed": gap(stopped, "produce", "b", (1, 2, 4, 5), STOP_S, 60.0),
        "ZooKeeper leader killed: new leader after": (led - STOP_S) * 1000,
        "ZooKeeper leader killed: longest gap": longest(elected),
        "ZooKeeper quorum lost for 30 s: longest gap": longest(quorum),
        "fetch.min.bytes 10000: end to end p50": waits["p50_s"] * 1000,
        "fetch.min.bytes 10000: end to end p99": waits["p99_s"] * 1000,
    }


def longest(summary: dict[str, Any]) -> float:
    """The longest gap (ms) of any client."""
    return max((row["duration_s"] * 1000 for row in summary["unavailability"]), default=0.0) + PACE_MS


def gap(summary: dict[str, Any], kind: str, topic: str, partitions: tuple[int, ...], low: float, high: float) -> float:
    """The longest time (ms) without a completion on one of ``partitions`` that began in [low, high).

    A row of unavailability begins when the oldest waiting record was intended; the completion
    before it was one pace earlier.  Without a row the gap is below the threshold: the pace.
    """
    lengths = [
        row["duration_s"] * 1000
        for row in summary["unavailability"]
        if row["kind"] == kind and row["topic"] == topic and row["partition"] in partitions
        and low - 0.1 <= row["from_s"] < high
    ]  # fmt: skip
    return max(lengths, default=0.0) + PACE_MS


def rank(values: list[float], share: float) -> float:
    """A percentile by nearest rank."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


CELLS: dict[str, tuple[Any, Path, int | None]] = {
    "killed": (trial, REAL, 1),
    "stopped": (stop_trial, STOPPED_REAL, 2),
    "others": (other_trials, OTHERS_REAL, None),
}
"""Of each cell: its trial, the real figures, and the most records that a real trial lost (None: not counted)."""


def table(seeds: int, cell: str = "killed", workers: int = 2) -> list[dict[str, Any]]:
    """All rows of a cell with their verdicts."""
    one_trial, reference, most_lost = CELLS[cell]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        trials = list(pool.map(one_trial, range(1, seeds + 1)))
    rows: list[dict[str, Any]] = []
    with reference.open(encoding="utf-8") as file:
        for real in csv.DictReader(file):
            values = [one[real["row"]] for one in trials]
            measured = float(real["real_median_ms"] or "nan")
            low, middle, high = rank(values, 0.1), median(values), rank(values, 0.9)
            verdict = "shown"
            if measured >= JUDGED_FROM_MS:
                holds = abs(middle / measured - 1) <= 0.15 and low - 100 <= measured <= high + 100
                verdict = "holds" if holds else "misses"
            rows.append(
                {"row": real["row"], "real": [float(real[f"real_{n}_ms"] or "nan") for n in ("min", "median", "max")],
                 "simulated": [low, middle, high], "ratio": middle / measured if measured > 0.0 else None,
                 "verdict": verdict}
            )  # fmt: skip
    if most_lost is not None:
        lost = [rank([one["lost"] for one in trials], share) for share in (0.1, 0.5, 0.9)]
        rows.append(
            {"row": "lost records a trial", "real": [0.0, 0.0, float(most_lost)], "simulated": lost, "ratio": None,
             "verdict": "shown"}
        )  # fmt: skip
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table of the docs."""
    lines = [
        "| row (ms) | real min / median / max | simulated p10 / median / p90 | ratio | verdict |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        real = " / ".join("–" if isnan(value) else f"{value:.0f}" for value in row["real"])
        simulated = " / ".join(f"{value:.0f}" for value in row["simulated"])
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(f"| {row['row']} | {real} | {simulated} | {ratio} | {row['verdict']} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--cell", choices=CELLS, help="only this table")
    options = parser.parse_args()
    for cell in [options.cell] if options.cell else CELLS:
        print(f"{cell}\n\n{markdown(table(options.seeds, cell))}\n")


if __name__ == "__main__":
    main()
