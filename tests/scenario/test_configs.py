"""The catalogue, and the complete configs of each process."""

import ast
from pathlib import Path

import pytest

import kafkasim
from kafkasim.scenario import Scenario, ScenarioError
from kafkasim.scenario.catalogue import SIDES, TOPIC_SYNONYMS, catalogue, search
from kafkasim.scenario.config_values import default_value
from kafkasim.scenario.versions import Version, accept

TEXT = """\
name: x
duration: 60s
cluster: {{version: "{version}", brokers: {{count: 3, config: {{{brokers}}}}}, zookeeper: {{config: {{{zookeeper}}}}}}}
topics: {{t: {{partitions: 1, config: {{{topic}}}}}}}
producers: [{{name: p, topic: t, rate: 1/s, record_size: 1B, config: {{{producer}}}}}]
consumers: [{{group: g, topics: [t], config: {{{consumer}}}}}]
"""


def make(version: str = "3.9", **configs: str) -> Scenario:
    sides = ("brokers", "zookeeper", "topic", "producer", "consumer")
    return Scenario.loads(TEXT.format(version=version, **{side: configs.get(side, "") for side in sides}))


@pytest.mark.parametrize(
    ("side", "name", "old", "new"),
    [
        ("producer", "acks", "1", "all"), ("producer", "enable.idempotence", False, True),
        ("consumer", "session.timeout.ms", 10000, 45000), ("producer", "linger.ms", 0, 0),
        ("broker", "zookeeper.session.timeout.ms", 18000, 18000), ("broker", "replica.lag.time.max.ms", 30000, 30000),
        ("producer", "partitioner.class", "org.apache.kafka.clients.producer.internals.DefaultPartitioner", None),
        ("consumer", "partition.assignment.strategy", ["range"], ["range", "cooperative-sticky"]),
        ("broker", "log.flush.interval.messages", 2**63 - 1, 2**63 - 1),
        ("topic", "min.cleanable.dirty.ratio", 0.5, 0.5),
    ],
)  # fmt: skip
def test_defaults_by_release(side: str, name: str, old: object, new: object) -> None:
    entry = catalogue(side)[name]
    assert default_value(entry, accept("2.8")) == old
    assert default_value(entry, accept("3.9")) == new


def test_every_default_is_of_its_type_and_every_entry_says_what_the_model_does() -> None:
    kinds = {"int": int, "long": int, "short": int, "double": float, "boolean": bool, "list": list}
    for side in SIDES:
        for entry in catalogue(side).values():
            assert entry.status in ("used", "approximated", "ignored"), entry
            assert entry.note, entry
            for start, _ in entry.defaults:
                value = default_value(entry, start)
                assert value is None or isinstance(value, kinds.get(entry.type, str)), entry


def test_synonyms_exist() -> None:
    for name, synonyms in TOPIC_SYNONYMS.items():
        assert name in catalogue("topic")
        assert all(broker in catalogue("broker") for broker, _ in synonyms)


def test_configs_are_complete_and_of_the_release() -> None:
    old, new = make("2.8"), make("3.9")
    assert "retry.backoff.max.ms" not in old.producer_config("p")
    assert new.producer_config("p")["retry.backoff.max.ms"] == 1000
    assert len(new.broker_config(1)) > 250
    assert new.broker_config(2)["broker.id"] == 2
    for scenario in (old, new):
        assert set(scenario.topic_config("t")) <= set(catalogue("topic"))


def test_idempotence_from_3_0_1_on() -> None:
    assert make().producer_config("p")["enable.idempotence"] is True
    for config in ("acks: 1", "acks: 0", "retries: 0", "max.in.flight.requests.per.connection: 6"):
        assert make(producer=config).producer_config("p")["enable.idempotence"] is False
        with pytest.raises(ScenarioError, match="does not go with enable"):
            make(producer=f"{config}, enable.idempotence: true")
    assert make(producer="acks: -1").producer_config("p")["enable.idempotence"] is True


def test_idempotence_before_3() -> None:
    assert make("2.8").producer_config("p")["enable.idempotence"] is False
    assert make("2.8").producer_config("p")["acks"] == "1"
    assert make("2.8", producer="enable.idempotence: true").producer_config("p")["acks"] == "all"
    with pytest.raises(ScenarioError, match="acks does not go"):
        make("2.8", producer="enable.idempotence: true, acks: 1")


def test_delivery_timeout() -> None:
    assert make(producer="request.timeout.ms: 200000").producer_config("p")["delivery.timeout.ms"] == 200000
    assert make(producer="linger.ms: 95000").producer_config("p")["delivery.timeout.ms"] == 125000
    with pytest.raises(ScenarioError, match="must be at least linger"):
        make(producer="delivery.timeout.ms: 30000, linger.ms: 1")
    assert make(producer="delivery.timeout.ms: 30001, linger.ms: 1")


def test_a_topic_inherits_from_the_brokers() -> None:
    scenario = make(
        brokers="min.insync.replicas: 2, log.segment.bytes: 1000, log.roll.hours: 24, log.roll.ms: 5000000",
        topic="segment.bytes: 2000",
    )
    config = scenario.topic_config("t")
    assert (config["min.insync.replicas"], config["segment.bytes"], config["segment.ms"]) == (2, 2000, 5000000)
    assert config["retention.ms"] == 168 * 3600 * 1000
    assert config["flush.ms"] == 2**63 - 1
    offsets = scenario.topic_config("__consumer_offsets")
    assert (offsets["segment.bytes"], offsets["cleanup.policy"]) == (104857600, ["compact"])


def test_zookeeper_bounds_follow_the_tick() -> None:
    config = make(zookeeper="tickTime: 500").zookeeper_config()
    assert (config["tickTime"], config["minSessionTimeout"], config["maxSessionTimeout"]) == (500, 1000, 10000)
    assert make().zookeeper_config()["tickTime"] == 3000
    assert make(zookeeper="maxSessionTimeout: 90000").zookeeper_config()["maxSessionTimeout"] == 90000


def test_values_as_in_properties_and_class_names() -> None:
    strategy = "partition.assignment.strategy: org.apache.kafka.clients.consumer.RangeAssignor"
    scenario = make(consumer=f"{strategy}, fetch.min.bytes: '10000'", brokers="auto.leader.rebalance.enable: 'false'")
    assert scenario.consumer_config("g")["partition.assignment.strategy"] == ["range"]
    assert scenario.consumer_config("g")["fetch.min.bytes"] == 10000
    assert scenario.consumer_config("g")["group.id"] == "g"
    assert scenario.broker_config(1)["auto.leader.rebalance.enable"] is False


def test_an_ignored_config_is_said_once() -> None:
    scenario = make(brokers="log.cleaner.io.buffer.size: 2000, log.dirs: /data", topic="preallocate: true")
    assert scenario.warnings == [
        "broker config log.cleaner.io.buffer.size is ignored: a cleaner reads and writes in pieces of 16 MiB",
        "topic config preallocate is ignored: files take the space that is written to them",
    ]


def test_a_config_of_another_release_is_a_warning() -> None:
    assert make(brokers="host.name: x").warnings == [
        "broker config host.name is gone: Kafka 2.8 was the last to have it; Kafka 3.9 ignores it"
    ]
    assert make("2.8", producer="retry.backoff.max.ms: 5").warnings == [
        "producer config retry.backoff.max.ms is only known since Kafka 3.7; Kafka 2.8 ignores it"
    ]


@pytest.mark.parametrize(
    ("side", "config", "mechanism"),
    [
        ("producer", "transactional.id: x", "transactions"), ("producer", "compression.type: lz4", "compression"),
        ("producer", "partitioner.class: my.own.Partitioner", "the partitioner Partitioner"),
        ("consumer", "isolation.level: read_committed", "transactions"),
        ("consumer", "partition.assignment.strategy: cooperative-sticky", "the cooperative-sticky assignor"),
        ("consumer", "partition.assignment.strategy: [roundrobin, range]", "the roundrobin assignor"),
        ("consumer", "group.instance.id: x", "static membership"), ("consumer", "group.protocol: consumer", "KIP-848"),
        ("topic", "remote.storage.enable: true", "tiered"),
        ("topic", "compression.type: zstd", "compression"),
        ("brokers", "process.roles: broker", "KRaft"),
        ("brokers", "security.inter.broker.protocol: SSL", "SSL"),
        ("brokers", "inter.broker.protocol.version: '2.6'", "inter.broker.protocol.version"),
        ("zookeeper", "localSessionsEnabled: true", "local sessions"), ("zookeeper", "forceSync: 'no'", "forceSync"),
    ],
)  # fmt: skip
def test_mechanisms_that_are_not_there_yet_are_refused_by_name(side: str, config: str, mechanism: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        make(**{side: config})
    assert mechanism in str(caught.value) and "not modelled yet" in str(caught.value)


@pytest.mark.parametrize(
    ("side", "config"),
    [
        ("topic", "retention.ms: 604800000"), ("topic", "retention.ms: -1"), ("topic", "cleanup.policy: delete"),
        ("topic", "compression.type: producer"), ("producer", "compression.type: none"),
        ("consumer", "partition.assignment.strategy: [range, cooperative-sticky]"),
        ("brokers", "inter.broker.protocol.version: 3.9-IV0"), ("brokers", "log.retention.hours: 168"),
        ("producer", "security.protocol: PLAINTEXT"), ("consumer", "isolation.level: read_uncommitted"),
    ],
)  # fmt: skip
def test_values_that_ask_for_nothing_are_fine(side: str, config: str) -> None:
    make(**{side: config})


def test_search() -> None:
    assert [entry.name for entry in search(["linger"], "producer")] == ["linger.ms"]
    assert all(entry.status != "ignored" for entry in search([], used=True))
    assert {entry.side for entry in search(["session", "timeout"])} == {"broker", "consumer", "zookeeper"}


def test_versions() -> None:
    assert accept("3.9") == Version(3, 9, 1) and accept("3.8.0") == Version(3, 8, 0)
    assert Version(3, 7, 2) >= Version(3, 7) > Version(2, 8, 2)
    assert str(accept("2.7")) == "2.7.2"
    for text in ("2.9", "4.0", "3.9.2", "3", "x", "3.10"):
        with pytest.raises(ValueError, match="Kafka"):
            accept(text)


def _texts() -> set[str]:
    """Every string in the code that is no docstring, outside the catalogue and the list of what is refused."""
    package = Path(kafkasim.__file__).parent
    found: set[str] = set()
    for file in package.rglob("*.py"):
        if file.name in ("catalogue.py", "not_yet.py"):
            continue
        tree = ast.parse(file.read_text("utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found.update(
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
        )
    return found


def test_what_is_called_used_is_read_somewhere() -> None:
    texts = _texts()
    behind = {synonym for name, synonyms in TOPIC_SYNONYMS.items() if name in texts for synonym, _ in synonyms}
    unread = [
        f"{side} {entry.name}"
        for side in SIDES
        for entry in catalogue(side).values()
        if entry.status == "used" and entry.name not in texts and entry.name not in behind
    ]
    assert unread == []
