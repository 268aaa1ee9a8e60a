"""Machines that lose their power: nobody is told, and the page cache is gone."""

from __future__ import annotations

from tests.faults.laboratory import run


def test_one_machine_without_power_loses_nothing_acknowledged_by_all():
    lost = run("{at: 40s, power_loss: broker 1, for: 30s}", duration=120)
    assert not lost.of("connections_reset")
    assert 52.0 < lost.at("session_expired", "broker 1") < 61.1
    # what it had not flushed in the last half minute is gone there, and nowhere else
    gone = [row for row in lost.of("truncated", "were not flushed") if "orders-" in row.detail]
    assert len(gone) == 3
    assert lost.ledger["acknowledged_lost"] == 0 and lost.ledger["readable"] == lost.ledger["created"]
    # clients wait for their own time-outs (request.timeout.ms) or for metadata that names another leader
    (outage,) = lost.outages("produce", 0)
    assert outage["until_s"] > lost.at("leader_elected", "orders-0")
    assert lost.event()["over_s"] is not None


def test_three_machines_without_power_at_once_lose_what_was_acknowledged_and_not_flushed():
    events = [f"{{at: 40s, power_loss: broker {number}, for: {20 + number}s}}" for number in (1, 2, 3)]
    lost = run(*events, duration=120)
    ledger = lost.ledger
    assert ledger["acknowledged_lost"] > 0
    # the flusher of the operating system had written what was older than 30 s: at most 35 s of records are at stake
    assert ledger["acknowledged_lost"] <= 60 * 36
    assert ledger["acknowledged_lost"] == sum(loss["records"] for loss in ledger["losses"])
    assert all(identity["holds"] for identity in ledger["identities"])
    assert all(lost.chain(row)[-1] == "fault" for row in lost.of("lost"))


def test_a_zookeeper_server_without_power_is_missed_by_nobody_but_its_clients():
    lost = run("{at: 20s, power_loss: zookeeper 3, for: 30s}", duration=90)
    assert not lost.of("session_expired") and not lost.outages("produce")
    assert lost.event()["over_s"] is not None


def test_all_processes_of_a_machine_go_with_it():
    shared = ("hosts={one: {cores: 4}}", "cluster.zookeeper.host=one", "cluster.brokers.overrides={1: {host: one}}")
    lost = run("{at: 20s, power_loss: broker 1, for: 20s}", duration=90, sets=shared)
    assert {row.actor for row in lost.of("starting")} == {"broker 1", "zookeeper 1", "zookeeper 2", "zookeeper 3"}
    assert lost.ledger["acknowledged_lost"] == 0 and lost.event()["over_s"] is not None


def test_a_machine_that_clients_share_cannot_lose_its_power():
    shared = ("hosts={one: {cores: 4}}", "producers.shop.host=one", "cluster.brokers.overrides={1: {host: one}}")
    lost = run("{at: 20s, power_loss: broker 1, for: 20s}", sets=shared)
    assert lost.of("fault", "without effect: clients run") and not lost.of("starting")
