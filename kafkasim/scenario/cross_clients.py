"""Holds producers, consumers and expectations against the cluster they belong to."""

from __future__ import annotations

from kafkasim.scenario import configs
from kafkasim.scenario.configs import OFFSETS_TOPIC
from kafkasim.scenario.cross_events import condition as check_condition
from kafkasim.scenario.cross_reference import Facts, check_host, duplicates, known_topic
from kafkasim.scenario.errors import listed, nearest
from kafkasim.scenario.expectations import GROUP_METRICS, Expectation, ExpectationError, parse_expectation
from kafkasim.scenario.paths import Path
from kafkasim.scenario.schema import Consumer, Producer
from kafkasim.scenario.versions import Version

_IDEMPOTENCE_SINCE = Version(2, 5)
"""Before, an unknown producer id was an error that a client resolved otherwise than today (KIP-360)."""


def check(facts: Facts) -> None:
    """All checks of this file; what they find goes to the facts' reporter."""
    file, report = facts.file, facts.report
    for index in duplicates([producer.name for producer in file.producers]):
        report.wrong((*facts.at("producers", index), "name"), "another producer has this name")
    for index, producer in enumerate(file.producers):
        _producer(facts, facts.at("producers", index), producer)
    for index in duplicates([consumer.group or consumer.name for consumer in file.consumers]):
        key = "group" if file.consumers[index].group else "name"
        report.wrong((*facts.at("consumers", index), key), "another consumer has this name")
    for index, consumer in enumerate(file.consumers):
        _consumer(facts, facts.at("consumers", index), consumer)
    _offsets_topic(facts)
    for index, text in enumerate(file.expect):
        _expectation(facts, facts.at("expect", index), text)


def _producer(facts: Facts, place: Path, producer: Producer) -> None:
    report, duration = facts.report, facts.file.duration
    version = producer.version or facts.version
    typed = configs.check(report, (*place, "config"), "producer", producer.config, version)
    configs.check_producer(report, (*place, "config"), typed, version)
    if min(version, facts.version) < _IDEMPOTENCE_SINCE and configs.producer(typed, version).get("enable.idempotence"):
        key = "enable.idempotence"
        where = (*place, "config", key) if key in typed else (*place, "config")
        old = "clients" if version < _IDEMPOTENCE_SINCE else "brokers"
        report.wrong(where, f"idempotent producers of Kafka {min(version, facts.version).line} {old}: not modelled yet",
                     allowed="enable.idempotence: false, or Kafka 2.5 and later")  # fmt: skip
    check_host(facts, place, producer.host)
    count = known_topic(facts, (*place, "topic"), producer.topic)
    if producer.rate is not None and producer.records is not None:
        report.wrong((*place, "records"), "give rate or records, not both", at_key=True)
    loaded = producer.rate is not None or producer.records is not None
    if not loaded and not report.broken((*place, "rate")) and not report.broken((*place, "records")):
        report.wrong(place, "a rate (or records) is missing", allowed="rate: 20_000/s")
    if producer.rate is not None and producer.record_size is None and not report.broken((*place, "record_size")):
        report.wrong((*place, "record_size"), "is required with rate", allowed="a size, such as 280B")
    stop = producer.stop if producer.stop is not None else duration
    if producer.start >= stop:
        report.wrong((*place, "stop" if producer.stop is not None else "start"), "the load ends before it begins",
                     allowed="start < stop, start < duration")  # fmt: skip
    way = producer.partitioner
    if way.map is not None and count is not None:
        for key, partition in way.map.items():
            if partition >= count:
                report.wrong((*place, "partitioner", "map", key), f"{producer.topic} has no such partition",
                             allowed=f"0 to {count - 1}")  # fmt: skip
    if producer.records is not None:
        _records(facts, place, producer, count)
    keyed = bool(way.map or way.keys or (way.default and producer.key_size))
    keyed = keyed and producer.records is None and typed.get("partitioner.ignore.keys") is not True
    if not keyed and _is_compacted(facts, producer.topic):
        report.wrong((*place, "topic"), "is compacted: it takes only records whose keys are known", producer.topic,
                     "partitioner: {keys: 1000} or {map: …}")  # fmt: skip


def _is_compacted(facts: Facts, name: str) -> bool:
    """Whether a topic's ``cleanup.policy``, its own or the brokers', holds ``compact``."""
    topic = facts.file.topics.get(name)
    own = topic.config.get("cleanup.policy") if topic is not None else None
    return "compact" in str(facts.brokers["log.cleanup.policy"] if own is None else own)


def _records(facts: Facts, place: Path, producer: Producer, count: int | None) -> None:
    assert producer.records is not None
    report = facts.report
    if producer.instances != 1:
        report.wrong((*place, "instances"), "an explicit list of records is sent by one instance", allowed="1")
    last = 0.0
    for index, row in enumerate(producer.records):
        if row[0] < last:
            report.wrong((*place, "records", index), "comes before the record above it: the times must ascend")
            return
        last = float(row[0])
        if len(row) != len(producer.records[0]):
            told = "names no partition, the first one does"
            if len(row) == 3:
                told = "names a partition, the first one none"
            report.wrong((*place, "records", index), told, allowed="a partition in every record, or in none")
            return
        if len(row) == 3 and count is not None and row[2] >= count:
            report.wrong((*place, "records", index), f"{producer.topic} has no such partition", row[2],
                         f"0 to {count - 1}")  # fmt: skip


def _consumer(facts: Facts, place: Path, consumer: Consumer) -> None:
    report = facts.report
    version = consumer.version or facts.version
    typed = configs.check(report, (*place, "config"), "consumer", consumer.config, version)
    configs.check_consumer(report, (*place, "config"), typed, version, consumer.group, facts.brokers)
    check_host(facts, place, consumer.host)
    for index, name in enumerate(consumer.topics or []):
        known_topic(facts, (*place, "topics", index), name)
    for index in duplicates(consumer.topics or []):
        report.wrong((*place, "topics", index), "is listed twice")
    if consumer.group is not None:
        if consumer.assign is not None:
            report.wrong((*place, "assign"), "the group assigns partitions: remove assign, or group", at_key=True)
        if not consumer.topics and not report.broken((*place, "topics")):
            report.wrong((*place, "topics"), "is required", allowed="a list of topics")
        return
    if report.broken((*place, "group")) or report.broken((*place, "assign")):
        return
    if consumer.assign is None:
        report.wrong(place, "a group is missing, or a name and assign", allowed="group: NAME, or assign: all")
        return
    if consumer.name is None and not report.broken((*place, "name")):
        report.wrong((*place, "name"), "is required without a group", allowed="a name")
    if consumer.members != 1:
        report.wrong((*place, "members"), "only a group has several members", allowed="1")
    if consumer.assign == "all":
        if not consumer.topics and not report.broken((*place, "topics")):
            report.wrong((*place, "topics"), "is required with assign: all", allowed="a list of topics")
        return
    assert not isinstance(consumer.assign, str)
    if consumer.topics is not None:
        report.wrong((*place, "topics"), "assign names the topics: remove topics", at_key=True)
    for name, partitions in consumer.assign.items():
        count = known_topic(facts, (*place, "assign", name), name)
        if count is not None and any(partition >= count for partition in partitions):
            report.wrong((*place, "assign", name), f"{name} has no such partition", listed(partitions),
                         f"0 to {count - 1}")  # fmt: skip
        if len(set(partitions)) != len(partitions):
            report.wrong((*place, "assign", name), "a partition is listed twice", listed(partitions))


def _offsets_topic(facts: Facts) -> None:
    """A group needs ``__consumer_offsets``, and Kafka creates it with the full replication factor or not at all."""
    grouped = [index for index, consumer in enumerate(facts.file.consumers) if consumer.group is not None]
    factor = facts.brokers["offsets.topic.replication.factor"]
    if not grouped or not isinstance(factor, int) or factor <= len(facts.ids):
        return
    name = "offsets.topic.replication.factor"
    given = name in facts.typed_brokers
    path: Path = ("cluster", "brokers", "config", name) if given else (*facts.at("consumers", grouped[0]), "group")
    count = len(facts.ids)
    facts.report.wrong(
        path,
        f"a group needs {OFFSETS_TOPIC} with {factor} replicas, but there {'is' if count == 1 else 'are'} {count} "
        f"broker{'' if count == 1 else 's'}: set cluster.brokers.config.{name}: {count}",
        factor,
        f"{name} of 1 to {count}",
    )


def _expectation(facts: Facts, place: Path, text: str) -> None:
    report = facts.report
    try:
        said = parse_expectation(text, facts.names("topics"))
    except ExpectationError as error:
        report.wrong(place, str(error), text, error.allowed, error.nearest)
        return
    if said.condition is not None:
        check_condition(facts, place, said.condition.text)
    groups = [consumer.group for consumer in facts.file.consumers if consumer.group]
    if said.group is not None and said.group not in groups:
        report.wrong(place, "there is no such group", said.group, listed(groups), nearest(said.group, groups))
    clients = [*(c.group or c.name or "" for c in facts.file.consumers), *(p.name for p in facts.file.producers)]
    if said.client is not None and said.client not in clients:
        report.wrong(place, "there is no such client", said.client, listed(clients), nearest(said.client, clients))
    if said.metric in GROUP_METRICS and said.client is not None and said.client not in groups:
        report.wrong(place, "there is no such group", said.client, listed(groups), nearest(said.client, groups))
    if said.broker is not None and said.broker not in facts.ids:
        report.wrong(place, "there is no such broker", said.broker, listed(f"broker {number}" for number in facts.ids))
    _expected_topic(facts, place, said)


def _expected_topic(facts: Facts, place: Path, said: Expectation) -> None:
    if said.topic is None or said.topic == OFFSETS_TOPIC:
        return
    count = known_topic(facts, place, said.topic)
    if count is not None and said.partition is not None and said.partition >= count:
        facts.report.wrong(place, f"{said.topic} has no such partition", said.partition, f"0 to {count - 1}")
