"""Elections outside the ISR: by config and by order, what they cost, and what guards against it."""

from __future__ import annotations

import pytest

from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation
from tests.validation.runs import SCENARIOS

TEXT = """
name: unclean
duration: 100s
cluster:
  version: "3.9"
  initial_controller: 4
  brokers: {{count: 4, config: {{auto.leader.rebalance.enable: false, offsets.topic.num.partitions: 1}}}}
  zookeeper: {{servers: 1, config: {{tickTime: 2000}}}}
topics:
  t: {{partitions: 1, assignment: {{0: [1, 2, 3]}}}}
producers:
  - {{name: p, topic: t, rate: 50/s, record_size: 100B, stop: 95s, config: {{acks: 1, enable.idempotence: false}}}}
consumers:
  - {{name: c, topics: [t], assign: all, config: {{auto.offset.reset: earliest}}}}
events:
  - {{at: 5s, partition: {{between: broker 1, and: [broker 2, broker 3]}}, for: 60s}}
  - {{at: 52s, crash: broker 1, for: 60s}}
  {order}
"""
ORDER = "- {at: 80s, elect_leaders: {election_type: unclean, topic: t, partition: 0}}"


def simulate(order, seed=2):
    simulation = Simulation(Scenario.loads(TEXT.format(order=order)), seed)
    ends = {}

    tp = simulation.cluster.topics.partition("t", 0)

    def look(_):
        for number in (1, 2, 3):
            ends[number] = simulation.cluster.brokers[number].replicas.partitions[tp.index].log.log_end_offset

    simulation.cluster.env.call_at(79.9, look)
    simulation.run()
    return simulation, simulation.result().summary, ends


@pytest.fixture(scope="module")
def ordered():
    return simulate(ORDER)


def test_without_an_order_the_partition_stays_offline():
    simulation, summary, _ = simulate("")
    assert simulation.cluster.offline_partitions() == 1
    assert summary["ledger"]["acknowledged_lost"] == 0
    assert sum(broker.unclean_elections() for broker in simulation.cluster.brokers.values()) == 0


def test_an_unclean_election_by_order_gives_a_leader(ordered):
    simulation, summary, _ = ordered
    assert simulation.cluster.offline_partitions() == 0
    assert sum(broker.unclean_elections() for broker in simulation.cluster.brokers.values()) == 1
    rows = [row for row in summary["timeline"] if row["event"] == "unclean_election"]
    assert rows[0]["detail"] == "1 of 1 partitions without a leader have one"


def test_exactly_what_lay_beyond_the_new_leader_is_lost(ordered):
    _, summary, ends = ordered
    assert ends[1] > ends[2] == ends[3]
    assert summary["ledger"]["acknowledged_lost"] == ends[1] - ends[2]
    assert all(identity["holds"] for identity in summary["ledger"]["identities"])


def test_a_consumer_that_had_read_on_goes_back_to_where_the_logs_part(ordered):
    _, summary, ends = ordered
    found = [row for row in summary["timeline"] if row["event"] == "truncation_detected"]
    assert len(found) == 1
    assert f"the leader's log ends at {ends[2]}" in found[0]["detail"]
    group = summary["ledger"]["groups"]["c"]
    assert group["pending_at_end"] == group["never_delivered"] == 0


def test_preferred_leaders_by_order_are_those_of_the_older_verb():
    text = TEXT.format(order="").replace("100s", "30s").replace("95s", "28s")
    head = text[: text.index("events:")]
    runs = []
    for verb in ("elect_preferred_leaders: all", "elect_leaders: {election_type: preferred}"):
        events = f"events:\n  - {{at: 3s, stop: broker 1, for: 5s}}\n  - {{at: 20s, {verb}}}\n"
        simulation = Simulation(Scenario.loads(head + events), 1)
        simulation.run()
        runs.append(simulation.cluster.board.leaders[simulation.cluster.topics.partition("t", 0).index])
    assert runs == [1, 1]


@pytest.mark.full
@pytest.mark.parametrize("seed", range(1, 21))
@pytest.mark.parametrize("name", ["isr-shrinks-then-leader-dies", "isr-shrinks-unclean", "isr-shrinks-min-isr-2"])
def test_the_incidents_end_as_they_say(name, seed):
    simulation = Simulation(Scenario.load(SCENARIOS / "incidents" / f"{name}.yaml"), seed)
    simulation.run()
    assert [row["text"] for row in simulation.result().summary["expectations"] if not row["holds"]] == []
