"""Configs that no room's own test covers: a scenario's value reaches the mechanism and changes what happens."""

from __future__ import annotations

from kafkasim.protocol import ERROR_NAMES, MESSAGE_TOO_LARGE
from kafkasim.scenario import Scenario
from kafkasim.simulation import Simulation

TEXT = """
name: configs
duration: {duration}
cluster:
  brokers: {{count: 3, config: {{auto.leader.rebalance.enable: false, {broker}}}}}
  zookeeper: {{servers: 1, config: {{tickTime: 2000}}}}
topics:
  t: {{partitions: 6, config: {{{topic}}}}}
producers:
  - {{name: p, topic: t, rate: 100/s, record_size: 500B, partitioner: {{keys: 1}}, config: {{{producer}}}}}
consumers:
  - {{group: g, topics: [t], members: {members}, config: {{auto.offset.reset: earliest}}}}
"""


def simulate(
    duration: str = "8s", broker: str = "", topic: str = "", producer: str = "", members: int = 1, more: str = ""
) -> Simulation:
    text = TEXT.format(duration=duration, broker=broker, topic=topic, producer=producer, members=members)
    simulation = Simulation(Scenario.loads(text + more), 1)
    simulation.run()
    return simulation


def written(simulation: Simulation) -> list[int]:
    """Partitions of the topic that hold records."""
    partitions = {}
    for broker in simulation.cluster.brokers.values():
        for partition in broker.replicas.partitions.values():
            if partition.tp.topic == "t" and partition.log.log_end_offset > 0:
                partitions[partition.tp.partition] = None
    return sorted(partitions)


def test_partitioner_ignore_keys():
    """One key is one partition; ignored, its records are spread like those without."""
    assert len(written(simulate())) == 1
    ignored = simulate(producer="partitioner.ignore.keys: true, batch.size: 1000")
    assert written(ignored) == [0, 1, 2, 3, 4, 5]
    assert all(identity["holds"] for identity in ignored.result().summary["ledger"]["identities"])


def test_offsets_commit_required_acks():
    plain, alone = (simulate("1s", broker=text).cluster.brokers[1] for text in ("", "offsets.commit.required.acks: 1"))
    assert plain._store._acks_all
    assert not alone._store._acks_all


def test_num_replica_fetchers():
    one, two = (simulate("3s", broker=text) for text in ("", "num.replica.fetchers: 2"))
    assert {fetcher.name for fetcher in one.cluster.brokers[1].fetchers()} == {"1/2", "1/3"}
    assert {fetcher.name for fetcher in two.cluster.brokers[1].fetchers()} == {"1/2", "1/2/1", "1/3", "1/3/1"}
    followed = [len(fetcher.followed) for fetcher in two.cluster.brokers[1].fetchers()]
    assert sum(followed) == sum(len(fetcher.followed) for fetcher in one.cluster.brokers[1].fetchers())
    ledger = two.result().summary["ledger"]
    assert ledger["acknowledged"] >= 295


def test_max_message_bytes_of_a_topic():
    """A single record that is too large fails for good; the brokers' own limit is 1 MiB."""
    fine, refused = simulate("3s"), simulate("3s", topic="max.message.bytes: 400")
    assert fine.result().summary["ledger"]["failed"] == 0
    ledger = refused.result().summary["ledger"]
    assert ledger["acknowledged"] == 0 and ledger["failed"] >= 295
    assert refused.cluster.client_errors(ERROR_NAMES[MESSAGE_TOO_LARGE], "p") > 0


def test_group_max_size():
    """The third of three members ends: its application does not catch what poll() throws."""
    simulation = simulate(broker="group.max.size: 2", members=3)
    rows = [row for row in simulation.result().summary["timeline"] if row["event"] == "consumer_failed"]
    assert len(rows) == 1
    assert "group.max.size" in rows[0]["detail"]


def test_zookeeper_connection_timeout():
    """A start that finds no ZooKeeper exits after this time, and the supervisor starts the broker again."""
    more = "events:\n  - {at: 1s, crash: zookeeper 1, for: 60s}\n  - {at: 2s, crash: broker 3, for: 1s}\n"
    simulation = simulate("24s", broker="zookeeper.connection.timeout.ms: 4000", more=more)
    rows = simulation.result().summary["timeline"]
    failed = [row["time_s"] for row in rows if row["event"] == "start_failed"]
    assert [round(time, 3) for time in failed] == [10.0, 22.0]  # 3 + 3 + 4, then 5 + 3 + 4 later
    starts = [row["time_s"] for row in rows if row["event"] == "starting"]
    assert [round(time, 3) for time in starts] == [3.0, 15.0]
