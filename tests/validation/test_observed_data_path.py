"""Mechanisms of replication that a real cluster (Kafka 3.9.1) showed: stalls, losses, zombies, the ISR's check.

What :mod:`tests.validation.test_observed` says of itself holds here too. Every stall, loss and shrink leads back, row
by row, to the fault or the order that made it.
"""

from __future__ import annotations

from functools import cache

import pytest

from tests.faults.laboratory import run

LAG_S, POLL_S, BACKOFF_S, REQUEST_TIMEOUT_S = 5.0, 0.5, 1.0, 30.0
SHORT_LAG = "cluster.brokers.config.replica.lag.time.max.ms=5000"
SLOW_DISK = "cluster.brokers.host.disk.fsync_p50=3ms"
"""A new leader's epoch file takes its time: who was told to follow is faster."""
FAR = "cluster.network.same_rack=2ms"
"""Links on which something is always under way, so that nothing hangs on the phase of a load."""
TILL = (
    "{name: till, topic: orders, rate: 600/s, record_size: 100B, partitioner: round, config: {acks: 1, linger.ms: 0}}"
)
KILLED = "{at: 20s, crash: broker 1, for: 60s}"


def origins(found, rows):
    """The first causes of some rows."""
    return {found.chain(row)[-1] for row in rows}


def after_election(found, kind, client):
    """The election of orders-0, and for how long a client's partitions stood still after it at most."""
    elected = found.of("leader_applied", "orders-0 epoch 1")[0].time_s
    ends = [row["until_s"] - elected for row in found.outages(kind, client=client) if row["until_s"] > 20.0]
    return elected, max(ends)


# ---- 3: the fetch back-off stall


@pytest.mark.parametrize("seed", [0, 1])
def test_a_follower_that_asks_the_new_leader_too_early_waits_for_the_back_off(seed):
    """It is refused (the leader has not applied its epoch): until its delay and its running fetch end, nobody else's
    record is committed either. acks=1 goes on. Without the delay the stall would end with the next fetch."""
    killed = run(KILLED, seed=seed, duration=45, producer=TILL, sets=(SLOW_DISK,))
    elected, stall = after_election(killed, "produce", "shop")
    refused = [row for row in killed.of("fetch_backoff", "UNKNOWN_LEADER_EPOCH") if "orders" in row.detail]
    assert refused and origins(killed, refused) == {"fault"}
    assert "follower_applied" in killed.chain(refused[0])
    assert BACKOFF_S <= stall <= BACKOFF_S + POLL_S + 0.1
    assert after_election(killed, "consume", "audit")[1] == pytest.approx(stall, abs=0.1)
    assert not [row for row in killed.outages("produce", client="till") if row["from_s"] > elected]


def test_who_wins_the_race_does_not_wait():
    """The other mode: the leader was ready, the stall ends with the fetch that was running."""
    killed = run(KILLED, seed=1, duration=45, producer=TILL)
    assert not [row for row in killed.of("fetch_backoff", "EPOCH") if "orders" in row.detail]
    assert after_election(killed, "produce", "shop")[1] <= POLL_S + 0.1


# ---- 4: acks=1 loses on leader moves, controlled ones too


@cache
def moved(acks):
    return run("{at: 20s, stop: broker 1, for: 10s}", "{at: 45s, elect_preferred_leaders: all}", duration=60, acks=acks,
               sets=(FAR, "producers.shop.rate=1500/s"))  # fmt: skip


def test_acks_1_loses_on_controlled_leader_moves():
    """What the old leader acknowledged and the new one had not fetched is cut off; both moves cost something."""
    lost = moved("1")
    losses = lost.of("lost")
    assert lost.ledger["acknowledged_lost"] > 0
    assert origins(lost, losses) == {"fault", "elect_preferred_leaders"}
    assert {event for row in losses for event in lost.chain(row)} >= {"leader_elected", "leader_applied", "truncated"}


def test_an_idempotent_producer_with_acks_all_loses_and_doubles_nothing():
    kept = moved("all")
    assert len(kept.of("leader_elected", "orders-0")) == 2
    assert kept.ledger["acknowledged_lost"] == kept.ledger["failed"] == kept.ledger["extra_copies"] == 0


# ---- 5: the zombie leader


def test_a_stopped_leader_holds_its_producers_until_it_returns_or_their_time_out():
    """The election does not help who hangs on an open connection: whichever comes first ends the outage."""
    returns = run("{at: 20s, freeze: broker 1, for: 25s}", duration=60)
    (outage,) = returns.outages("produce", 0)
    assert returns.of("leader_elected", "orders-0")[0].time_s < 42.0
    assert 45.0 <= outage["until_s"] < 47.0

    stays = run("{at: 20s, freeze: broker 1, for: 60s}", duration=70)
    (outage,) = stays.outages("produce", 0)
    assert 20.0 + REQUEST_TIMEOUT_S <= outage["until_s"] < 20.0 + REQUEST_TIMEOUT_S + 1.0


def test_a_zombie_acknowledges_what_is_truncated_afterwards():
    zombie = run("{at: 20s, freeze: broker 1, for: 25s}", duration=60, acks="1", sets=(FAR,))
    losses = zombie.of("lost", "orders-0")
    assert zombie.ledger["acknowledged_lost"] > 0 and losses
    chain = zombie.chain(losses[0])
    assert chain[-1] == "fault" and {"truncated", "follower_applied"} <= set(chain)
    assert losses[0].time_s > zombie.of("session_expired", "broker 1")[0].time_s


# ---- 6: the thawed leader


def test_a_thawed_leader_removes_healthy_followers_and_takes_them_back_within_a_fetch():
    """Its clock says that their last fetch is old; what they have fetched meanwhile it has not read yet."""
    thawed = run(
        "{at: 20s, freeze: broker 1, for: 8s}", duration=40, sets=(SHORT_LAG, FAR, "producers.shop.rate=600/s")
    )
    changes = thawed.of("isr_changed", "orders-0")
    shrunk = [row for row in changes if row.detail.startswith("orders-0: ISR [1, 2, 3] -> [1]")]
    assert len(shrunk) == 1 and 28.0 <= shrunk[0].time_s < 28.2
    assert thawed.chain(shrunk[0])[-1] == "fault"
    full = [row for row in changes if "2" in row.detail.split("->")[1] and "3" in row.detail.split("->")[1]]
    assert full and full[-1].time_s < 28.0 + 2 * POLL_S
    assert not thawed.of("leader_elected") and thawed.ledger["acknowledged_lost"] == 0


def test_a_pause_within_the_lag_leaves_the_isr_alone():
    """The same 8 s with the default of 30 s: acks=all stands still for just that long."""
    thawed = run("{at: 20s, freeze: broker 1, for: 8s}", duration=40, sets=(FAR,))
    assert not thawed.of("isr_changed")
    for partition in range(3):
        (outage,) = thawed.outages("produce", partition)
        assert 7.9 < outage["until_s"] - 20.0 < 8.2


# ---- 7: the ISR's check


def test_the_isr_shrinks_at_the_lag_and_up_to_half_of_it_later():
    """The check's period is half of ``replica.lag.time.max.ms``, its phase is drawn."""
    cut = "{at: 20s, partition: {between: broker 1, and: broker 3}, for: 15s}"
    delays = []
    for seed in range(4):
        late = run(cut, seed=seed, duration=32, sets=(SHORT_LAG,))
        (shrunk,) = late.of("isr_changed", "orders-0: ISR [1, 2, 3] -> [1, 2]")
        assert late.chain(shrunk)[-1] == "fault"
        delays.append(shrunk.time_s - 20.0)
    assert all(LAG_S - 0.1 <= delay <= 1.5 * LAG_S + 0.1 for delay in delays)
    assert max(delays) - min(delays) > 0.1


def test_a_silent_follower_that_has_everything_stays():
    """Nothing is produced while the follower is cut off: it is not behind, however long it is silent."""
    idle = run("{at: 20s, partition: {between: broker 1, and: broker 3}, for: 15s}", duration=45,
               sets=(SHORT_LAG, "producers.shop.stop=19s"))  # fmt: skip
    assert not [row for row in idle.of("isr_changed") if "orders" in row.detail]


# ---- 8: below min ISR


def test_below_min_isr_the_high_watermark_is_frozen():
    """Since 3.7: acks=all is refused, acks=1 goes on, consumers see nothing new, offsets are not committed."""
    from kafkasim.scenario import Scenario
    from kafkasim.simulation import simulate

    scenario = Scenario.load(
        "incidents/min-isr-unavailable", ["consumers.warehouse.config.auto.commit.interval.ms=1000"]
    )
    summary = simulate(scenario, 3).summary
    rows = {row["id"]: row for row in summary["timeline"]}
    outages = [row for row in summary["unavailability"] if row["partition"] == 0]

    def longest(kind, client):
        return max((row["duration_s"] for row in outages if (row["kind"], row["client"]) == (kind, client)), default=0)

    assert longest("produce", "shop") > 30.0 and longest("produce", "audit") < 1.0
    assert longest("consume", "warehouse") > 30.0
    stalled = max((row for row in outages if row["kind"] == "consume"), key=lambda row: row["duration_s"])
    assert rows[stalled["cause"]]["event"] == "fault"
    assert all(row["holds"] for row in summary["expectations"])
    # Up to 3.6 the same faults leave the consumers alone once the ISR has shrunk.
    older = simulate(Scenario.load("incidents/min-isr-unavailable-2.8"), 3).summary
    assert all(row["holds"] for row in older["expectations"])
