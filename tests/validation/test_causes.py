"""Rows of the timeline name what made them happen, where that is known."""

from __future__ import annotations

from kafkasim.scenario import Scenario
from kafkasim.simulation import simulate

TEXT = """
name: causes
duration: 12s
cluster:
  brokers: {count: 3, config: {auto.leader.rebalance.enable: false, replica.lag.time.max.ms: 2000}}
  zookeeper: {servers: 1, config: {tickTime: 2000}}
  initial_controller: 2
topics:
  t: {partitions: 1, assignment: {0: [1, 2, 3]}}
producers:
  - {name: p, topic: t, rate: 100/s, record_size: 100B, config: {acks: 1}}
events:
  - {at: 3s, crash: broker 3, for: 60s}
"""


def test_a_shrink_by_lag_names_the_crash_of_the_follower():
    """The session of broker 3 lives for 12 s at least: its leader finds it out of sync long before."""
    rows = {row["id"]: row for row in simulate(Scenario.loads(TEXT), 1).summary["timeline"]}
    shrink = next(row for row in rows.values() if row["event"] == "isr_changed" and row["detail"].startswith("t-0"))
    assert 5.0 < shrink["time_s"] < 6.2
    fault = next(row for row in rows.values() if row["event"] == "fault")
    assert shrink["cause"] == fault["id"]
