"""How long a large idle cluster takes to lose a broker and to recover, in wall time and memory.

    python benchmarks/bench_large_cluster.py [--brokers 30] [--partitions 200000] [--replicas 3] [--topics 200]

A broker (not the controller) is killed at 1 s and starts again 30 s later; the run ends when every partition has its
full ISR again. Prints wall times of building and running, the peak memory and the recovery's simulated time.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation


def scenario(brokers: int, partitions: int, replicas: int, topics: int, duration_s: float, ensemble: int) -> Scenario:
    """An idle cluster that loses a broker."""
    each = partitions // topics
    return Scenario.from_dict(
        {
            "name": "large-cluster",
            "duration": f"{duration_s:g}s",
            "cluster": {
                "brokers": {"count": brokers, "config": {"auto.leader.rebalance.enable": False}},
                "zookeeper": {"servers": ensemble},
                "initial_controller": 1,
            },
            "topics": {
                f"topic-{number:04d}": {"partitions": each, "replication_factor": replicas} for number in range(topics)
            },
            "events": [{"at": "1s", "crash": "broker 2", "for": "30s"}],
        }
    )


def measure(
    brokers: int, partitions: int, replicas: int, topics: int, duration_s: float, ensemble: int
) -> dict[str, Any]:
    """One run; wall times in seconds, memory in MiB."""
    begun = time.perf_counter()
    simulation = Simulation(scenario(brokers, partitions, replicas, topics, duration_s, ensemble), 1)
    built = time.perf_counter()
    built_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    simulation.run()
    ran = time.perf_counter()
    rows = simulation.cluster.timeline.rows
    event = simulation.schedule.events[0]
    return {
        "brokers": brokers,
        "partitions": partitions,
        "replicas": replicas,
        "build_s": round(built - begun, 1),
        "run_s": round(ran - built, 1),
        "cpu_s": round(time.process_time(), 1),
        "built_mib": round(built_mib),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "simulated_s": simulation.cluster.env.now,
        "over_s": event.over_s,
        "timeline_rows": len(rows),
        "znode_gone_s": next((row.time_s for row in rows if row.event == "znode_deleted"), None),
        "last_leader_s": max((row.time_s for row in rows if row.event == "leader_elected"), default=None),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", type=int, default=30)
    parser.add_argument("--partitions", type=int, default=200_000)
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--topics", type=int, default=200)
    parser.add_argument("--duration", type=float, default=60.0)
    parser.add_argument("--zookeeper", type=int, default=5)
    a = parser.parse_args()
    print(json.dumps(measure(a.brokers, a.partitions, a.replicas, a.topics, a.duration, a.zookeeper), indent=2))


if __name__ == "__main__":
    main()
