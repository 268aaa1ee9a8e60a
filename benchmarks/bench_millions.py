"""How fast ``millions-per-second`` runs, in records per bare SimPy timeout of the same process.

    python benchmarks/bench_millions.py [--seconds 10] [--runs 5] [--memory] [--json]

The run loop only (building and reporting are left out), after the group has joined; the
median of several runs, each beside a calibration loop of bare SimPy timeouts.  ``--memory``
runs 120 simulated seconds once and says by how much the process grew between 60 and 120 s.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import simpy

from kafkasim.kernel import build
from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation

SCENARIO = Path(__file__).parents[1] / "scenarios" / "primer" / "millions-per-second.yaml"
WARM_S = 8.0
TIMEOUTS = 300_000
_PAGE_BYTES = 4096


def bare_timeouts_per_s() -> float:
    """Timeouts a second (CPU time) of one SimPy process that does nothing else."""
    env = simpy.Environment()

    def tick(env: simpy.Environment) -> Any:
        while True:
            yield env.timeout(1)

    env.process(tick(env))
    begin = time.process_time()
    env.run(until=TIMEOUTS)
    return TIMEOUTS / (time.process_time() - begin)


def counts(simulation: Simulation) -> tuple[int, int, int]:
    """(records acknowledged, batches appended by leaders, kernel events) so far."""
    cluster = simulation.cluster
    records = sum(stream.acknowledged.count for stream in cluster.ledger.streams)
    batches = sum(
        replica.log.trimmed + len(replica.log.batches)
        for replicas in cluster.board.replicas
        for replica in replicas
        if replica.role == 1 and not replica.internal
    )
    return records, batches, cluster.env.scheduler.events


def measure(seconds: float, seed: int = 1) -> dict[str, float]:
    """One run of ``seconds`` simulated seconds after the warm ones, with ledger and collectors on."""
    scenario = Scenario.load(SCENARIO, [f"duration={WARM_S + seconds}s", "warmup=0s"])
    simulation = Simulation(scenario, seed)
    marks: list[tuple[float, tuple[int, int, int]]] = []

    def progress(at: float) -> None:
        if at == WARM_S:
            marks.append((time.process_time(), counts(simulation)))

    simulation.run(progress)
    begin, before = marks[0]
    cpu_s = time.process_time() - begin
    records, batches, events = (b - a for a, b in zip(before, counts(simulation), strict=True))
    timeouts = bare_timeouts_per_s()
    return {
        "records_per_s": records / cpu_s,
        "batches_per_s": batches / cpu_s,
        "events_per_s": events / cpu_s,
        "events_per_batch": events / batches,
        "records_per_batch": records / batches,
        "bare_simpy_timeouts_per_s": timeouts,
        "records_per_bare_timeout": records / cpu_s / timeouts,
    }


def resident_bytes() -> int:
    """The process's resident memory (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES


def memory_growth_bytes(seed: int = 1) -> int:
    """Growth of the process between 60 and 120 simulated seconds."""
    simulation = Simulation(Scenario.load(SCENARIO, ["duration=120s"]), seed)
    sizes: dict[float, int] = {}

    def progress(at: float) -> None:
        if at in (60.0, 120.0):
            sizes[at] = resident_bytes()

    simulation.run(progress)
    return sizes[120.0] - sizes[60.0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="simulated seconds measured")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--memory", action="store_true", help="also measure memory over 120 simulated seconds")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs = [measure(options.seconds) for _ in range(options.runs)]
    figures: dict[str, Any] = {name: median(run[name] for run in runs) for name in runs[0]}
    figures["build"] = build()
    figures["python"] = sys.version.split()[0]
    figures["runs"] = options.runs
    if options.memory:
        figures["memory_growth_60_to_120_s_bytes"] = memory_growth_bytes()
    if options.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:>34}  {value:,.2f}" if isinstance(value, float) else f"{name:>34}  {value}")


if __name__ == "__main__":
    main()
