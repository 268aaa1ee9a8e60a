"""Turns a valid file into the resolved parts of ``model``: SI units, everything filled in, every name known."""

from __future__ import annotations

import dataclasses

from kafkasim.scenario import model, schema, schema_cluster
from kafkasim.scenario.conditions import parse_condition
from kafkasim.scenario.costs import CostsSpec, cost_docs
from kafkasim.scenario.cross_reference import DEFAULT_HOST, PIPELINED_SINCE, Facts
from kafkasim.scenario.places import LinkFaultSpec, PlaceSpec, parse_place
from kafkasim.scenario.schema_chance import RANDOM_VERBS, Jvm, RandomFaults
from kafkasim.scenario.schema_events import LINKS, TARGETED, TOPICS, VERBS, Ends, Event, LossyEnds, SlowEnds
from kafkasim.scenario.schema_quotas import LIMITS, Quota
from kafkasim.scenario.targets import parse_target


def cluster(facts: Facts) -> model.ClusterSpec:
    """The cluster's resolved form."""
    file = facts.file.cluster
    brokers, ensemble, network = file.brokers, file.zookeeper, file.network
    overrides = {
        number: model.BrokerOverride(dict(own.config), host(own.host), own.rack)
        for number, own in sorted(brokers.overrides.items())
    }
    return model.ClusterSpec(
        version=file.version,
        brokers=model.BrokersSpec(
            ids=facts.ids,
            racks=list(brokers.racks) if brokers.racks else None,
            host=host(brokers.host),
            config=dict(brokers.config),
            overrides=overrides,
        ),
        zookeeper=model.ZooKeeperSpec(
            servers=ensemble.servers,
            observers=ensemble.observers,
            host=host(ensemble.host),
            racks=list(ensemble.racks) if ensemble.racks else None,
            config=dict(ensemble.config),
            initial_leader=ensemble.initial_leader,
            initial_sessions=dict(ensemble.initial_sessions),
        ),
        network=model.NetworkSpec(
            same_rack=_link(network.same_rack),
            cross_rack=_link(network.cross_rack),
            loopback_latency_s=network.loopback,
        ),
        initial_controller=file.initial_controller,
        controller=model.ControllerSpec(
            file.version >= PIPELINED_SINCE
            if file.controller.zookeeper_client is None
            else file.controller.zookeeper_client == "pipelined"
        ),
    )


def _link(link: float | schema_cluster.Link) -> model.LinkSpec:
    if isinstance(link, schema_cluster.Link):
        return model.LinkSpec(link.latency, link.jitter)
    return model.LinkSpec(link)


def host(choice: str | schema_cluster.Host | None) -> model.HostRef:
    """A name stays a name; ``default`` and an absent one become None."""
    if choice is None or choice == DEFAULT_HOST:
        return None
    return choice if isinstance(choice, str) else host_spec(choice)


def host_spec(file: schema_cluster.Host) -> model.HostSpec:
    """A machine's resolved form."""
    costs = {f"{name}_s": float(getattr(file.costs, name)) for name in cost_docs()}
    return model.HostSpec(
        cores=file.cores,
        memory_bytes=file.memory,
        nic_bytes_per_s=file.nic,
        disks=tuple(_disk(disk) for disk in file.disks or [file.disk]),
        start_up_s=file.start_up,
        restart_delay_s=file.restart_delay,
        costs=CostsSpec(**costs),
        jvm=None if file.jvm is None else _jvm(file.jvm),
    )


COLLECTORS = {
    # share of the heap that is young, median and 99th percentile of a young pause (s)
    "g1": (0.25, 0.015, 0.030),
    "parallel": (0.33, 0.040, 0.150),
    "cms": (0.15, 0.020, 0.060),
}
"""Defaults by collector: see docs/faults.md for what is published and what is assumed."""


def _jvm(file: Jvm) -> model.JvmSpec:
    young, p50, p99 = COLLECTORS[file.collector]
    median = p50 if file.pause_p50 is None else file.pause_p50
    tail = median * (p99 / p50) if file.pause_p99 is None else file.pause_p99
    return model.JvmSpec(
        file.collector,
        file.heap,
        int(file.heap * (young if file.young is None else file.young)),
        median,
        tail,
        None if file.full is None else file.full.every,
        0.0 if file.full is None else file.full.pause,
    )


def _disk(file: schema_cluster.Disk) -> model.DiskSpec:
    usual = model.DiskSpec()
    p50 = file.fsync_p50 if file.fsync_p50 is not None else usual.fsync_p50_s
    p99 = file.fsync_p99
    if p99 is None:
        p99 = p50 * (usual.fsync_p99_s / usual.fsync_p50_s)
    elif file.fsync_p50 is None:
        p50 = min(p50, p99)
    read, write = file.read or usual.read_bytes_per_s, file.write or usual.write_bytes_per_s
    return model.DiskSpec(read, write, p50, p99, file.capacity)


def topics(facts: Facts) -> dict[str, model.TopicSpec]:
    """All topics of a run: those of the file, then those that events create."""
    found = {name: topic(facts, name, file) for name, file in facts.file.topics.items()}
    for event in facts.file.events:
        if event.create_topic is not None:
            found[event.create_topic.name] = topic(facts, event.create_topic.name, event.create_topic)
    return found


def topic(facts: Facts, name: str, file: schema_cluster.Topic) -> model.TopicSpec:
    """A topic's resolved form."""
    if file.assignment:
        assignment = {number: list(file.assignment[number]) for number in sorted(file.assignment)}
        factor = len(assignment[0])
    else:
        assignment = None
        default = facts.brokers["default.replication.factor"]
        factor = file.replication_factor or (default if isinstance(default, int) else 1)
    count, initial = facts.partitions[name], facts.initial.get(name, 0)
    return model.TopicSpec(count, factor, assignment, dict(file.config), None if initial == count else initial)


def producer(facts: Facts, file: schema.Producer) -> model.ProducerSpec:
    """A producer's resolved form."""
    key_size = file.key_size
    if key_size is None:
        key_size = _key_size(file.partitioner)
    return model.ProducerSpec(
        name=file.name,
        topic=file.topic,
        instances=file.instances,
        rate_per_s=file.rate,
        arrivals="paced" if file.arrivals == "constant" else "poisson",
        records=[list(row) for row in file.records] if file.records is not None else None,
        record_size_bytes=file.record_size or 0,
        key_size_bytes=key_size,
        partitioner=_partitioner(file.partitioner),
        start_s=file.start,
        stop_s=file.stop,
        timestamp_offset_s=file.timestamp_offset,
        config=dict(file.config),
        host=host(file.host),
        rack=file.rack,
        version=file.version or facts.version,
    )


def _key_size(way: schema.Partitioner) -> int | None:
    """Where keys decide and no size is given: 8 bytes, or the mean length of the keys of a map in UTF-8."""
    if way.map is not None:
        weights = way.weights or dict.fromkeys(way.map, 1.0)
        total = sum(weights.values())
        return max(1, round(sum(len(key.encode()) * weight for key, weight in weights.items()) / total))
    return 8 if way.keys is not None else None


def _partitioner(way: schema.Partitioner) -> model.PartitionerSpec:
    if way.time_window is not None:
        return model.PartitionerSpec("time_window", window_s=way.time_window)
    if way.map is not None:
        weights = {key: float(weight) for key, weight in way.weights.items()} if way.weights else None
        return model.PartitionerSpec("map", map=dict(way.map), weights=weights)
    if way.keys is not None:
        if isinstance(way.keys, int):
            return model.PartitionerSpec("keys", keys_count=way.keys)
        zipf = float(way.keys.zipf) if way.keys.zipf is not None else None
        return model.PartitionerSpec("keys", keys_count=way.keys.count, zipf=zipf)
    return model.PartitionerSpec("round" if way.round else "default")


def consumer(facts: Facts, file: schema.Consumer) -> model.ConsumerSpec:
    """A consumer's resolved form; the partitions of ``assign`` are all listed."""
    partitions: dict[str, list[int]] | None = None
    topics = list(file.topics or [])
    if file.assign == "all":
        partitions = {name: list(range(facts.partitions[name])) for name in topics}
    elif file.assign is not None and not isinstance(file.assign, str):
        partitions = {name: sorted(numbers) for name, numbers in file.assign.items()}
        topics = list(partitions)
    return model.ConsumerSpec(
        name=file.name or file.group or "",
        group=file.group,
        topics=topics,
        partitions=partitions,
        members=file.members,
        processing_s_per_record=file.processing,
        poll_timeout_s=file.poll_timeout,
        config=dict(file.config),
        host=host(file.host),
        rack=file.rack,
        version=file.version or facts.version,
    )


def quota(file: Quota) -> model.QuotaSpec:
    """An entity's quotas, resolved."""
    limits = {name: float(getattr(file, name)) for name in LIMITS if getattr(file, name) is not None}
    return model.QuotaSpec(file.user, file.client_id, limits)


def event(facts: Facts, file: Event) -> model.EventSpec:
    """An event's resolved form."""
    spec = _verb(facts, file)
    if file.when is None:
        return spec
    return dataclasses.replace(spec, at_s=0.0, when=parse_condition(file.when), after_s=file.after or 0.0)


def _verb(facts: Facts, file: Event) -> model.EventSpec:
    verb = next(name for name in VERBS if getattr(file, name) is not None)
    value = getattr(file, verb)
    if verb == "clock_skew":
        return model.EventSpec(file.at, verb, parse_target(value), file.for_, skew=_skew(file))
    if file.random_faults is not None:
        return model.EventSpec(file.at, verb, for_s=file.for_, random=_random(file.random_faults))
    if verb in TARGETED:
        return model.EventSpec(
            file.at,
            verb,
            parse_target(value),
            file.for_,
            factor=file.factor or 1.0,
            add_s=file.add or 0.0,
            disk=file.disk,
        )
    if verb in LINKS:
        return model.EventSpec(file.at, verb, for_s=file.for_, link=_link_fault(value))
    if verb in TOPICS:
        return model.EventSpec(file.at, verb, order=_order(facts, file))
    if file.nic_capped is not None:
        return model.EventSpec(
            file.at, verb, parse_target(file.nic_capped.host), file.for_, rate_bytes_per_s=file.nic_capped.rate
        )
    if file.elect_leaders is not None:
        wanted = file.elect_leaders
        election = model.ElectionSpec(wanted.election_type == "unclean", wanted.topic, wanted.partition)
        return model.EventSpec(file.at, verb, election=election)
    return model.EventSpec(file.at, verb, for_s=file.for_, pause_s=file.pause or 0.0)


def _skew(file: Event) -> model.ClockSkewSpec:
    sign = -1.0 if file.behind is not None else 1.0
    return model.ClockSkewSpec(sign * (file.ahead or file.behind or 0.0), sign * (file.drift or 0.0))


def _random(file: RandomFaults) -> model.RandomFaultsSpec:
    kinds: dict[str, tuple[float, float]] = {}
    for verb in RANDOM_VERBS:
        kind = getattr(file, verb)
        if kind is not None:
            kinds[verb] = (kind.every, kind.for_)
    return model.RandomFaultsSpec(file.targets, kinds)


def _order(facts: Facts, file: Event) -> model.TopicOrderSpec:
    if file.create_topic is not None:
        name = file.create_topic.name
        return model.TopicOrderSpec((name,), count=facts.created.get(name, facts.partitions[name]))
    if file.delete_topic is not None:
        return model.TopicOrderSpec((file.delete_topic,))
    if file.add_partitions is not None:
        return model.TopicOrderSpec((file.add_partitions.topic,), count=file.add_partitions.to)
    order = file.reassign
    assert order is not None
    if order.topic is not None:
        assignment = dict(sorted((order.assignment or {}).items()))
        return model.TopicOrderSpec((order.topic,), assignment=assignment, throttle_bytes_per_s=order.throttle)
    names = sorted(facts.file.topics) if order.topics == "all" else list(order.topics or ())
    return model.TopicOrderSpec(tuple(names), to=tuple(order.to or ()), throttle_bytes_per_s=order.throttle)


def _link_fault(ends: Ends) -> LinkFaultSpec:
    both_ways = ends.between is not None
    sources, targets = (ends.between, ends.and_) if both_ways else (ends.from_, ends.to)
    slow = ends if isinstance(ends, SlowEnds) else None
    return LinkFaultSpec(
        _places(sources),
        _places(targets),
        both_ways,
        0.0 if slow is None else slow.add,
        0.0 if slow is None else slow.jitter,
        ends.probability if isinstance(ends, LossyEnds) else 0.0,
    )


def _places(value: str | list[str] | None) -> tuple[PlaceSpec, ...]:
    texts = [value] if isinstance(value, str) else value or []
    return tuple(parse_place(text) for text in texts)
