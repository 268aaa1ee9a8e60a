"""What a follower made of its own high watermark up to 0.10.2, and what the leader epochs of 0.11 mend (KIP-101)."""

from __future__ import annotations

import pytest

from tests.faults.laboratory import run

SETS = (
    "cluster.brokers.config.zookeeper.session.timeout.ms=6000",
    "cluster.brokers.config.replica.lag.time.max.ms=10000",
    "cluster.brokers.config.unclean.leader.election.enable=false",
    "producers.shop.config.enable.idempotence=false",
    "producers.shop.config.retries=2147483647",
)
LOSS = (
    # Broker 3 cannot hear of broker 2, its next leader; it knows each record, but not yet that it is committed.
    "{at: 9.8s, partition: {between: broker 2, and: broker 3}, for: 25s}",
    "{at: 10s, crash: broker 1, for: 30s}",
    # Broker 2 leads by now, and broker 3 follows it; it dies before broker 3 has fetched anything.
    "{at: 19s, crash: broker 2, for: 21s}",
)


def losing(version: str, seed: int):
    """Three replicas have a record, two of them die one after the other, the third one leads."""
    return run(*LOSS, duration=60, seed=seed, controller=3, sets=(f'cluster.version="{version}"', *SETS))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_committed_record_is_lost_with_clean_elections_up_to_0_10_2(seed):
    lost = losing("0.10.2", seed)
    cuts = lost.of("truncated", "orders-0", "broker 3")
    assert cuts and cuts[0].time_s < 19.0
    assert lost.chain(cuts[0])[:3] == ["truncated", "follower_applied", "leader_elected"]
    assert lost.of("leader_elected", "orders-0: leader 2 -> 3")
    assert lost.ledger["acknowledged_lost"] >= 1
    assert not lost.of("unclean")


@pytest.mark.parametrize("version", ["0.11", "1.1", "2.0", "2.6", "3.9"])
def test_and_stays_since_0_11(version):
    kept = losing(version, 1)
    assert not kept.of("truncated", "orders-0", "broker 3")
    assert kept.of("leader_elected", "orders-0: leader 2 -> 3")
    assert kept.ledger["acknowledged_lost"] == 0


POWER = (
    "{at: 64s, power_loss: broker 2, for: 10s}",
    "{at: 66s, power_loss: broker 1, for: 70s}",
)
FLUSHED = "cluster.brokers.overrides.1.log.flush.interval.messages=1"
"""Broker 1 has everything on its disk, broker 2 what its page cache has written back: half a minute less."""
PAIRS = "{0: [1, 2], 1: [1, 2], 2: [1, 2]}"
DIVERGED = "diverged of orders == 0"


def diverging(version: str, seed: int, unclean: bool = True, min_isr: int = 1):
    """Two replicas lose power, the one with less returns first and leads; the controller was with the other one.

    Several clients, since one alone may wait for a connection to the dead machine (127 s before 2.7).
    """
    sets = (
        f'cluster.version="{version}"',
        *SETS,
        f"cluster.brokers.config.unclean.leader.election.enable={str(unclean).lower()}",
        f"cluster.brokers.config.min.insync.replicas={min_isr}",
        FLUSHED,
        "producers.shop.instances=6",
    )
    return run(*POWER, duration=160, seed=seed, controller=1, factor=2, assignment=PAIRS, sets=sets, expect=(DIVERGED,))


@pytest.mark.parametrize("seed", [1, 2])
def test_logs_differ_for_ever_up_to_0_10_2(seed):
    """KIP-101's second case: the longer log has nothing beyond its own high watermark to be cut."""
    run_ = diverging("0.10.2", seed)
    assert run_.of("leader_elected", "orders-0", "controller 3")
    cut = [
        int(row.detail.split(": ")[1].split()[0])
        for row in run_.of("truncated", "orders", "broker 1")
        if row.time_s > 130.0
    ]
    assert sum(cut) <= 3 * 100, "what lay beyond the high watermarks of the last checkpoint, at most five seconds old"
    assert 1200 <= run_.value(DIVERGED) <= 2160, "25 to 36 seconds at 60 records/s"


@pytest.mark.parametrize("version", ["0.11", "2.0", "2.6", "3.9"])
def test_and_agree_again_since_0_11(version):
    run_ = diverging(version, 1)
    assert [row for row in run_.of("truncated", "orders", "broker 1") if row.time_s > 130.0]
    assert run_.value(DIVERGED) == 0


def test_a_follower_ahead_of_its_leader_ends_its_process_before_2_0():
    """The new leader accepts nothing alone; unclean elections are not allowed, so nothing may be cut off either."""
    halting = diverging("0.10.2", 1, unclean=False, min_isr=2)
    halts = halting.of("halted", "orders", "broker 1")
    starts = [row.time_s for row in halting.of("starting", actor="broker 1")]
    assert len(halts) == 2, "and again at each start, as soon as its old session lets it register"
    assert starts[1] == pytest.approx(halts[0].time_s + 5.0)
    # With unclean elections it is cut to the leader's end; from 2.0 on always.
    assert not diverging("0.10.2", 1, unclean=True, min_isr=2).of("halted")
    assert not diverging("2.0", 1, unclean=False, min_isr=2).of("halted")
