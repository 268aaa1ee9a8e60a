"""Each session's expiry, recomputed from the run's own touches (``--trace sessions``)."""

from __future__ import annotations

import csv
from math import floor

import pytest
from typer.testing import CliRunner

from kafkasim.cli import app

SCENARIO = """
name: sessions
duration: 45s
cluster:
  version: "3.9"
  brokers:
    count: 3
    config: {{zookeeper.session.timeout.ms: {asked}, auto.leader.rebalance.enable: false}}
  zookeeper:
    servers: 3
    config: {{tickTime: {tick}}}
    initial_leader: 1
    initial_sessions: {{broker 1: {server}, broker 2: 1, broker 3: 2}}
events:
  - {{at: 12.345s, crash: broker 1, for: 40s}}
"""
# asked, tick, granted
CASES = [(18000, 2000, 18000), (6000, 2000, 6000), (18000, 500, 10000), (6000, 500, 6000)]


def traced(tmp_path, asked, tick, server, seed):
    file = tmp_path / "sessions.yaml"
    file.write_text(SCENARIO.format(asked=asked, tick=tick, server=server), encoding="utf-8")
    out = tmp_path / f"out-{seed}"
    words = ["run", str(file), "--seed", str(seed), "--out", str(out), "--trace", "sessions", "--quiet"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    with (out / "sessions.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    return [row for row in rows if row["session"] == "broker 1"]


@pytest.mark.parametrize("server", [1, 3], ids=["on the leader", "on a follower"])
@pytest.mark.parametrize(("asked", "tick", "granted"), CASES)
@pytest.mark.parametrize("seeds", [1, pytest.param(10, marks=pytest.mark.full)])
def test_a_session_ends_at_the_tick_after_its_last_touch_and_timeout(tmp_path, asked, tick, granted, server, seeds):
    for seed in range(1, seeds + 1):
        rows = traced(tmp_path, asked, tick, server, seed)
        expired = [row for row in rows if row["expired_s"]]
        assert len(expired) == 1
        last = expired[0]
        touched_s = float(last["touched_at_leader_s"])
        expired_s = float(last["expired_s"])
        # The grid is the server's own: every bucket of the trace lies on it, a whole number of ticks apart.
        buckets = sorted({int(row["bucket_ms"]) for row in rows})
        phase_ms = buckets[0] % tick
        assert all((bucket - phase_ms) % tick == 0 for bucket in buckets)
        bucket_ms = int(last["bucket_ms"])
        earliest_ms = touched_s * 1000 + granted
        expected_ms = (floor((earliest_ms - phase_ms) / tick) + 1) * tick + phase_ms
        assert bucket_ms == pytest.approx(expected_ms, abs=1)
        assert expired_s * 1000 == pytest.approx(bucket_ms, abs=1)
        assert 0 < expired_s * 1000 - earliest_ms <= tick + 1
        relay_s = touched_s - float(last["touched_at_server_s"])
        if server == 1:
            assert relay_s == pytest.approx(0.0, abs=1e-9)
        else:
            assert 0 < relay_s <= tick / 2000 + 0.01
        assert float(last["touched_at_server_s"]) <= 12.345 + 0.001
