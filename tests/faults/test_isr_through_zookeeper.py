"""Leaders that write their ISR into ZooKeeper themselves (up to 2.6), beside those that ask the controller."""

from __future__ import annotations

import pytest

from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation
from tests.faults.laboratory import run

COMMON = (
    "cluster.brokers.config.zookeeper.session.timeout.ms=6000",
    "cluster.brokers.config.replica.lag.time.max.ms=10000",
    "cluster.brokers.config.min.insync.replicas=1",
    "producers.shop.config.enable.idempotence=false",
    "producers.shop.config.retries=2147483647",
)


def sets(version: str, *more: str) -> tuple[str, ...]:
    return (f'cluster.version="{version}"', *COMMON, *more)


# The cached zkVersion: the controller has changed the ISR, and the leader does not hear of it.

UNHEARD = (
    "{at: 9s, partition: {between: broker 1, and: broker 3}, for: 51s}",
    "{at: 10s, crash: broker 2, for: 80s}",
)


def unheard(version: str):
    return run(*UNHEARD, duration=100, controller=3, factor=2, assignment="{0: [1, 2], 1: [1, 2], 2: [1, 2]}",
               sets=sets(version))  # fmt: skip


@pytest.mark.parametrize("version", ["0.10.2", "2.0", "2.6"])
def test_a_leader_with_an_old_version_can_change_nothing_up_to_2_6(version):
    """It tries again at every check of the ISR (5 s), until the LeaderAndIsr gets through."""
    loop = unheard(version)
    shrunk = loop.at("isr_changed", "orders-0", "controller 3")
    assert 14.0 < shrunk < 20.0
    skipped = loop.of("isr_change_skipped", "orders-0", "broker 1")
    assert len(skipped) == 1
    assert "cached zkVersion 0 not equal to that in zookeeper" in skipped[0].detail
    assert 20.0 < skipped[0].time_s < 26.0
    count = next(row["count"] for row in loop.summary["timeline"] if row["id"] == skipped[0].id)
    heard = loop.at("leader_applied", "orders-0", "broker 1")
    assert heard > 60.0
    assert count == pytest.approx((heard - skipped[0].time_s) / 5.0, abs=1.5)
    outage = max(loop.outages("produce", 0), key=lambda row: row["duration_s"])
    assert outage["until_s"] == pytest.approx(heard, abs=1.0), "acks=all waits for the dead follower until then"


@pytest.mark.parametrize("version", ["2.7", "3.9"])
def test_and_asks_nobody_but_the_controller_since_2_7(version):
    assert not unheard(version).of("isr_change_skipped")


@pytest.mark.parametrize(("version", "shrinks"), [("2.6", True), ("2.7", False), ("3.9", False)])
def test_up_to_2_6_a_slow_follower_leaves_the_isr_although_the_controller_is_unreachable(version, shrinks):
    events = (
        "{at: 9s, partition: {between: broker 1, and: broker 3}, for: 40s}",
        "{at: 9s, partition: {between: broker 1, and: broker 2}, for: 40s}",
    )
    cut = run(*events, duration=60, controller=3, factor=2, assignment="{0: [1, 2], 1: [1, 2], 2: [1, 2]}",
              sets=sets(version))  # fmt: skip
    assert bool([row for row in cut.of("isr_changed", "orders-0: ISR [1, 2] -> [1]") if row.time_s < 45.0]) is shrinks


# ZooKeeper without a quorum: the write waits, and with it the partition.

QUORUM_LOST = (
    "{at: 10s, crash: zookeeper 2, for: 50s}",
    "{at: 10s, crash: zookeeper 3, for: 50s}",
    "{at: 11s, crash: broker 3, for: 100s}",
)


def quorum_lost(version: str, threads: int = 2):
    """Only orders-1 has a replica on broker 3."""
    return run(
        *QUORUM_LOST, duration=90, controller=2, factor=2, acks="1", assignment="{0: [1, 2], 1: [1, 3], 2: [2, 1]}",
        sets=sets(version, f"cluster.brokers.config.num.io.threads={threads}"),
    )  # fmt: skip


@pytest.mark.parametrize("version", ["2.1", "2.6"])
def test_without_zookeeper_a_shrink_stops_the_broker_up_to_2_6(version):
    """One partition's write lock keeps every handler; the other broker follows, as its fetches are not answered."""
    still = quorum_lost(version)
    for partition in (0, 1):
        outage = max(still.outages("produce", partition), key=lambda row: row["duration_s"])
        assert 20.0 < outage["from_s"] < 27.0
        assert outage["until_s"] > 60.0, "until the ensemble has a quorum again"
    assert not [row for row in still.outages("produce", 2) if row["duration_s"] > 5.0], "broker 2 has no such partition"


@pytest.mark.parametrize("version", ["0.10.2", "2.0"])
def test_before_2_1_it_is_an_idle_partition_that_is_locked_first(version):
    """A silent follower leaves idle partitions too: those of the group topic stop replication, not acks=1."""
    still = quorum_lost(version)
    assert not still.outages("produce")
    outage = max(still.outages("consume", 0), key=lambda row: row["duration_s"])
    assert 20.0 < outage["from_s"] < 24.0 and outage["until_s"] > 60.0


def test_since_2_7_acknowledgements_of_the_leader_go_on():
    assert not quorum_lost("2.7").outages("produce")


# What the controller hears, and when.


def learned(version: str, seed: int) -> list[tuple[float, float]]:
    """Broker 3 is away twice: when it has returned to the ISR, and when broker 2 knows it, for orders-0."""
    text = f"""
name: notifications
duration: 75s
cluster:
  version: "{version}"
  brokers:
    count: 3
    config: {{auto.leader.rebalance.enable: false, zookeeper.session.timeout.ms: 6000,
              offsets.topic.num.partitions: 1, offsets.topic.replication.factor: 2}}
  zookeeper: {{servers: 1, config: {{tickTime: 2000}}}}
  initial_controller: 2
topics:
  orders: {{partitions: 1, assignment: {{0: [1, 3]}}}}
producers:
  - {{name: shop, topic: orders, rate: 20/s, record_size: 100B, config: {{acks: 1}}}}
events:
  - {{at: 10s, crash: broker 3, for: 10s}}
  - {{at: 45s, crash: broker 3, for: 10s}}
"""
    simulation = Simulation(Scenario.loads(text), seed)
    cluster = simulation.cluster
    index = cluster.topics.partition("orders", 0).index
    seen: list[float] = []

    def look(_: None) -> None:
        state = cluster.brokers[2].metadata.state(index)
        known = state is not None and state.isr == (1, 3)
        if known and (not seen or seen[-1] < 0):
            seen.append(cluster.env.now)
        elif not known and seen and seen[-1] > 0:
            seen.append(-1.0)

    for tenth in range(1, 750):
        cluster.env.call_at(tenth / 10, look)
    simulation.run()
    rows = simulation.result().summary["timeline"]
    back = [r["time_s"] for r in rows if r["event"] == "isr_changed" and "orders-0: ISR [1] -> [1, 3]" in r["detail"]]
    known = [at for at in seen[1:] if at > 0]
    return list(zip(back, known, strict=True))


@pytest.mark.parametrize("version", ["0.10.2", "2.6"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_controller_hears_of_a_leaders_change_some_seconds_later(version, seed):
    """The first one at the next look (2.5 s); one that follows within a minute after 5 s of silence."""
    (first, first_known), (second, second_known) = learned(version, seed)
    assert 0.0 <= first_known - first < 2.65
    assert 5.0 < second_known - second < 7.65


def test_since_2_7_it_is_the_controller_that_makes_the_change():
    for back, known in learned("2.7", 1):
        assert known - back < 0.2
