"""Holds what events ask of topics against the topics that exist by then."""

from __future__ import annotations

from kafkasim.scenario.configs import OFFSETS_TOPIC
from kafkasim.scenario.cross_reference import Facts, check_config, check_topic, known_topic
from kafkasim.scenario.errors import listed, nearest
from kafkasim.scenario.paths import Path
from kafkasim.scenario.schema_events import AddPartitions, CreateTopic, Reassign
from kafkasim.scenario.versions import Version

_REASSIGN_SINCE = Version(2, 4)


def declare(facts: Facts) -> None:
    """Makes topics and partitions that events create known, before clients are checked."""
    for index, event in sorted(enumerate(facts.file.events), key=lambda item: item[1].at):
        place = facts.at("events", index)
        if event.create_topic is not None:
            _create(facts, (*place, "create_topic"), event.create_topic, event.at)
        if event.add_partitions is not None:
            _add(facts, (*place, "add_partitions"), event.add_partitions)


def check(facts: Facts) -> None:
    """The other orders."""
    for index, event in enumerate(facts.file.events):
        place = facts.at("events", index)
        if event.pause is not None and event.rolling_restart is None:
            facts.report.wrong((*place, "pause"), "belongs to rolling_restart", at_key=True)
        if event.rolling_restart is not None and len(facts.ids) < 2:
            facts.report.wrong((*place, "rolling_restart"), "with one broker there is nothing to roll",
                               allowed="2 brokers or more")  # fmt: skip
        if event.delete_topic is not None:
            known_topic(facts, (*place, "delete_topic"), event.delete_topic)
        if event.reassign is not None:
            _reassign(facts, (*place, "reassign"), event.reassign)


def _create(facts: Facts, place: Path, topic: CreateTopic, at: float) -> None:
    if topic.name in facts.partitions:
        facts.report.wrong((*place, "name"), "there is such a topic already: a name is used once a run", topic.name)
        return
    check_config(facts, (*place, "config"), "topic", topic.config)
    check_topic(facts, place, topic.name, topic)
    facts.initial[topic.name] = 0
    facts.created[topic.name] = facts.partitions[topic.name]
    if not facts.brokers.get("auto.create.topics.enable"):
        return
    allowed = "cluster.brokers.config.auto.create.topics.enable: false"
    asks = f"asks for {topic.name} before it is created: automatic creation is not modelled yet"
    for index, producer in enumerate(facts.file.producers):
        if producer.topic == topic.name and producer.start <= at:
            facts.report.wrong((*facts.at("producers", index), "topic"), asks, allowed=f"{allowed}, or a later start")
    for index, consumer in enumerate(facts.file.consumers):
        assigned = list(consumer.assign) if isinstance(consumer.assign, dict) else []
        if topic.name in [*(consumer.topics or []), *assigned]:
            facts.report.wrong(facts.at("consumers", index), asks, allowed=allowed)


def _add(facts: Facts, place: Path, order: AddPartitions) -> None:
    known = known_topic(facts, (*place, "topic"), order.topic)
    if known is None:
        return
    if order.to <= known:
        facts.report.wrong((*place, "to"), f"{order.topic} has {known} partitions by then", order.to, "a larger number")
        return
    for index, producer in enumerate(facts.file.producers):
        way = producer.partitioner
        if producer.topic == order.topic and (
            way.keys is not None or way.map is not None or way.time_window or way.round
        ):
            facts.report.wrong((*facts.at("producers", index), "partitioner"),
                               f"partitions are added to {order.topic} in the run: where keyed records go then is not "
                               "modelled yet", allowed="the default partitioner")  # fmt: skip
    facts.partitions[order.topic] = order.to


def _reassign(facts: Facts, place: Path, order: Reassign) -> None:
    report = facts.report
    if facts.version < _REASSIGN_SINCE:
        report.wrong(place, "reassignment before Kafka 2.4 is not modelled")
    names = [order.topic] if order.topic is not None else [] if order.topics == "all" else list(order.topics or [])
    for name in names:
        if name == OFFSETS_TOPIC:
            continue
        key = "topic" if order.topic is not None else "topics"
        count = known_topic(facts, (*place, key), name)
        for number in order.assignment or {}:
            if count is not None and number >= count:
                report.wrong((*place, "assignment", str(number)), f"{name} has no such partition",
                             allowed=f"0 to {count - 1}")  # fmt: skip
    for number, replicas in (order.assignment or {}).items():
        _brokers(facts, (*place, "assignment", str(number)), replicas)
    if order.to is not None:
        _brokers(facts, (*place, "to"), order.to)
        for name in facts.file.topics if order.topics == "all" else names:
            topic = facts.file.topics.get(name)
            factor = _factor(facts, topic) if topic is not None else 1
            if factor > len(order.to):
                report.wrong(
                    (*place, "to"), f"{name} has {factor} replicas", listed(order.to), f"{factor} brokers or more"
                )


def _factor(facts: Facts, topic: object) -> int:
    assignment = getattr(topic, "assignment", None)
    if assignment:
        return len(next(iter(assignment.values())))
    default = facts.brokers["default.replication.factor"]
    return int(getattr(topic, "replication_factor", None) or (default if isinstance(default, int) else 1))


def _brokers(facts: Facts, place: Path, ids: list[int]) -> None:
    unknown = [number for number in ids if number not in facts.ids]
    if unknown:
        facts.report.wrong(place, "there is no such broker", listed(unknown), listed(facts.ids),
                           nearest(str(unknown[0]), [str(number) for number in facts.ids]))  # fmt: skip
    elif len(set(ids)) != len(ids):
        facts.report.wrong(place, "a broker holds one replica of a partition", listed(ids), "different brokers")
