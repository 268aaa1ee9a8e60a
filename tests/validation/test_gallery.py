"""Every scenario of the gallery runs, its accounts balance, and it shows what it says."""

from __future__ import annotations

from functools import cache

import pytest

from tests.validation.runs import run

MILLIONS = "primer/millions-per-second"
SHORT = {
    "primer/hello": (),
    "primer/pedidos": (),
    "primer/tweets-publicados": ("duration=70s",),
    MILLIONS: ("duration=10s", "warmup=8s"),  # two seconds after the group has joined and caught up
    "zookeeper/controller-failover-1k": (),
    "zookeeper/expansion": (),
}
LONG = ("zookeeper/rolling-restart", "zookeeper/controller-failover-10k", "validation/controlled-shutdown")


@cache
def shortened(name):
    return run(name, 2, SHORT[name])


@pytest.mark.parametrize("name", SHORT)
def test_the_accounts_balance(name):
    result = shortened(name)
    ledger = result.summary["ledger"]
    assert ledger["created"] > 0
    assert all(identity["holds"] for identity in ledger["identities"])
    assert ledger["acknowledged_lost"] == ledger["failed"] == 0
    assert result.summary["calibrated"] is False
    if not SHORT[name]:
        assert all(expectation["holds"] for expectation in result.summary["expectations"])
    for group in ledger["groups"].values():
        assert group["delivered_more_than_once"] == 0


@pytest.mark.full
@pytest.mark.parametrize("name", LONG)
def test_a_long_one_shows_what_it_says(name):
    summary = run(name, 2).summary
    assert all(identity["holds"] for identity in summary["ledger"]["identities"])
    assert [row["text"] for row in summary["expectations"] if not row["holds"]] == []


def test_pedidos_keeps_each_category_in_its_partition():
    from kafkasim.scenario import Scenario
    from kafkasim.simulation import Simulation
    from tests.validation.runs import SCENARIOS

    scenario = Scenario.load(SCENARIOS / "primer" / "pedidos.yaml", ["duration=30s"])
    simulation = Simulation(scenario, 4)
    simulation.run()
    simulation.result()
    producer = scenario.producers[0]
    weights = producer.partitioner.weights or dict.fromkeys(producer.partitioner.map, 1.0)
    total = sum(weights.values())
    created = sum(stream.created for stream in simulation.cluster.ledger.streams)
    for name, partition in producer.partitioner.map.items():
        records = sum(s.created for s in simulation.cluster.ledger.streams if s.partition == partition)
        assert records / created == pytest.approx(weights[name] / total, abs=0.02)


def test_millions_per_second_carries_its_million():
    result = shortened(MILLIONS)
    rates = result.summary["throughput"][0]
    assert rates["records_in_per_s"] == pytest.approx(1_000_000, rel=0.01)
    assert rates["records_out_per_s"] == pytest.approx(1_000_000, rel=0.05)
    assert not result.summary["unavailability"]
