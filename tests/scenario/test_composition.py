"""``extends:`` and ``--set``: what merges, what is replaced, and where a mistake points."""

from pathlib import Path

import pytest

from kafkasim.scenario import Scenario, ScenarioError
from kafkasim.scenario.paths import split

BASE = """\
name: base
duration: 60s
cluster: {brokers: {count: 3, config: {num.io.threads: 4}}, zookeeper: {servers: 3}}
topics:
  orders: {partitions: 3, replication_factor: 3}
  "a.b": {partitions: 1}
producers:
  - {name: app, topic: orders, rate: 10/s, record_size: 100B, config: {acks: 1, linger.ms: 5}}
  - {name: other, topic: orders, rate: 20/s, record_size: 100B}
consumers:
  - {group: readers, topics: [orders]}
events:
  - {at: 10s, crash: broker 1}
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    file = tmp_path / "base.yaml"
    file.write_text(BASE)
    return file


def extend(base: Path, text: str) -> Path:
    file = base.with_name("above.yaml")
    file.write_text(f"extends: base.yaml\nname: above\n{text}")
    return file


def test_mappings_merge_and_named_members_merge(base: Path) -> None:
    above = extend(
        base,
        "cluster: {brokers: {config: {num.network.threads: 6}}}\n"
        "producers:\n  - {name: app, config: {acks: all}}\n  - {name: new, topic: orders, rate: 1/s, record_size: 1B}\n"
        "consumers:\n  - {group: readers, members: 2}\n"
        "events:\n  - {at: 20s, crash: controller}\n",
    )
    scenario = Scenario.load(above)
    assert scenario.cluster.brokers.config == {"num.io.threads": 4, "num.network.threads": 6}
    assert [p.name for p in scenario.producers] == ["app", "other", "new"]
    assert scenario.producers[0].config == {"acks": "all", "linger.ms": 5}
    assert scenario.consumers[0].members == 2
    assert [str(e.target) for e in scenario.events] == ["controller"]


def test_a_mistake_points_into_the_file_that_holds_the_value(base: Path) -> None:
    base.write_text(BASE.replace("rate: 20/s", "rate: 20"))
    above = extend(base, "topics: {orders: {partitions: x}}\n")
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(above)
    places = {(Path(m.file).name, m.line, m.path) for m in caught.value.mistakes}
    assert places == {("above.yaml", 3, "topics.orders.partitions"), ("base.yaml", 9, "producers.other.rate")}


def test_mistakes_of_reading_do_not_hide_the_others(base: Path) -> None:
    base.write_text(BASE.replace("count: 3", "count: 1e1"))
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(extend(base, "duration: 5\n"))
    assert [m.path for m in caught.value.mistakes] == ["cluster.brokers.count", "duration"]


def test_extending_by_absolute_path_or_from_text_is_refused(base: Path) -> None:
    file = base.with_name("absolute.yaml")
    file.write_text(f"extends: {base}\nname: x\n")
    with pytest.raises(ScenarioError, match="must be relative"):
        Scenario.load(file)
    with pytest.raises(ScenarioError, match="only a scenario file can extend"):
        Scenario.loads("extends: base.yaml\nname: x\n")


def test_overrides_reach_everything(base: Path) -> None:
    scenario = Scenario.load(
        base,
        [
            "producers.app.config.linger.ms=50", "producers.1.rate=5/s", "consumers.readers.members=3",
            'topics."a.b".partitions=6', "events.0.for=5s", "seed=9", "cluster.brokers.2.config.num.io.threads=1",
            "cluster.network.cross_rack={latency: 1ms, jitter: 50us}", "expect=[failed == 0]",
            "producers.app.partitioner={time_window: 1min}", "cluster.brokers.racks=[a, b]", "description=",
        ],
    )  # fmt: skip
    assert scenario.producers[0].config["linger.ms"] == 50
    assert scenario.producers[1].rate_per_s == 5.0
    assert scenario.consumers[0].members == 3
    assert scenario.topics["a.b"].partitions == 6
    assert scenario.events[0].for_s == 5.0
    assert scenario.seed == 9
    assert scenario.broker_config(2)["num.io.threads"] == 1
    assert scenario.broker_config(1)["num.io.threads"] == 4
    assert scenario.cluster.network.cross_rack.jitter_s == 50e-6
    assert scenario.expect == ["failed == 0"]
    assert scenario.producers[0].partitioner.window_s == 60.0
    assert [scenario.cluster.brokers.rack_of(i) for i in (1, 2, 3)] == ["a", "b", "a"]
    assert scenario.broker_config(3)["broker.rack"] == "a"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("producers.ap.rate=1/s", "--set producers.ap.rate=1/s: producers.ap: there is no such member (got 'ap'; "
                                  "allowed app, other; did you mean app?)"),
        ("producers.app.rate=5", "--set producers.app.rate=5: producers.app.rate: a rate needs a unit: write 5/s or"),
        ("events.4.for=5s", "there is no such member (got '4'; allowed 0 to 0)"),
        ("events.0.for=1e3", "write the number out (1000)"),
        ("duratoin=5s", "--set duratoin=5s: duratoin: unknown name"),
        ("seed", "an override is written PATH=VALUE"),
        ("=5", "an override is written PATH=VALUE"),
        ("a..b=5", "a part of the path is empty"),
        ('topics."a.b=5', "a quote is not closed"),
        ("name.x=5", "name is a single value: nothing can be set below it"),
        ("cluster.brokers.config.num.io.treads=5", "did you mean num.io.threads?"),
        ("name=!!python/name:os.system x", "YAML tags are not accepted"),
        ("name=[a, b", "this is not YAML"),
    ],
)  # fmt: skip
def test_overrides_that_are_wrong(base: Path, override: str, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(base, [override])
    assert message in str(caught.value)
    assert all(m.file.startswith("--set ") for m in caught.value.mistakes)


def test_replace_leaves_the_first_scenario_as_it_was(base: Path) -> None:
    first = Scenario.load(base)
    second = first.replace("producers.app.rate=99/s", "cluster.brokers.count=5")
    assert (first.producers[0].rate_per_s, second.producers[0].rate_per_s) == (10.0, 99.0)
    assert (len(first.cluster.brokers.ids), len(second.cluster.brokers.ids)) == (3, 5)
    assert first == Scenario.load(base)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a.b.c", ["a", "b", "c"]), ("x.config.linger.ms", ["x", "config", "linger.ms"]),
        ('topics."a.b".partitions', ["topics", "a.b", "partitions"]), ("topics.'a.b'", ["topics", "a.b"]),
        ("x.config.\"linger.ms\"", ["x", "config", "linger.ms"]), ("config", ["config"]),
    ],
)  # fmt: skip
def test_paths(text: str, parts: list[str]) -> None:
    assert split(text) == parts


OWN = """
name: own
duration: 10s
cluster:
  brokers:
    count: 3
    config: {replica.fetch.wait.max.ms: 400}
    overrides:
      1: {replica.fetch.wait.max.ms: 100}
      2: {config: {num.io.threads: 3}, rack: b}
"""


def test_a_brokers_own_configs_may_stand_beside_its_host_and_rack() -> None:
    scenario = Scenario.loads(OWN.replace(", rack: b", ""))
    waits = [scenario.broker_config(number)["replica.fetch.wait.max.ms"] for number in (1, 2, 3)]
    assert waits == [100, 400, 400]
    assert scenario.broker_config(2)["num.io.threads"] == 3


@pytest.mark.parametrize("path", ["overrides.1", "1", "overrides.1.config", "1.config"])
def test_a_brokers_own_config_is_set_by_path(path: str) -> None:
    scenario = Scenario.loads(OWN, [f"cluster.brokers.{path}.replica.fetch.wait.max.ms=50", "cluster.brokers.3.rack=c"])
    assert scenario.broker_config(1)["replica.fetch.wait.max.ms"] == 50
    assert scenario.cluster.brokers.overrides[3].rack == "c"
    assert scenario.broker_config(3)["replica.fetch.wait.max.ms"] == 400
