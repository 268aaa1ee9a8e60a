"""A cluster built from a scenario: hosts, ensemble, brokers, clients, and the books they fill.

At t = 0 the cluster is settled: an ensemble with a leader, registered brokers, a controller,
every preferred replica leading with a full ISR.  Producers and consumers start cold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kafkasim.applications import make_member, make_producer
from kafkasim.broker.broker import Broker
from kafkasim.broker.partition import Partition
from kafkasim.clients.consumer import ConsumerMember
from kafkasim.clients.producer import ProducerInstance
from kafkasim.collectors import Board, BrokerCollector, ClientCollector, WaitingTimes
from kafkasim.connection import Directory, Server
from kafkasim.hosts.host import Disk, Host
from kafkasim.kernel.environment import Environment
from kafkasim.kernel.streams import Streams
from kafkasim.messages import PartitionState
from kafkasim.metrics.availability import AvailabilityBook
from kafkasim.metrics.latency import LatencyBook
from kafkasim.metrics.ledger import Ledger
from kafkasim.metrics.series import SeriesBook
from kafkasim.metrics.timeline import Timeline
from kafkasim.network import Network
from kafkasim.placing import INITIAL_CONTROLLER_EPOCH, make_topics, settled_states
from kafkasim.protocol import RecordBatch, TopicPartition
from kafkasim.scenario import Scenario
from kafkasim.scenario.model import ConsumerSpec, HostRef, HostSpec, ProducerSpec
from kafkasim.zookeeper.ensemble import Ensemble
from kafkasim.zookeeper.parameters import ZooKeeperParameters


@dataclass(slots=True)
class Group:
    """A consumer group (or a consumer without one): its members and what they read."""

    name: str
    spec: ConsumerSpec
    partitions: list[TopicPartition]
    members: list[ConsumerMember] = field(default_factory=list)

    def position(self, tp: TopicPartition) -> int | None:
        """The position of the member that owns ``tp`` now; None when nobody does or it has none yet."""
        for member in self.members:
            position = member.position(tp)
            if position >= 0:
                return position
        return None


@dataclass(slots=True)
class Producer:
    """A producer application: its instances."""

    name: str
    spec: ProducerSpec
    partitions: list[TopicPartition]
    instances: list[ProducerInstance] = field(default_factory=list)


class Cluster(Directory, WaitingTimes):
    """Everything that a run simulates, and the collectors that watch it."""

    def __init__(self, scenario: Scenario, seed: int, trace_sessions: bool = False) -> None:
        self.scenario = scenario
        self.env = Environment()
        self.streams = Streams(seed)
        net = scenario.cluster.network
        self.network = Network(
            self.env.scheduler,
            self.streams,
            (net.same_rack.latency_s, net.same_rack.jitter_s),
            (net.cross_rack.latency_s, net.cross_rack.jitter_s),
            net.loopback_latency_s,
        )
        self.timeline = Timeline()
        self.ledger = Ledger()
        self.latency = LatencyBook(scenario.warmup_s, scenario.duration_s)
        self.availability = AvailabilityBook(self._cause_of)
        self.series = SeriesBook()
        self.running_event: Callable[[float], int | None] = lambda at: None
        self.hosts: list[Host] = []
        self._shared: dict[str, Host] = {}
        self.topics = make_topics(scenario)
        self.board = Board(self.topics)
        books = (self.topics, self.ledger, self.latency)
        self.broker_collector = BrokerCollector(*books, self.series, self.timeline, self.board, self)
        self.client_collector = ClientCollector(
            *books, self.availability, self.series, self.timeline, self.board, self, self.broker_collector.paced,
            self.env.scheduler,
        )
        self.broker_ids: list[int] = sorted(scenario.cluster.brokers.ids)
        self.brokers: dict[int, Broker] = {}
        self.restart_delay_s: dict[int, float] = {}
        self.zookeeper_restart_delay_s = 5.0
        self.ensemble = self._make_ensemble(trace_sessions)
        states = settled_states(scenario, self.topics, self.streams)
        self._make_brokers()
        self._settle(states)
        self.producers: dict[str, Producer] = {}
        self.groups: dict[str, Group] = {}
        for producer in scenario.producers:
            self._make_producer(producer)
        for consumer in scenario.consumers:
            self._make_group(consumer)
        if scenario.warmup_s > 0.0:
            self.env.call_at(scenario.warmup_s, lambda _: self.series.cut(self.env.now))

    # ---- machines

    def host_spec(self, reference: HostRef) -> HostSpec:
        """The profile of a host reference."""
        if isinstance(reference, HostSpec):
            return reference
        if reference is None:
            return HostSpec()
        return self.scenario.hosts.get(reference, HostSpec())

    def make_host(self, name: str, rack: str | None, reference: HostRef = None) -> Host:
        """The machine of one process: one of its own, or the shared one that ``reference`` names."""
        if isinstance(reference, str) and reference in self.scenario.hosts:
            shared = self._shared.get(reference)
            if shared is None:
                shared = self._shared[reference] = self._host(reference, rack, self.host_spec(reference), True)
            return shared
        return self._host(name, rack, self.host_spec(reference), False)

    def _host(self, name: str, rack: str | None, spec: HostSpec, shared: bool) -> Host:
        disk = Disk(
            spec.disk.read_bytes_per_s, spec.disk.write_bytes_per_s, spec.disk.fsync_p50_s, spec.disk.fsync_p99_s,
            self.streams.stream(f"disk/{name}"),
        )  # fmt: skip
        host = Host(name, rack, spec.cores, spec.nic_bytes_per_s, disk, shared)
        self.hosts.append(host)
        return host

    # ---- ensemble and brokers

    def _make_ensemble(self, trace_sessions: bool) -> Ensemble:
        spec = self.scenario.cluster.zookeeper
        config = self.scenario.zookeeper_config()
        costs = self.host_spec(spec.host).costs
        parameters = ZooKeeperParameters(
            tick_ms=int(config["tickTime"]),
            init_limit=int(config["initLimit"]),
            sync_limit=int(config["syncLimit"]),
            min_session_timeout_ms=int(config["minSessionTimeout"]),
            max_session_timeout_ms=int(config["maxSessionTimeout"]),
            read_s=costs.zookeeper_read_s,
            write_s=costs.zookeeper_write_s,
            write_per_follower_s=costs.zookeeper_write_per_follower_s,
            max_batch_size=int(config["maxBatchSize"]),
            commit_log_count=int(config["commitLogCount"]),
        )
        self.zookeeper_restart_delay_s = self.host_spec(spec.host).restart_delay_s
        hosts = [
            self.make_host(f"zookeeper {number}", spec.rack_of(number), spec.host)
            for number in range(1, spec.servers + 1)
        ]
        ensemble = Ensemble(self.env, self.network, self.streams, hosts, self.timeline, parameters)
        if trace_sessions:
            ensemble.trace_sessions = []
        ensemble.settle(spec.initial_leader)
        return ensemble

    def _make_brokers(self) -> None:
        spec = self.scenario.cluster.brokers
        for broker_id in self.broker_ids:
            reference = spec.host_of(broker_id)
            profile = self.host_spec(reference)
            host = self.make_host(f"broker {broker_id}", spec.rack_of(broker_id), reference)
            self.restart_delay_s[broker_id] = profile.restart_delay_s
            self.brokers[broker_id] = Broker(
                self.env, self.network, self.streams, self, self.ensemble, broker_id, host, profile.costs,
                profile.start_up_s, self.scenario.broker_config(broker_id), self.scenario.cluster.version,
                self.topics, self.broker_collector, self.timeline,
            )  # fmt: skip

    def _settle(self, states: dict[int, PartitionState]) -> None:
        """The settled start: znodes, sessions, registrations, roles, a controller."""
        pinned = self.scenario.cluster.zookeeper.initial_sessions
        initial = self.scenario.cluster.initial_controller
        if initial is None:
            draws = self.streams.stream("cluster/initial-controller")
            initial = self.broker_ids[draws.integer(len(self.broker_ids))]
        ensemble = self.ensemble
        for path in ("/brokers", "/brokers/ids", "/brokers/topics", "/admin", "/admin/delete_topics"):
            ensemble.put(path, None)
        ensemble.put("/isr_change_notification", None)
        ensemble.put("/log_dir_event_notification", None)
        ensemble.put("/controller_epoch", INITIAL_CONTROLLER_EPOCH)
        for name in self.topics.names():
            partitions = self.topics.partitions(name)
            ensemble.put(
                f"/brokers/topics/{name}", {tp.partition: states[tp.index].replicas for tp in partitions}
            )
            ensemble.put(f"/brokers/topics/{name}/partitions", None)
            for tp in partitions:
                state = states[tp.index]
                base = f"/brokers/topics/{name}/partitions/{tp.partition}"
                ensemble.put(base, None)
                data = (state.leader, state.leader_epoch, state.isr, state.controller_epoch)
                ensemble.put(f"{base}/state", data)
        epochs: dict[int, int] = {}
        for broker_id in self.broker_ids:
            broker = self.brokers[broker_id]
            broker.settle(pinned.get(f"broker {broker_id}"), 0, states)
            path = f"/brokers/ids/{broker_id}"
            owner = broker.zookeeper.session_id
            broker.epoch = ensemble.put(path, {"rack": broker.host.rack}, owner)
            epochs[broker_id] = broker.epoch
        controller = self.brokers[initial]
        ensemble.put("/controller", initial, controller.zookeeper.session_id)
        live = frozenset(self.broker_ids)
        for broker_id in self.broker_ids:
            broker = self.brokers[broker_id]
            for partition in broker.replicas.partitions.values():
                self.board.replicas[partition.tp.index].append(partition)
                self.board.factor[partition.tp.index] = len(states[partition.tp.index].replicas)
        for broker_id in self.broker_ids:
            self.brokers[broker_id].settle_roles(states, live, initial)
        for broker_id in self.broker_ids:
            broker = self.brokers[broker_id]
            broker.controller.start_settled(
                broker_id == initial, INITIAL_CONTROLLER_EPOCH, states, epochs, controller_id=initial
            )
            for path, kind in broker.controller.settled_watches():
                broker.zookeeper.watch_settled(path, kind == "children")
        for tp in self.topics.all():
            self.board.refresh(tp.index)

    # ---- clients

    def _make_producer(self, spec: ProducerSpec) -> None:
        producer = Producer(spec.name, spec, self.topics.partitions(spec.topic))
        self.producers[spec.name] = producer
        for number in range(spec.instances):
            producer.instances.append(make_producer(self, spec, number))

    def _make_group(self, spec: ConsumerSpec) -> None:
        name = spec.group or spec.name
        partitions: list[TopicPartition] = []
        for topic in spec.topics:
            listed = self.topics.partitions(topic)
            if spec.group is None and spec.partitions is not None:
                listed = [listed[number] for number in spec.partitions[topic]]
            partitions.extend(listed)
            self.ledger.subscribe(name, topic)
        group = Group(name, spec, partitions)
        self.groups[name] = group
        for number in range(spec.members):
            group.members.append(make_member(self, spec, number, partitions))

    # ---- Directory

    def server(self, node_id: int) -> Server:
        """The socket server of a broker."""
        return self.brokers[node_id].server

    def host(self, node_id: int) -> Host:
        """The machine of a broker."""
        return self.brokers[node_id].host

    # ---- how things stand

    def active_controller(self) -> Broker | None:
        """The broker whose controller is active, if any is."""
        for broker_id in self.broker_ids:
            broker = self.brokers[broker_id]
            if broker.up and broker.controller.active:
                return broker
        return None

    def whole(self) -> bool:
        """Whether every partition has a leader that lives and its full ISR there."""
        board = self.board
        for index, factor in enumerate(board.factor):
            if board.leaders[index] < 0 or board.isr_size[index] < factor:
                return False
        return True

    def offline_partitions(self) -> int:
        """OfflinePartitionsCount as the active controller reports it (0 without one)."""
        controller = self.active_controller()
        return 0 if controller is None else int(controller.controller.offline_partitions_count)

    def lag(self, group: Group, tp: TopicPartition) -> int:
        """High watermark minus the group's position (records)."""
        leader = self.board.leader_of(tp.index)
        if leader is None:
            return 0
        position = group.position(tp)
        return max(0, leader.high_watermark - (position if position is not None else 0))

    def _longest_replica(self, tp: TopicPartition) -> Partition | None:
        leader = self.board.leader_of(tp.index)
        if leader is not None:
            return leader
        replicas = self.board.replicas[tp.index]
        return max(replicas, key=lambda replica: replica.log.log_end_offset, default=None)

    def anybody_waits_since(self, time: float) -> bool:
        """Whether a record intended by ``time`` (s) still waits to be acknowledged or delivered."""
        now = self.env.now
        for tracker in self.availability.trackers:
            tp = self.topics.partition(tracker.topic, tracker.partition)
            if tracker.kind == "produce":
                oldest = self.oldest_unacknowledged(tracker.client, tp, now)
            else:
                oldest = self.oldest_undelivered(tracker.client, tp, now) if tracker.started else None
            if oldest is not None and oldest <= time:
                return True
        return False

    # ---- WaitingTimes

    def oldest_unacknowledged(self, producer: str, tp: TopicPartition, now: float) -> float | None:
        """Intended time of the oldest record of ``producer`` that is neither acknowledged nor failed."""
        known = [instance.oldest_waiting(tp, now) for instance in self.producers[producer].instances]
        times = [time for time in known if time is not None]
        return min(times, default=None)

    def oldest_undelivered(self, group: str, tp: TopicPartition, now: float) -> float | None:
        """Intended time of the oldest record of ``tp`` that ``group`` still has to be given."""
        times: list[float] = []
        for producer in self.producers.values():
            if tp in producer.partitions:
                waiting = self.oldest_unacknowledged(producer.name, tp, now)
                if waiting is not None:
                    times.append(waiting)
        replica = self._longest_replica(tp)
        position = self.groups[group].position(tp)
        if replica is not None and position is not None:
            if position < replica.log.log_end_offset:
                position = max(position, replica.log.trimmed_offset)
                batch = replica.log.batches[replica.log.index_of(position)]
                if batch.stream >= 0:
                    times.append(_time_at(batch, position - batch.base_offset))
        return min(times, default=None)

    def reach(self, tp: TopicPartition) -> int:
        """The offset below which no reader will ever look again: committed offsets, positions without a group."""
        lowest = 1 << 62
        for group in self.groups.values():
            if tp not in group.partitions:
                continue
            if group.spec.group is None:
                position = group.position(tp)
                lowest = min(lowest, position if position is not None else 0)
            else:
                lowest = min(lowest, self.committed(group.name, tp))
        return lowest

    def committed(self, group: str, tp: TopicPartition) -> int:
        """The group's committed offset as its coordinator knows it; 0 when none is loaded."""
        for broker_id in self.broker_ids:
            known = self.brokers[broker_id].coordinator.groups.get(group)
            if known is not None:
                offset = known.offsets.get(tp.index)
                return offset[0] if offset is not None else 0
        return 0

    def _cause_of(self, kind: str, client: str, topic: str, partition: int, from_s: float) -> int | None:
        return self.running_event(from_s)

    # ---- the books

    def close_interval(self, until: float) -> None:
        """An interval of the report ends."""
        self.latency.close_interval(until)
        self.series.sample(until)

    def close_books(self, end_s: float) -> dict[str, object]:
        """The end of the run: read the logs, count every record, list what is unfinished."""
        self.latency.finish(end_s)
        for tracker in self.availability.trackers:
            tp = self.topics.partition(tracker.topic, tracker.partition)
            if tracker.kind == "produce":
                oldest = self.oldest_unacknowledged(tracker.client, tp, end_s)
            else:
                oldest = self.oldest_undelivered(tracker.client, tp, end_s)
            tracker.finish(end_s, oldest)
        self._close_producers(end_s)
        for tp in self.topics.all():
            if not self.topics.is_internal(tp.topic):
                self._scan(tp)
        self._note_undelivered(end_s)
        return self.ledger.close()

    def _close_producers(self, end_s: float) -> None:
        stored = self._stored_batches()
        for producer in self.producers.values():
            paced = self.client_collector.is_paced(producer.name)
            topic = producer.spec.topic
            for instance in producer.instances:
                instance.close_books(end_s)
                failed = [(a, b, n) for _, a, b, n in self.client_collector.failures[instance.client]]
                rows = instance.outstanding(end_s)
                waiting = [(first, last, count) for _, _, _, count, first, last in rows]
                self.latency.unfinished(topic, "produce", producer.name, failed=failed, censored=waiting, paced=paced)
                # What no log holds yet is committed and delivered by nobody either.
                unsent = [(a, b, count) for _, stream, n, count, a, b in rows if (stream, n) not in stored]
                self.latency.unfinished(topic, "commit", producer.name, failed=failed, censored=unsent, paced=paced)
                for group in self.groups.values():
                    if topic in group.spec.topics:
                        self.latency.unfinished(topic, "end_to_end", group.name, censored=unsent, paced=paced)

    def _stored_batches(self) -> set[tuple[int, int]]:
        """(stream, first record) of what the leaders' logs hold; what is above a high watermark is not committed."""
        stored: set[tuple[int, int]] = set()
        for tp in self.topics.all():
            replica = self._longest_replica(tp)
            if replica is None or self.topics.is_internal(tp.topic):
                continue
            for batch in replica.log.batches:
                stored.add((batch.stream, batch.first))
                if not batch.committed and batch.stream >= 0:
                    stream = self.ledger.streams[batch.stream]
                    span = (batch.first_time, batch.last_time, batch.count)
                    self.latency.unfinished(
                        tp.topic, "commit", stream.producer, censored=[span],
                        paced=self.broker_collector.paced[batch.stream],
                    )  # fmt: skip
        return stored

    def _scan(self, tp: TopicPartition) -> None:
        replica = self._longest_replica(tp)
        if replica is None:
            return
        leader = self.board.leader_of(tp.index)
        log = replica.log
        streams = self.ledger.streams
        batches = [
            (streams[b.stream], b.first, b.first + b.count, b.base_offset) for b in log.batches if b.stream >= 0
        ]
        positions: dict[str, tuple[int, int]] = {}
        for group in self.groups.values():
            if tp in group.partitions:
                at = group.position(tp)
                first = self.client_collector.first_positions.get((group.name, tp.index), 0)
                at = self.client_collector.last_delivered.get((group.name, tp.index), first) if at is None else at
                positions[group.name] = (first, max(at, first))
        self.ledger.scan_log(
            tp.topic, tp.partition, batches, log.log_end_offset, replica.high_watermark, leader is not None,
            positions, log.trimmed_offset,
        )  # fmt: skip

    def _note_undelivered(self, end_s: float) -> None:
        """What lies on the logs above a group's position is unfinished end to end."""
        for group in self.groups.values():
            spans: dict[str, list[tuple[float, float, int]]] = {}
            for tp in group.partitions:
                replica = self._longest_replica(tp)
                position = group.position(tp)
                if replica is None:
                    continue
                log = replica.log
                position = max(position or 0, log.trimmed_offset)
                for batch in log.batches[log.index_of(position) :]:
                    if batch.stream >= 0:
                        skip = max(0, position - batch.base_offset)
                        first = _time_at(batch, skip)
                        spans.setdefault(tp.topic, []).append((first, batch.last_time, batch.count - skip))
            for topic, censored in spans.items():
                self.latency.unfinished(topic, "end_to_end", group.name, censored=censored)

    def session_rows(self) -> list[dict[str, object]] | None:
        """The rows of ``--trace sessions``; None when it was not asked for."""
        rows: Any = self.ensemble.trace_sessions
        return None if rows is None else self.ensemble.session_rows()

    def client_errors(self, name: str, client: str | None) -> int:
        """How often clients were told the error ``name``."""
        return self.client_collector.error_count(name, client)

    def diverged(self, topic: str | None, partition: int | None) -> int:
        """Offsets on which two replicas differ below both log ends."""
        total = 0
        for tp in self.topics.all():
            if (topic is None or tp.topic == topic) and (partition is None or tp.partition == partition):
                total += _diverged(self.board.replicas[tp.index])
        return total

    def count_streams(self, term: str, topic: str | None, partition: int | None, client: str | None) -> int | None:
        """A ledger term over the streams of one producer or partition; None when it is not kept so."""
        if term != "failed":
            return None
        total = 0
        for stream in self.ledger.streams:
            if topic not in (None, stream.topic) or client not in (None, stream.producer):
                continue
            if partition is not None and stream.partition != partition:
                if stream.partition is None:
                    return None
                continue
            total += stream.failed.count
        return total


def _time_at(batch: RecordBatch, record: int) -> float:
    if batch.count <= 1:
        return batch.first_time
    return batch.first_time + (batch.last_time - batch.first_time) * record / (batch.count - 1)


def _diverged(replicas: list[Partition]) -> int:
    total = 0
    for i, one in enumerate(replicas):
        for other in replicas[i + 1 :]:
            end = min(one.log.log_end_offset, other.log.log_end_offset)
            mine = {batch.base_offset: batch for batch in one.log.batches if batch.base_offset < end}
            for batch in other.log.batches:
                if batch.base_offset < end and mine.get(batch.base_offset) is not batch:
                    total += min(batch.count, end - batch.base_offset)
    return total
