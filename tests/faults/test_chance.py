"""What chance decides: random faults, collections of a heap; and clocks that are wrong."""

from __future__ import annotations

import pytest

from kafkasim.scenario import Scenario
from kafkasim.simulation import simulate
from tests.faults.laboratory import Run, run

CHANCE = "{at: 10s, random_faults: {crash: {every: 12s, for: 3s}, partition: {every: 15s, for: 2s}}, for: 60s}"


def drawn(done: Run) -> list[tuple[float, str, str]]:
    made = {row.id for row in done.of("random_faults")}
    return [(row.time_s, row.actor, row.detail) for row in done.rows if row.event == "fault" and row.cause in made]


def test_random_faults_come_at_their_rate_on_drawn_targets_and_end() -> None:
    done = run(CHANCE, duration=120)
    faults = drawn(done)
    assert 3 <= len(faults) <= 20  # 60 / 12 + 60 / 15 in the mean
    assert all(10.0 < at < 70.0 for at, _, _ in faults)
    assert {detail.split()[0] for _, _, detail in faults} == {"crash", "partition"}
    assert len({actor for _, actor, _ in faults}) > 1
    assert all(event["over_s"] is not None for event in done.summary["events"])
    assert done.ledger["acknowledged_lost"] == 0


def test_the_draws_hang_on_the_seed_and_on_nothing_else() -> None:
    """Neither another load nor another kind of fault shifts them."""
    once = drawn(run(CHANCE, duration=90))
    assert drawn(run(CHANCE, duration=90, sets=("producers.shop.rate=20/s",))) == once
    assert drawn(run(CHANCE, duration=90, seed=2)) != once
    more = CHANCE.replace("{crash", "{freeze: {every: 20s, for: 1s}, crash")
    kept = [fault for fault in drawn(run(more, duration=90)) if not fault[2].startswith("freeze")]
    assert [(at, detail.split(" without")[0]) for at, _, detail in kept] == [
        (at, detail.split(" without")[0]) for at, _, detail in once
    ]


def test_random_faults_hit_whom_they_are_for() -> None:
    chance = "{at: 5s, random_faults: {targets: zookeeper, crash: {every: 10s, for: 2s}}, for: 60s}"
    assert {actor.split()[0] for _, actor, _ in drawn(run(chance, duration=80))} == {"zookeeper"}


def test_a_zone_goes_with_all_that_stands_in_it() -> None:
    racks = ("cluster.brokers.racks=[a, b, c]", "cluster.zookeeper.racks=[a, b, c]")
    lost = run("{at: 20s, power_loss: rack b, for: 20s}", duration=90, sets=racks)
    assert {row.actor for row in lost.of("fault", "power_loss")} == {"broker 2", "zookeeper 2"}
    assert {row.actor for row in lost.of("starting")} == {"broker 2", "zookeeper 2"}
    assert all(row.time_s >= 40.0 for row in lost.of("connections_reset", "broker 2"))  # nobody is told before it boots
    assert lost.ledger["acknowledged_lost"] == 0
    cut = run("{at: 20s, partition: {between: rack a, and: [rack b, rack c]}, for: 30s}", duration=90, sets=racks)
    assert cut.of("zookeeper_leader_lost") and cut.of("session_expired", "broker 1")
    assert cut.ledger["acknowledged_lost"] == 0 and cut.event()["over_s"] is not None


CUT = "{at: 20s, partition: {between: broker 1, and: broker 3}, for: 100s}"


@pytest.mark.parametrize(("behind_s", "waits_s"), [(0, 30.0), (25, 55.0)])
def test_a_clock_set_back_keeps_a_silent_follower_in_the_isr_for_as_much_longer(behind_s, waits_s) -> None:
    events = [CUT] + ([f"{{at: 22s, clock_skew: broker 1, behind: {behind_s}s}}"] if behind_s else [])
    done = run(*events, duration=110)
    shrunk = done.of("isr_changed", "orders-0: ISR [1, 2, 3] -> [1, 2]")[0].time_s - 20.0
    assert waits_s - 0.5 < shrunk < waits_s + 15.5


def test_a_clock_set_ahead_ends_what_is_unanswered_and_drops_who_was_behind() -> None:
    """More than request.timeout.ms: the followers' parked fetches look as old; they come back at once."""
    done = run("{at: 20s, clock_skew: broker 3, ahead: 40s, for: 5s}", duration=40)
    assert done.of("over", "clock_skew") and done.ledger["acknowledged_lost"] == done.ledger["failed"] == 0
    (outage,) = done.outages("produce", 2) or [{"until_s": 21.0}]
    assert outage["until_s"] < 23.0
    cut = run(CUT, "{at: 25s, clock_skew: broker 1, ahead: 40s}", duration=60)
    shrunk = cut.of("isr_changed", "orders-0: ISR [1, 2, 3] -> [1, 2]")[0].time_s
    assert 25.0 < shrunk < 40.5  # at the next look, not 30 s after the cut


def test_a_drifting_clock_is_wrong_by_what_it_gained() -> None:
    drifting = run(CUT, "{at: 20s, clock_skew: broker 1, behind: 1ms, drift: 500ms}", duration=120)
    shrunk = drifting.of("isr_changed", "orders-0: ISR [1, 2, 3] -> [1, 2]")[0].time_s - 20.0
    assert 58.0 < shrunk < 76.0  # 30 s of a clock that runs at half the speed


def test_a_clock_of_zookeeper_changes_nothing() -> None:
    usual = run(duration=40)
    skewed = run("{at: 10s, clock_skew: zookeeper 1, ahead: 60s}", duration=40)
    assert skewed.of("fault", "clock_skew without effect")
    assert skewed.summary["latency"] == usual.summary["latency"]


def collected(jvm: str) -> dict:
    text = """
name: heap
duration: 40s
warmup: 5s
cluster:
  brokers: {count: 3, host: {jvm: JVM}}
topics: {orders: {partitions: 3, replication_factor: 3}}
producers:
  - name: shop
    topic: orders
    rate: 20_000/s
    record_size: 1KiB
    partitioner: round
    config: {acks: all, linger.ms: 20}
"""
    return simulate(Scenario.loads(text.replace("JVM", jvm)), seed=1).summary


def tail(summary: dict) -> tuple[float, float]:
    (row,) = [r for r in summary["latency"] if r["kind"] == "produce" and r["client"] is None and r["broker"] is None]
    return row["p50_s"], row["max_s"]


def test_collections_show_in_the_tail_and_not_in_the_median() -> None:
    none, few = tail(collected("null")), tail(collected("{heap: 512MiB, pause_p50: 60ms, pause_p99: 60ms}"))
    assert few[1] > none[1] + 0.03
    assert few[0] < none[0] * 1.3


def test_a_full_collection_is_told() -> None:
    summary = collected("{collector: parallel, full: {every: 10s, pause: 2s}}")
    rows = [row for row in summary["timeline"] if row["event"] == "gc_pause"]
    assert rows and all("full collection: 2.000 s" in row["detail"] for row in rows)
    assert tail(summary)[1] > 1.5
