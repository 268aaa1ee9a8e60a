"""Same scenario, same seed, another PYTHONHASHSEED: the same bytes. Another consumer: the same arrivals."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation

RUNS = {
    "primer/hello": ["duration=20s"],
    "primer/pedidos": ["duration=20s"],
    "primer/tweets-broker-1-fails": ["duration=85s", "events=[{at: 55s, crash: broker 1, for: 20s}]"],
}


@pytest.mark.parametrize("name", RUNS)
def test_another_hash_seed_gives_the_same_bytes(name, tmp_path):
    for number, hash_seed in enumerate(("0", "4242")):
        words = [sys.executable, "-m", "kafkasim", "run", name, "--seed", "3", "--quiet"]
        for override in RUNS[name]:
            words += ["--set", override]
        words += ["--out", str(tmp_path / str(number)), "--trace", "sessions"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr
    files = sorted(p.relative_to(tmp_path / "0") for p in (tmp_path / "0").rglob("*") if p.suffix in (".csv", ".json"))
    assert {"summary.json", "timeline.csv", "latency.csv", "series.csv"} <= {str(file) for file in files}
    for file in files:
        if file.name == "manifest.json":
            continue  # names the command, hence the directory
        assert (tmp_path / "0" / file).read_bytes() == (tmp_path / "1" / file).read_bytes(), file


BASE = """
name: common-numbers
duration: 5s
cluster: {version: "3.9", brokers: {count: 1, config: {offsets.topic.replication.factor: 1}}}
topics: {t: {partitions: 2}}
producers:
  - {name: p, topic: t, instances: 2, rate: 500/s, arrivals: poisson, record_size: 100B, partitioner: {keys: 20}}
consumers:
  - {group: one, topics: [t]}
"""


def arrivals(text):
    """Records created by stream, and the intended time of every record that begins a batch."""
    simulation = Simulation(Scenario.loads(text), 9)
    simulation.run()
    simulation.result()
    cluster = simulation.cluster
    batches = [b for tp in cluster.topics.partitions("t") for b in cluster.board.replicas[tp.index][0].log.batches]
    return [s.created for s in cluster.ledger.streams], {(b.stream, b.first): b.first_time for b in batches}


def test_another_consumer_shifts_no_arrival():
    """Common random numbers: two variants of a scenario meet the same records, however they are batched."""
    created, times = arrivals(BASE)
    more, others = arrivals(BASE + "  - {group: two, topics: [t], members: 2, processing: 1ms/record}\n")
    assert created == more
    both = times.keys() & others.keys()
    assert len(both) > 1000
    assert {key: times[key] for key in both} == {key: others[key] for key in both}
