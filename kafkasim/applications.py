"""The applications of a scenario: producer instances and consumer members, wired to a cluster.

What a client's unavailability threshold is, how its load is paced, which machine it runs on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafkasim.clients.consumer import ConsumerMember
from kafkasim.clients.load import Load
from kafkasim.clients.producer import ProducerInstance
from kafkasim.protocol import TopicPartition
from kafkasim.scenario.model import ConsumerSpec, ProducerSpec

if TYPE_CHECKING:
    from kafkasim.cluster import Cluster


def make_producer(cluster: Cluster, spec: ProducerSpec, number: int) -> ProducerInstance:
    """Instance ``number`` of a producer application; it starts, cold, at t = 0."""
    scenario = cluster.scenario
    config = scenario.producer_config(spec)
    name = f"{spec.name}/{number}"
    ignores_keys = bool(config.get("partitioner.ignore.keys", False))  # 3.3 and later know it
    paced = is_paced(spec, ignores_keys)
    threshold_s = max(scenario.report.unavailability_threshold_s, 2 * config["linger.ms"] / 1000.0)
    acks = {"-1": "all"}.get(str(config["acks"]), str(config["acks"]))
    client = cluster.client_collector.add_client(f"producer {name}", spec.name, "produce", paced, threshold_s, acks)

    def open_stream(partition: int | None) -> int:
        account = cluster.ledger.open_stream(spec.name, number, spec.topic, partition)
        cluster.broker_collector.add_stream(paced)
        if partition is not None:
            cluster.record_keys.add_stream(account.number, name, partition)
        if cluster.timestamp_offsets_s is not None:
            cluster.timestamp_offsets_s.append(spec.timestamp_offset_s)
        return account.number

    host = cluster.make_client_host(spec.name, f"producer {name}", spec.rack, spec.host)
    load = Load.of(spec, number, scenario.start_of_day_s, scenario.duration_s, ignores_keys)
    if "compact" in scenario.topic_config(spec.topic)["cleanup.policy"]:
        names = tuple(spec.partitioner.map or ())
        cluster.record_keys.add_instance(name, load, len(cluster.topics.partitions(spec.topic)), names)
    instance = ProducerInstance(
        cluster.env.scheduler, cluster.network, cluster.streams, name, client, host,
        cluster.host_spec(spec.host).costs, cluster, list(cluster.broker_ids),
        cluster.topics.partitions(spec.topic), config, spec.version, load, cluster.client_monitor, open_stream,
    )  # fmt: skip
    cluster.env.call_at(0.0, lambda _: instance.start())
    return instance


def make_member(cluster: Cluster, spec: ConsumerSpec, number: int, partitions: list[TopicPartition]) -> ConsumerMember:
    """Member ``number`` of a group (or the one consumer without a group); it joins at t = 0."""
    scenario = cluster.scenario
    config = scenario.consumer_config(spec)
    name = f"{spec.group or spec.name}/{number}"
    linger_s = max(
        [scenario.producer_config(p)["linger.ms"] / 1000.0 for p in scenario.producers if p.topic in spec.topics],
        default=0.0,
    )
    wait_s = config["fetch.max.wait.ms"] / 1000.0 if config["fetch.min.bytes"] > 1 else 0.0
    busy_s = config["max.poll.records"] * spec.processing_s_per_record
    threshold_s = max(scenario.report.unavailability_threshold_s, 2 * (linger_s + busy_s + wait_s))
    client = cluster.client_collector.add_client(
        f"consumer {name}", spec.group or spec.name, "consume", True, threshold_s
    )
    host = cluster.make_client_host(spec.group or spec.name, f"consumer {name}", spec.rack, spec.host)
    member = ConsumerMember(
        cluster.env.scheduler, cluster.network, cluster.streams, name, client, host,
        cluster.host_spec(spec.host).costs, cluster, list(cluster.broker_ids), spec.group,
        {topic: cluster.topics.partitions(topic) for topic in spec.topics},
        partitions if spec.group is None else [], config, spec.version, spec.processing_s_per_record,
        spec.poll_timeout_s, cluster.client_monitor,
    )  # fmt: skip
    if member.membership is not None:
        member.membership.replica_racks = {topic: _racks(cluster, topic) for topic in spec.topics}
    cluster.env.call_at(0.0, lambda _: member.start())
    return member


def _racks(cluster: Cluster, topic: str) -> list[list[tuple[int, str]]]:
    """(broker, rack) of each replica of each partition, where it has a rack."""
    racks = {broker: cluster.brokers[broker].host.rack for broker in cluster.broker_ids}
    return [
        [(broker, rack) for broker in cluster.assignment.get(tp.index, ()) if (rack := racks[broker]) is not None]
        for tp in cluster.topics.partitions(topic)
    ]


def is_paced(spec: ProducerSpec, ignores_keys: bool = False) -> bool:
    """Whether the records within a stream are evenly spaced (so a batch's times lie between first and last evenly)."""
    if spec.records is not None or spec.arrivals != "paced":
        return False
    return spec.partitioner.kind in ("default", "time_window", "round") or (
        ignores_keys and spec.partitioner.kind == "keys"
    )
