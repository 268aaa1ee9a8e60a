"""What the metrics of ``expect:`` are held against: counts that can be worked out by hand."""

from __future__ import annotations

import pytest

from kafkasim.books import Books
from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation
from tests.validation.runs import SCENARIOS, run

SENTENCES = {
    "LeaderCount == 6": 6.0,  # three partitions of orders, three of __consumer_offsets
    "lowest LeaderCount at broker 1 == 0": 0.0,  # while it is down
    "final PartitionCount == 18": 18.0,
    "ActiveBrokerCount == 3": 3.0,
    "lowest ActiveBrokerCount == 2": 2.0,
    "PreferredReplicaImbalanceCount > 0": 2.0,  # nobody balances: what broker 1 led stays where it went
    "total IsrShrinksPerSec == 0": 0.0,  # the controller shrank the ISRs, no leader did
    "total IsrExpandsPerSec == 6": 6.0,  # broker 1 is back in the ISR of every partition
    "total ZooKeeperExpiresPerSec == 0": 0.0,  # a process that was killed does not hear of it
    "total UncleanLeaderElectionsPerSec == 0": 0.0,
    "AtMinIsrPartitionCount == 6": 6.0,
    "UnderMinIsrPartitionCount == 0": 0.0,
    "lowest RequestHandlerAvgIdlePercent < 1": None,
    "BytesInPerSec at broker 1 > 0": None,
    "created of orders == 5400": 5400.0,
    "delivered_more_than_once for warehouse == 0": 0.0,
    "errors NETWORK_EXCEPTION for shop > 0": None,
    "errors NOT_ENOUGH_REPLICAS == 0": 0.0,
    "diverged == 0": 0.0,
}


@pytest.fixture(scope="module")
def killed():
    scenario = Scenario.load(SCENARIOS / "incidents" / "leader-killed.yaml").source()
    scenario["expect"] = list(SENTENCES)
    simulation = Simulation(Scenario.from_dict(scenario), 2)
    simulation.run()
    return simulation, {row["text"]: row for row in simulation.result().summary["expectations"]}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_metric_has_its_value(killed, sentence):
    row = killed[1][sentence]
    assert row["reason"] is None and row["holds"], row
    if SENTENCES[sentence] is not None:
        assert row["value"] == pytest.approx(SENTENCES[sentence])


def test_logs_that_differ_are_counted(killed):
    """Another batch in the place of one of a follower's last ones: ``diverged`` tells of its records."""
    cluster = killed[0].cluster
    index = cluster.topics.partition("orders", 1).index
    follower = cluster.board.replicas[index][-1]
    place = len(follower.log.batches) - 3
    batch = follower.log.batches[place]
    other = follower.log.batches[place] = type(batch)(
        batch.stream, batch.first + 100_000, batch.count, batch.size_bytes, batch.first_time, batch.last_time,
        batch.producer_id, batch.producer_epoch, batch.base_sequence,
    )  # fmt: skip
    other.base_offset, other.leader_epoch = batch.base_offset, batch.leader_epoch
    try:
        assert Books(cluster).diverged("orders", 1) >= batch.count
        assert Books(cluster).diverged("orders", 0) == 0
    finally:
        follower.log.batches[place] = batch
    assert Books(cluster).diverged(None, None) == 0


def test_errors_are_counted_although_they_are_retried():
    refused = run("incidents/restart-too-fast", 1)
    values = {row["text"]: row["value"] for row in refused.summary["expectations"]}
    assert values["errors NOT_ENOUGH_REPLICAS for shop > 0"] > 0
    assert refused.summary["ledger"]["failed"] == 0
