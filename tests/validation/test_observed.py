"""Mechanisms of the control plane that a real cluster (Kafka 3.9.1, ZooKeeper 3.8.4, tick 2 s) showed.

Each test names the rule that it would miss; every number is a timer of the protocol, none was measured here.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.faults.laboratory import run

START_UP_S = 3.0
SESSION_S = 18.0
TICK_S = 2.0


def test_detection_counts_from_the_last_heartbeat_and_ends_on_the_tick_grid():
    """A kill is found after the session time-out from the last heartbeat, rounded up to ZooKeeper's ticks.

    Without the age of the heartbeat every delay were above the time-out; without the grid they would not spread.
    """
    delays = [run("{at: 20s, crash: broker 1, for: 40s}", seed=seed).at("session_expired") - 20.0 for seed in range(8)]
    assert all(SESSION_S * 2 / 3 <= delay <= SESSION_S + 1.5 * TICK_S for delay in delays)
    assert sum(delay < SESSION_S for delay in delays) >= 5
    assert len({round(delay, 3) for delay in delays}) == 8


def test_the_controllers_own_partitions_lose_their_leader_first_and_move_after_that():
    """Controller killed: id and ``/controller`` vanish in one transaction, a successor within tens of milliseconds,
    partitions of the dead broker go to nobody (one epoch) and then to their new leader (a second one)."""
    killed = run("{at: 20s, crash: controller, for: 40s}", controller=1, duration=90)
    (first,) = killed.of("znode_deleted", "/brokers/ids/1")
    (second,) = killed.of("znode_deleted", "/controller")
    assert first.time_s == second.time_s
    elected = killed.at("controller_elected")
    assert 0.0 < elected - first.time_s < 0.1
    offline = killed.at("partition_offline", "orders-0")
    moved = killed.at("leader_elected", "orders-0")
    assert elected < offline < moved
    assert killed.leader_epoch(0) == 2

    with_controller = run("{at: 20s, crash: broker 1, for: 40s}", controller=2, duration=90)
    assert not with_controller.of("partition_offline", "orders-0")
    assert with_controller.leader_epoch(0) == 1


def test_a_partition_whose_last_in_sync_replica_died_waits_for_just_that_broker():
    """Two of three replicas die one after the other; the third one, dead first, is not elected when it returns."""
    lost = run(
        "{at: 20s, crash: broker 2, for: 60s}", "{at: 60s, crash: broker 1, for: 60s}", duration=180, controller=3,
        factor=2, assignment="{0: [1, 2], 1: [3, 1], 2: [3, 2]}", sets=("producers.shop.config.acks=1",
        "producers.shop.config.enable.idempotence=false"),
    )  # fmt: skip
    back_2 = lost.at("registered", "broker epoch", "broker 2")
    back_1 = lost.at("registered", "broker epoch", "broker 1")
    assert lost.of("partition_offline", "orders-0") or lost.of("leader_elected", "orders-0: leader 1 -> none")
    (elected,) = lost.of("leader_elected", "orders-0: leader none -> 1")
    assert back_2 < back_1 < elected.time_s
    assert not lost.of("leader_elected", "orders-0: leader none -> 2")
    assert elected.time_s - back_1 < 0.2


def test_a_restart_inside_the_old_session_fails_until_the_session_has_ended():
    """The id znode belongs to the old session: NodeExists, exit, and the supervisor's next try."""
    killed = run("{at: 20s, crash: broker 1, for: 1s}")
    expired = killed.at("session_expired", "broker 1")
    failed = killed.of("start_failed", "NODEEXISTS")
    assert len(failed) >= 1 and all(row.time_s < expired for row in failed)
    registered = killed.at("registered", "broker epoch", "broker 1")
    assert expired < registered < expired + START_UP_S + 5.0 + 1.0
    # the tries are a supervisor's pause and a start-up apart
    tries = [row.time_s for row in killed.of("starting")]
    assert all(later - earlier > START_UP_S + 5.0 for earlier, later in pairwise(tries))


def test_all_brokers_restarted_at_once_cost_a_session_time_out_too():
    events = [f"{{at: 20s, crash: broker {number}, for: 1s}}" for number in (1, 2, 3)]
    killed = run(*events, duration=90)
    (outage,) = killed.outages("produce", 0)
    assert outage["until_s"] - 20.0 > SESSION_S * 2 / 3
    assert killed.ledger["acknowledged_lost"] == 0


def test_preferred_leaders_are_elected_five_seconds_after_a_controllers_election():
    """``auto.leader.rebalance.enable``: the first check is due 5 s after the failover, not after its usual 300 s."""
    balanced = run("{at: 20s, crash: broker 1, for: 20s}", "{at: 70s, crash: controller, for: 60s}", duration=110,
                   balance="true")  # fmt: skip
    elected = [row for row in balanced.of("controller_elected") if row.time_s > 70.0]
    assert len(elected) == 1
    balance = [row for row in balanced.of("preferred_election", "can return") if row.time_s > 70.0]
    assert balance[0].time_s - elected[0].time_s == pytest.approx(5.0, abs=0.2)
    # While broker 1 was back and its old controller lived, nobody looked: that check was not due within 300 s.
    assert not [row for row in balanced.of("preferred_election") if 45.0 < row.time_s < 70.0]


def test_a_killed_zookeeper_leader_is_replaced_and_no_client_of_kafka_notices():
    killed = run("{at: 20s, crash: zookeeper leader, for: 30s}")
    assert 20.2 < killed.at("zookeeper_leader_elected") < 21.5
    assert not killed.of("session_expired")
    assert not killed.outages("produce") and not killed.outages("consume")


def test_sessions_are_counted_anew_when_quorum_returns():
    """A broker that dies while there is no quorum is removed a whole time-out after the new leader's start."""
    lost = run(
        "{at: 20s, crash: zookeeper 2, for: 40s}", "{at: 20s, crash: zookeeper 3, for: 40s}",
        "{at: 30s, crash: broker 1, for: 90s}", duration=140,
    )  # fmt: skip
    leader = lost.at("zookeeper_leader_elected")
    assert leader > 60.0
    expired = lost.at("session_expired", "broker 1")
    assert SESSION_S <= expired - leader <= SESSION_S + TICK_S + 0.1
    assert not lost.of("session_expired", "broker 2") and not lost.of("session_expired", "broker 3")


def test_quorum_loss_alone_leaves_produce_and_consume_alone():
    lost = run("{at: 20s, crash: zookeeper 2, for: 30s}", "{at: 20s, crash: zookeeper 3, for: 30s}")
    assert not lost.outages("produce") and not lost.outages("consume")
    assert not lost.of("session_expired") and not lost.of("leader_elected")
    assert lost.ledger["acknowledged"] == lost.ledger["created"]
