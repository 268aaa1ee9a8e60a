"""A process that is stopped: nobody is told, everything waits, and what comes of it when it goes on."""

from __future__ import annotations

import pytest

from tests.faults.laboratory import run


def test_a_leader_stopped_for_8_seconds_stalls_acks_all_for_just_that_long():
    stopped = run("{at: 20s, freeze: broker 1, for: 8s}")
    for partition in range(3):
        (outage,) = stopped.outages("produce", partition)
        assert 7.9 < outage["until_s"] - 20.0 < 8.1
    assert stopped.at("resumed") == 28.0
    # within replica.lag.time.max.ms and the session's time-out nothing changes
    assert not stopped.of("isr_changed") and not stopped.of("session_expired") and not stopped.of("connections_reset")
    assert stopped.ledger["failed"] == stopped.ledger["acknowledged_lost"] == stopped.ledger["extra_copies"] == 0
    assert stopped.event()["over_s"] is not None


def test_acks_1_goes_on_where_the_stopped_broker_only_follows():
    stopped = run("{at: 20s, freeze: broker 1, for: 8s}", acks="1")
    assert {row["partition"] for row in stopped.outages("produce")} == {0}
    assert stopped.ledger["acknowledged_lost"] == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_broker_stopped_past_its_session_is_a_zombie_until_it_hears_of_it(seed):
    stopped = run("{at: 20s, freeze: broker 1, for: 25s}", seed=seed)
    expired = stopped.at("session_expired", "broker 1")
    assert 32.0 < expired < 41.1
    assert stopped.chain(stopped.of("session_expired", "broker 1")[0]) == ["session_expired", "fault"]
    (elected,) = stopped.of("leader_elected", "orders-0")
    assert stopped.chain(elected)[-1] == "fault"
    # The producer hangs on the open connection: the election does not help it, the broker's return does.
    (outage,) = stopped.outages("produce", 0)
    assert 45.0 < outage["until_s"] < 47.0
    # It registers anew when its ZooKeeper client has been told, with another broker epoch.
    again = stopped.at("registered", "broker epoch", "broker 1")
    assert 45.0 < again < 48.5
    assert stopped.ledger["acknowledged_lost"] == 0 and stopped.event()["over_s"] is not None


def test_a_zombie_leader_acknowledges_acks_1_records_that_are_truncated():
    """What its sockets hold is served before it learns of its successor: lost, and told so (observed with SIGSTOP)."""
    lost = 0
    for seed in (1, 2, 3):
        stopped = run("{at: 20s, freeze: broker 1, for: 25s}", seed=seed, acks="1", sets=("producers.shop.rate=600/s",))
        lost += stopped.ledger["acknowledged_lost"]
        if stopped.ledger["acknowledged_lost"]:
            chains = [stopped.chain(row) for row in stopped.of("lost", "orders-0")]
            assert all(chain[-1] == "fault" for chain in chains) and chains
    assert lost > 0


def test_a_controller_stopped_past_its_session_resigns_when_it_goes_on():
    stopped = run("{at: 20s, freeze: controller, for: 25s}")
    assert stopped.at("controller_elected", "controller epoch 2") > 32.0
    assert stopped.leader_epoch(1) == 2  # to nobody, then to its new leader
    assert stopped.at("registered", "broker epoch", "broker 2") > 45.0
    # From then on there is one controller, and it is not the one of before.
    changes = stopped.of("broker_change")
    assert [row.actor for row in changes if row.time_s > 45.0] != ["controller 2"]
    assert stopped.event()["over_s"] is not None


def test_a_stopped_zookeeper_leader_is_noticed_by_read_time_outs_and_resigns_when_it_goes_on():
    stopped = run("{at: 20s, freeze: zookeeper leader, for: 25s}")
    elected = stopped.at("zookeeper_leader_elected")
    # syncLimit x tick after the last ping or packet, then an election
    assert 28.9 < elected < 31.5
    # It goes on at 45 s, believes for up to a tick that it leads, and expires sessions that only it believes dead.
    lost = stopped.at("zookeeper_leader_lost", "resigns")
    assert 45.0 < lost <= 47.0
    assert not stopped.of("znode_deleted")
    assert not stopped.outages("produce") and not stopped.outages("consume")
    assert stopped.event()["over_s"] is not None


def test_a_killed_process_that_was_stopped_stays_dead():
    both = run("{at: 20s, freeze: broker 1, for: 20s}", "{at: 25s, crash: broker 1, for: 30s}", duration=90)
    assert not both.of("resumed")
    assert len(both.of("starting")) == 1 and both.ledger["acknowledged_lost"] == 0
    assert all(event["over_s"] is not None for event in both.summary["events"])


def test_a_process_that_was_started_meanwhile_does_not_resume():
    both = run("{at: 20s, freeze: broker 1, for: 30s}", "{at: 22s, crash: broker 1, for: 20s}", duration=90)
    assert both.at("registered", "broker epoch", "broker 1") < 50.0
    assert not both.of("resumed")


def test_a_process_that_is_stopped_for_longer_resumes_once():
    longer = run("{at: 20s, freeze: broker 1, for: 4s}", "{at: 22s, freeze: broker 1, for: 6s}")
    assert longer.at("resumed") == 28.0
    (outage,) = longer.outages("produce", 0)
    assert 27.9 < outage["until_s"] < 28.1
