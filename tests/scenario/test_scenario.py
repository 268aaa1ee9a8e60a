"""The resolved scenario: the gallery, attributes, round trips, the JSON Schema, expectations and targets."""

import json
import pickle
import shlex
from pathlib import Path

import jsonschema
import pytest

import kafkasim
from kafkasim.scenario import Scenario, ScenarioError, gallery
from kafkasim.scenario.costs import cost_docs
from kafkasim.scenario.expectations import JMX_NAMES, ExpectationError, parse_expectation
from kafkasim.scenario.json_schema import json_schema
from kafkasim.scenario.model import HostSpec
from kafkasim.scenario.targets import TargetSpec, parse_target
from kafkasim.scenario.yaml_reader import plain, read

NAMES = gallery.names()


@pytest.mark.parametrize("name", NAMES)
def test_the_gallery_loads_without_a_warning_and_survives_round_trips(name: str) -> None:
    path = gallery.locate(name)
    scenario = Scenario.load(path)
    assert scenario.warnings == []
    assert scenario.name == name.rpartition("/")[2]
    assert path.read_text().startswith("# ")
    source = scenario.source()
    assert isinstance(source, dict)
    assert Scenario.from_dict(source) == scenario
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    text = json.dumps(scenario.to_dict(), allow_nan=False, sort_keys=True)
    assert text == json.dumps(Scenario.load(path).to_dict(), sort_keys=True)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_gallery_file_suggests_to_try_is_valid(name: str) -> None:
    for line in gallery.locate(name).read_text().splitlines():
        if not line.startswith("#   kafkasim run "):
            continue
        words = shlex.split(line.removeprefix("#   kafkasim run ").partition("   (")[0])
        assert words[0] == name
        assert words[1::2] == ["--set"] * (len(words) // 2)
        Scenario.load(gallery.locate(name), words[2::2])


def test_the_json_schema_accepts_the_gallery_and_refuses_mistakes() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for name in NAMES:
        data = plain(read(gallery.locate(name).read_text(), name))
        assert [error.message for error in validator.iter_errors(data)] == []
    good = {"name": "x", "duration": "5s", "cluster": {"brokers": {"count": 1}}}
    assert validator.is_valid(good)
    for change in (
        {"duration": 5}, {"duration": "5 parsecs"}, {"extra": 1}, {"name": "../x"}, {"seed": "one"},
        {"cluster": {"brokers": {"config": {"num.io.thread": 1}}}}, {"cluster": {"version": "0.9"}},
    ):  # fmt: skip
        assert not validator.is_valid(good | change), change
    assert "num.io.threads" in schema["$defs"]["config_broker"]["properties"]


def test_the_scenario_of_the_walk_through() -> None:
    scenario = Scenario.load(gallery.locate("primer/tweets-broker-1-fails"))
    assert (scenario.duration_s, scenario.warmup_s, scenario.cluster.initial_controller) == (240.0, 10.0, 2)
    assert scenario.topics["TweetsPublicados"].assignment == {0: [1, 3], 1: [2, 1], 2: [3, 2]}
    assert scenario.topics["TweetsPublicados"].replication_factor == 2
    producer = scenario.producers[0]
    assert (producer.instances, producer.rate_per_s, producer.record_size_bytes) == (4, 10_000.0, 280)
    assert (producer.arrivals, producer.key_size_bytes, producer.partitioner.window_s) == ("paced", None, 60.0)
    config = scenario.producer_config(producer)
    assert (config["acks"], config["linger.ms"], config["enable.idempotence"]) == ("all", 5, True)
    consumer = scenario.consumers[0]
    assert (consumer.group, consumer.members, consumer.processing_s_per_record) == ("timeline-api", 3, 20e-6)
    assert scenario.consumer_config(consumer)["auto.offset.reset"] == "earliest"
    assert scenario.zookeeper_config()["tickTime"] == 2000
    crash, election = scenario.events
    assert (crash.at_s, crash.verb, crash.target, crash.for_s) == (55.0, "crash", TargetSpec("broker", 1), 45.0)
    assert (election.at_s, election.verb, election.target) == (150.0, "elect_preferred_leaders", None)


def test_shared_and_own_hosts() -> None:
    scenario = Scenario.load(gallery.locate("validation/broker-killed"))
    assert scenario.hosts["lab"].cores == 2
    assert {scenario.cluster.brokers.host_of(n) for n in (1, 2, 3)} == {"lab"}
    assert scenario.cluster.zookeeper.host == scenario.producers[0].host == scenario.consumers[1].host == "lab"
    own = scenario.replace("cluster.brokers.host=default", "producers.0.host={cores: 4, costs: {wake_up: 1us}}")
    assert own.cluster.brokers.host is None
    host = own.producers[0].host
    assert isinstance(host, HostSpec)
    assert (host.cores, host.costs.wake_up_s, host.costs.produce_s) == (4, 1e-6, 31e-6)
    assert scenario.consumers[0].partitions == {"a": [0, 1, 2, 3, 4, 5]}
    assert scenario.consumers[0].group is None
    assert scenario.consumer_config("reader-a")["enable.auto.commit"] is False
    for name in ("a", "b"):
        leaders = [replicas[0] for replicas in (scenario.topics[name].assignment or {}).values()]
        assert sorted(leaders) == [1, 1, 2, 2, 3, 3]


def test_defaults_of_a_host_are_the_documented_costs() -> None:
    assert cost_docs()["wake_up"][0] == 22e-6
    assert {source for _, source, _ in cost_docs().values()} == {"measured", "assumed", "published"}
    assert all(doc for _, _, doc in cost_docs().values())


def test_explicit_records_and_partitioners() -> None:
    scenario = Scenario.loads(
        """
name: x
duration: 10s
cluster: {}
topics: {t: {partitions: 3}}
producers:
  - {name: a, topic: t, records: [[10ms, 280B, 0], [20ms, 1KiB, 2]]}
  - {name: b, topic: t, rate: 1/s, record_size: 1B, partitioner: {keys: {count: 10, zipf: 1.1}}, key_size: 16B}
  - {name: c, topic: t, rate: 1/s, record_size: 1B, partitioner: {map: {ñ: 0, bb: 2}}}
  - {name: d, topic: t, rate: 1/s, record_size: 1B, partitioner: sticky, arrivals: poisson, start: 1s, stop: 2s}
  - {name: e, topic: t, rate: 1/s, record_size: 1B, partitioner: {keys: 5}, version: "2.8"}
  - {name: f, topic: t, rate: 1/s, record_size: 1B, partitioner: round}
events:
  - {at: 1s, crash: leader of t-2}
  - {at: 2s, crash: zookeeper leader, for: 0s}
"""
    )
    a, b, c, d, e, f = scenario.producers
    assert a.records == [[0.01, 280, 0], [0.02, 1024, 2]] and a.rate_per_s is None
    assert (b.partitioner.kind, b.partitioner.keys_count, b.partitioner.zipf) == ("keys", 10, 1.1)
    assert b.key_size_bytes == 16
    assert (c.partitioner.kind, c.partitioner.map, c.key_size_bytes) == ("map", {"ñ": 0, "bb": 2}, 2)
    assert (d.partitioner.kind, d.arrivals, d.start_s, d.stop_s) == ("default", "poisson", 1.0, 2.0)
    assert (e.key_size_bytes, e.version.line, scenario.producer_config(e)["acks"]) == (8, "2.8", "1")
    assert f.partitioner.kind == "round"
    assert [event.target for event in scenario.events] == [
        TargetSpec("leader_of", topic="t", partition=2), TargetSpec("zookeeper_leader")
    ]  # fmt: skip


def test_an_empty_section_is_as_good_as_none() -> None:
    empty = "cluster:\n  brokers:\n    config:\ntopics:\nproducers:\nevents:\n"
    scenario = Scenario.loads(f"name: x\nduration: 1s\n{empty}")
    assert scenario.cluster.brokers.ids == (1,)
    assert scenario.topics == {} and scenario.events == []


def test_too_large_only_warns_below_the_limit() -> None:
    text = (
        "name: x\nduration: 1h\ncluster: {}\ntopics: {t: {partitions: 1}}\n"
        "producers: [{name: p, topic: t, rate: 10_000/s, record_size: 100B, partitioner: round}]\n"
    )
    assert Scenario.loads(text).warnings == []
    assert "wall time" in Scenario.loads(text, ["producers.p.rate=1_000_000/s", "duration=10h"]).warnings[0]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("no acknowledged record is lost", {"kind": "not_lost"}),
        ("no record is delivered twice to g", {"kind": "not_twice", "group": "g"}),
        ("every record is delivered to g", {"kind": "all_delivered", "group": "g"}),
        ("produce latency p99 < 50ms outside events",
         {"metric": "produce_latency", "statistic": "p99", "op": "<", "value": 0.05, "outside_events": True}),
        ("end_to_end latency p999 of t-1 for g <= 1s from 10s to 1m",
         {"metric": "end_to_end_latency", "statistic": "p99.9", "topic": "t", "partition": 1, "client": "g",
          "op": "<=", "value": 1.0, "from_s": 10.0, "until_s": 60.0}),
        ("produce unavailability of t < 23s", {"metric": "produce_unavailability", "statistic": "longest"}),
        ("total consume unavailability of t-9 == 0s", {"statistic": "total", "topic": "t-9", "partition": None}),
        ("final consumer lag for g == 0", {"metric": "consumer_lag", "statistic": "final", "value": 0.0}),
        ("throughput in >= 10k/s", {"metric": "throughput_in", "value": 10_000.0}),
        ("errors NOT_LEADER_OR_FOLLOWER < 5", {"metric": "errors", "statistic": "NOT_LEADER_OR_FOLLOWER"}),
        ("OfflinePartitionsCount == 0", {"metric": "jmx", "statistic": "OfflinePartitionsCount"}),
        ("lowest RequestHandlerAvgIdlePercent at broker 2 < 0.1",
         {"metric": "jmx", "statistic": "RequestHandlerAvgIdlePercent", "which": "lowest", "broker": 2}),
        ("total IsrShrinksPerSec == 0", {"metric": "jmx", "statistic": "IsrShrinksPerSec", "which": "total"}),
        ("expired of t > 0", {"metric": "expired", "topic": "t"}),
        ("delivered_more_than_once for g > 5", {"metric": "delivered_more_than_once", "client": "g"}),
        ("it happens that controller changes", {"kind": "happens"}),
        ("it never happens that broker 2 truncates t-0", {"kind": "never_happens"}),
        ("final isr of t-0 == 3", {"metric": "isr", "partition": 0}),
        ("failed<=5", {"metric": "failed", "op": "<=", "value": 5.0}),
    ],
)  # fmt: skip
def test_expectations(text: str, fields: dict[str, object]) -> None:
    said = parse_expectation(text, ["t", "t-9"])
    assert {name: getattr(said, name) for name in fields} == fields
    assert said.text == text


@pytest.mark.parametrize("text", ["MaxLag > 1", "total LeaderCount > 1", "failed at broker 1 > 1",
                                  "it happens that nothing changes", "", "x", "failed", "failed < ", "< 5",
                                  "produce latency < 5ms", "failed != 5",
                                  "produce latency p99 < 5ms from 9s to 3s", "a" * 1000])  # fmt: skip
def test_sentences_that_are_none(text: str) -> None:
    with pytest.raises(ExpectationError):
        parse_expectation(text)


def test_jmx_names_are_unique() -> None:
    assert len(set(JMX_NAMES)) == len(JMX_NAMES)


@pytest.mark.parametrize("text", ["broker 1", "zookeeper 2", "leader of T-0", "controller", "zookeeper leader",
                                  "random broker", "leader of a-b-12", "rack b"])  # fmt: skip
def test_targets_read_back(text: str) -> None:
    assert str(parse_target(text)) == text


@pytest.mark.parametrize("text", ["", "broker", "broker x", "broker -1", "leader", "leader of T", "rack", "Broker 1"])
def test_targets_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_target(text)


def test_the_gallery_is_found_as_package_data_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "site" / "kafkasim"
    (package / "gallery" / "primer").mkdir(parents=True)
    (package / "gallery" / "primer" / "only.yaml").write_text("name: only\ndescription: Here.\n")
    (tmp_path / "site" / "scenarios").mkdir()
    monkeypatch.setattr(kafkasim, "__file__", str(package / "__init__.py"))
    assert gallery.names() == ["primer/only"]
    assert gallery.entries()[0].description == "Here."
    (package / "gallery" / "primer" / "only.yaml").unlink()
    (package / "gallery" / "primer").rmdir()
    (package / "gallery").rmdir()
    assert gallery.directory() == tmp_path / "site" / "scenarios"


def test_references_to_files_and_to_the_gallery(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\n")
    assert gallery.locate(str(file)) == file
    assert gallery.locate("primer/hello").name == gallery.locate("primer/hello.yaml").name == "hello.yaml"
    with pytest.raises(ScenarioError, match="did you mean primer/hello"):
        gallery.locate("primer/helo")
    with pytest.raises(ScenarioError, match="did you mean primer/hello"):
        gallery.locate("hello")
    for hostile in ("../../etc/passwd.yaml", "\0", "a" * 5000):
        with pytest.raises(ScenarioError):
            gallery.locate(hostile)
