"""``nic_capped``: the lowest of several caps holds, and what was before comes back exactly."""

from __future__ import annotations

from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation

TEXT = """
name: capped
duration: 12s
cluster: {{brokers: {{count: 3}}}}
topics: {{t: {{partitions: 1, assignment: {{0: [1, 2, 3]}}}}}}
producers:
  - {{name: p, topic: t, rate: 500/s, record_size: 1KB, config: {{acks: all}}}}
events: {events}
"""
STACKED = """
  - {at: 3s, nic_capped: {host: broker 2, rate: 80Mbit/s}, for: 5s}
  - {at: 4s, nic_capped: {host: broker 2, rate: 16Mbit/s}, for: 2s}
"""


def simulate(events):
    simulation = Simulation(Scenario.loads(TEXT.format(events=events)), 1)
    seen = {}
    host = simulation.cluster.brokers[2].host
    for at in (2.5, 3.5, 4.5, 6.5, 8.5):
        simulation.cluster.env.call_at(at, lambda at: seen.__setitem__(at, host.nic_bytes_per_s), at)
    simulation.run()
    return simulation, seen


def worst(simulation, low, high):
    rows = simulation.cluster.latency.over_time
    return max(
        row["max_s"] for row in rows
        if row["kind"] == "produce" and row["max_s"] is not None and low < row["time_s"] <= high
    )  # fmt: skip


def test_caps_stack_and_leave_nothing():
    simulation, seen = simulate(STACKED)
    assert seen == {2.5: 1.25e9, 3.5: 1e7, 4.5: 2e6, 6.5: 1e7, 8.5: 1.25e9}
    summary = simulation.result().summary
    assert all(event["over_s"] is not None for event in summary["events"])


def test_it_is_felt_while_it_lasts_and_not_after():
    """2 MB/s each way: 1 KB takes 0.5 ms more into broker 2, and its next fetch as long to leave."""
    simulation, _ = simulate(STACKED)
    usual = worst(simulation, 1, 3)
    assert worst(simulation, 4, 6) > usual + 0.4e-3
    assert worst(simulation, 9, 12) < usual * 1.5


def test_a_run_without_it_is_the_same_as_before_it_begins():
    with_it, _ = simulate(STACKED)
    without, _ = simulate("[]")

    def early(s):
        return [row for row in s.cluster.latency.over_time if row["time_s"] <= 3.0]

    assert early(with_it) == early(without)
