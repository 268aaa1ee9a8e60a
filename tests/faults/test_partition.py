"""Links that are cut between parts of a cluster."""

from __future__ import annotations

import pytest

from tests.faults.laboratory import run


def test_a_broker_cut_off_from_zookeeper_goes_on_leading_for_its_clients():
    """Its session ends, another broker leads; acks=all records of its own clients are never committed by it."""
    cut = run("{at: 20s, partition: {between: broker 1, and: zookeeper}, for: 30s}", duration=100)
    expired = cut.at("session_expired", "broker 1")
    assert 32.0 < expired < 41.1
    assert cut.chain(cut.of("session_expired", "broker 1")[0]) == ["session_expired", "fault"]
    assert cut.at("leader_elected", "orders-0") > expired
    # until the election nobody notices anything
    assert all(row["from_s"] > expired - 1.0 for row in cut.outages("produce"))
    assert cut.ledger["acknowledged_lost"] == 0 and cut.ledger["failed"] == 0
    # it comes back when its client reaches a server, which tells it that the session is gone
    assert cut.at("registered", "broker epoch", "broker 1") > 50.0
    assert cut.event()["over_s"] is not None


def test_a_zombie_leader_that_acknowledges_by_itself_loses():
    lost = 0
    for seed in (1, 2):
        cut = run(
            "{at: 20s, partition: {between: broker 1, and: zookeeper}, for: 30s}", duration=100, acks="1", seed=seed
        )
        lost += cut.ledger["acknowledged_lost"]
        assert cut.ledger["acknowledged_lost"] == sum(loss["records"] for loss in cut.ledger["losses"])
    assert lost > 0


def test_a_short_isolation_costs_what_retransmissions_cost():
    cut = run("{at: 20s, partition: {between: broker 1, and: others}, for: 5s}")
    assert not cut.of("session_expired") and not cut.of("leader_elected")
    (outage,) = cut.outages("produce", 0)
    # what was sent first at about 20 s is repeated after 0.2, 0.4 … s: 26.2 or 26.4 s is the first time after 25 s
    assert 25.0 < outage["until_s"] < 27.5
    assert cut.ledger["acknowledged_lost"] == cut.ledger["extra_copies"] == 0


@pytest.mark.parametrize("ends", ["{from: broker 1, to: zookeeper}", "{from: zookeeper, to: broker 1}"])
def test_either_direction_alone_ends_the_session(ends):
    cut = run(f"{{at: 20s, partition: {ends}, for: 30s}}", duration=100)
    assert 32.0 < cut.at("session_expired", "broker 1") < 43.0


def test_a_minority_of_the_ensemble_is_cut_off():
    """The leader with nobody resigns within syncLimit x tick + a tick; the others elect; no session is lost."""
    cut = run("{at: 20s, partition: {between: zookeeper 1, and: [zookeeper 2, zookeeper 3]}, for: 30s}", duration=90)
    assert 28.0 < cut.at("zookeeper_leader_lost") < 32.5
    assert 28.9 < cut.at("zookeeper_leader_elected") < 31.5
    assert not cut.of("znode_deleted")
    assert not cut.outages("produce")


def test_slower_links_slow_acks_all_by_the_extra_trips():
    usual = run(duration=40)
    slow = run("{at: 1ms, latency: {between: brokers, and: brokers, add: 10ms}}", duration=40)

    def p50(result):
        return next(
            row["p50_s"] for row in result.summary["latency"] if row["kind"] == "produce" and not row.get("client")
        )

    # the follower's parked fetch is answered (one trip) and asks again (another): 20 ms more
    assert p50(slow) - p50(usual) == pytest.approx(0.020, rel=0.1)


def test_lossy_links_lose_nothing():
    lossy = run("{at: 5s, loss: {between: clients, and: brokers, probability: 0.05}, for: 20s}", duration=50)
    assert lossy.ledger["acknowledged"] == lossy.ledger["created"] == lossy.ledger["readable"]
    assert lossy.ledger["extra_copies"] == 0
