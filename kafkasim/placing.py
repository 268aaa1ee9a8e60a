"""Where the replicas of the settled start lie: given by the scenario, or placed as Kafka places them."""

from __future__ import annotations

from kafkasim.broker.broker import OFFSETS_TOPIC
from kafkasim.controller.placement import place
from kafkasim.kernel.streams import Streams
from kafkasim.messages import PartitionState
from kafkasim.scenario import Scenario
from kafkasim.topics import Topics

INITIAL_CONTROLLER_EPOCH = 1


def make_topics(scenario: Scenario) -> Topics:
    """All topics of a run: the scenario's, and ``__consumer_offsets``, which a settled cluster has.

    It needs ``offsets.topic.replication.factor`` brokers; with fewer there cannot be one (nor a group).
    """
    config = scenario.broker_config(scenario.cluster.brokers.ids[0])
    topics = Topics(int(config["min.insync.replicas"] or 1))
    names = sorted(scenario.topics)
    if len(scenario.cluster.brokers.ids) >= int(config["offsets.topic.replication.factor"]):
        names = sorted([*names, OFFSETS_TOPIC])
    for name in names:
        if name == OFFSETS_TOPIC:
            own = ("segment.bytes", "cleanup.policy")
            count = int(config["offsets.topic.num.partitions"])
            topics.add(name, count, scenario.topic_config(name), internal=True, own=own)
        else:
            spec = scenario.topics[name]
            topics.add(
                name, spec.partitions, scenario.topic_config(name), initial=spec.initial, own=_known(scenario, name)
            )
    return topics


def _known(scenario: Scenario, topic: str) -> list[str]:
    """The configs that a topic sets itself, as far as its release knows them."""
    complete = scenario.topic_config(topic)
    return [name for name in scenario.topics[topic].config if name in complete]


def settled_states(scenario: Scenario, topics: Topics, streams: Streams) -> dict[int, PartitionState]:
    """Every partition's state at t = 0: the preferred replica leads, every replica is in sync."""
    brokers = scenario.cluster.brokers
    described = [(broker_id, brokers.rack_of(broker_id)) for broker_id in sorted(brokers.ids)]
    config = scenario.broker_config(brokers.ids[0])
    states: dict[int, PartitionState] = {}
    for name in topics.names():
        partitions = topics.initial(name)
        if name == OFFSETS_TOPIC:
            factor, given = int(config["offsets.topic.replication.factor"]), None
        else:
            factor, given = scenario.topics[name].replication_factor, scenario.topics[name].assignment
        assignment = given
        if assignment is None:
            draws = streams.stream(f"placement/{name}")
            start, shift = draws.integer(len(described)), draws.integer(len(described))
            assignment = place(described, len(partitions), factor, start, shift) if partitions else {}
        for tp in partitions:
            replicas = tuple(assignment[tp.partition])
            states[tp.index] = PartitionState(
                tp, replicas[0], 0, replicas, 0, replicas, INITIAL_CONTROLLER_EPOCH
            )  # fmt: skip
    return states
