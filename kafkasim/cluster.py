"""A cluster built from a scenario: hosts, ensemble, brokers, clients, and the books they fill.

At t = 0 the cluster is settled: an ensemble with a leader, registered brokers, a controller,
every preferred replica leading with a full ISR.  Producers and consumers start cold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kafkasim import record_history
from kafkasim.applications import make_member, make_producer
from kafkasim.batch_trace import BatchTrace, TracedBrokers, TracedClients
from kafkasim.board import Board
from kafkasim.broker.broker import Broker
from kafkasim.broker.collections import BrokerCollections
from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker_collector import BrokerCollector
from kafkasim.client_collector import ClientCollector
from kafkasim.clients.consumer import ConsumerMember
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.producer import ProducerInstance
from kafkasim.connection import Directory, Server
from kafkasim.controller.store import BLOCK_PATH
from kafkasim.hosts.host import Host
from kafkasim.kernel.environment import Environment
from kafkasim.kernel.streams import Streams
from kafkasim.machines import make_disks, watches_storage
from kafkasim.messages import PartitionState
from kafkasim.metrics.availability import AvailabilityBook
from kafkasim.metrics.latency import LatencyBook
from kafkasim.metrics.ledger import Ledger
from kafkasim.metrics.oddities import Oddities
from kafkasim.metrics.series import SeriesBook
from kafkasim.metrics.timeline import Timeline
from kafkasim.network import Network
from kafkasim.placing import INITIAL_CONTROLLER_EPOCH, make_topics, settled_states
from kafkasim.protocol import TopicPartition
from kafkasim.record_history import RecordHistory
from kafkasim.record_keys import LoadKeys
from kafkasim.scenario import Scenario
from kafkasim.scenario.model import ConsumerSpec, HostRef, HostSpec, ProducerSpec
from kafkasim.waiting import Waiting
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


class Cluster(Directory):
    """Everything that a run simulates, and the collectors that watch it."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        trace_sessions: bool = False,
        watched: Callable[[BrokerMonitor], BrokerMonitor] | None = None,
        trace_batches: bool = False,
    ) -> None:
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
        self._client_hosts: dict[str, list[Host]] = {}
        self.topics = make_topics(scenario)
        self.board = Board(self.topics)
        self.waiting = Waiting(self)
        self.oddities = Oddities()
        books = (self.topics, self.ledger, self.latency)
        self.broker_collector = BrokerCollector(
            *books, self.series, self.timeline, self.board, self.waiting, self.oddities
        )
        self.client_collector = ClientCollector(
            *books,
            self.availability,
            self.series,
            self.timeline,
            self.board,
            self.waiting,
            self.broker_collector.paced,
            self.broker_collector.unanswered,
            self.env.scheduler,
            self.oddities,
        )
        self.batch_trace = BatchTrace() if trace_batches else None
        self.monitor: BrokerMonitor = self.broker_collector
        self.client_monitor: ClientMonitor = self.client_collector
        if self.batch_trace is not None:
            self.monitor = TracedBrokers(self.monitor, self.batch_trace)
            self.client_monitor = TracedClients(self.client_collector, self.batch_trace, self.client_collector.clients)
        if watched is not None:
            self.monitor = watched(self.monitor)
        self.broker_collector.keeps_logs = any(
            event.verb == "power_loss" or (event.random is not None and "power_loss" in event.random.kinds)
            for event in scenario.events
        )
        for tp in self.topics.all():
            if record_history.may_delete(scenario, self.topics, tp.topic):
                self.broker_collector.histories[tp.index] = RecordHistory(self.ledger)
                if "compact" in self.topics.config(tp.topic)["cleanup.policy"]:
                    self.broker_collector.compacted[tp.index] = None
        self.record_keys = LoadKeys(seed)
        self.timestamp_offsets_s: list[float] | None = None
        """Of each stream, when a producer's clock is wrong."""
        if any(producer.timestamp_offset_s for producer in scenario.producers):
            self.timestamp_offsets_s = []
        self.broker_ids: list[int] = sorted(scenario.cluster.brokers.ids)
        self.brokers: dict[int, Broker] = {}
        self.restart_delay_s: dict[int, float] = {}
        self.zookeeper_restart_delay_s = 5.0
        self.ensemble = self._make_ensemble(trace_sessions)
        states = settled_states(scenario, self.topics, self.streams)
        self.assignment = {index: state.replicas for index, state in states.items()}
        self._make_brokers()
        self._settle(states)
        self.collections = self._make_heaps()
        self.producers: dict[str, Producer] = {}
        self.groups: dict[str, Group] = {}
        for producer in scenario.producers:
            self._make_producer(producer)
        for consumer in scenario.consumers:
            self._make_group(consumer)
        if scenario.warmup_s > 0.0:
            self.env.call_at(scenario.warmup_s, lambda _: self.series.cut(self.env.now))

    # ---- machines

    def client_hosts(self, name: str | None) -> list[Host]:
        """The machines of a producer's instances or a consumer's members; None: of all clients."""
        if name is not None:
            return list(self._client_hosts.get(name, []))
        return [host for hosts in self._client_hosts.values() for host in hosts]

    def make_client_host(self, application: str, name: str, rack: str | None, reference: HostRef) -> Host:
        """The machine of one instance or member of ``application``."""
        host = self.make_host(name, rack, reference)
        self._client_hosts.setdefault(application, []).append(host)
        return host

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
        disks = make_disks(self.scenario, self.streams, spec, name)
        host = Host(name, rack, spec.cores, spec.nic_bytes_per_s, disks[0], shared, disks[1:])
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
            client_write_s=costs.zookeeper_client_write_s,
            write_s=costs.zookeeper_write_s,
            write_per_follower_s=costs.zookeeper_write_per_follower_s,
            follower_write_s=costs.zookeeper_follower_write_s,
            max_batch_size=int(config["maxBatchSize"]),
            commit_log_count=int(config["commitLogCount"]),
            global_outstanding_limit=int(config["globalOutstandingLimit"]),
            election_connect_s=int(config["cnxTimeout"]) / 1000.0,
            pre_allocated_bytes=int(config["preAllocSize"]) * 1024,
            snapshot_count=int(config["snapCount"]),
            snapshot_log_bytes=int(config["snapSizeLimitInKb"]) * 1024,
            log_on_own_device=bool(config["dataLogDir"]),
        )
        self.zookeeper_restart_delay_s = self.host_spec(spec.host).restart_delay_s
        hosts = [
            self.make_host(f"zookeeper {number}", spec.rack_of(number), spec.host)
            for number in range(1, spec.servers + spec.observers + 1)
        ]
        ensemble = Ensemble(self.env, self.network, self.streams, hosts, self.timeline, parameters, spec.observers)
        if trace_sessions:
            ensemble.trace_sessions = []
        ensemble.settle(spec.initial_leader)
        return ensemble

    def _make_brokers(self) -> None:
        spec = self.scenario.cluster.brokers
        watches = watches_storage(self.scenario)
        for broker_id in self.broker_ids:
            reference = spec.host_of(broker_id)
            profile = self.host_spec(reference)
            host = self.make_host(f"broker {broker_id}", spec.rack_of(broker_id), reference)
            self.restart_delay_s[broker_id] = profile.restart_delay_s
            self.brokers[broker_id] = Broker(
                self.env, self.network, self.streams, self, self.ensemble, broker_id, host, profile.costs,
                profile.start_up_s, self.scenario.broker_config(broker_id), self.scenario.cluster.version,
                self.topics, self.monitor, self.timeline, self.scenario.cluster.controller.pipelined_zookeeper,
                self.timestamp_offsets_s, self.scenario.quotas, watches, self.record_keys,
            )  # fmt: skip

    def _make_heaps(self) -> dict[int, BrokerCollections]:
        """The Java heaps of the brokers whose hosts have one."""
        heaps: dict[int, BrokerCollections] = {}
        for broker_id, broker in self.brokers.items():
            spec = self.host_spec(self.scenario.cluster.brokers.host_of(broker_id)).jvm
            if spec is not None:
                heaps[broker_id] = BrokerCollections(broker, spec)
        return heaps

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
            partitions = self.topics.initial(name)
            if not partitions:
                continue
            ensemble.put(f"/brokers/topics/{name}", {tp.partition: states[tp.index].replicas for tp in partitions})
            ensemble.put(f"/brokers/topics/{name}/partitions", None)
            for tp in partitions:
                state = states[tp.index]
                base = f"/brokers/topics/{name}/partitions/{tp.partition}"
                ensemble.put(base, None)
                data = (state.leader, state.leader_epoch, state.isr, state.controller_epoch)
                ensemble.put(f"{base}/state", data)
        if any(len(self.topics.initial(name)) < len(self.topics.partitions(name)) for name in self.topics.names()):
            # What topics are created with: their configs have a place.
            ensemble.put("/config", None)
            ensemble.put("/config/topics", None)
        epochs: dict[int, int] = {}
        hosted: dict[int, list[PartitionState]] = {broker_id: [] for broker_id in self.broker_ids}
        for state in states.values():
            for replica in state.replicas:
                hosted[replica].append(state)
        producer_id = 0
        for broker_id in self.broker_ids:
            broker = self.brokers[broker_id]
            broker.settle(pinned.get(f"broker {broker_id}"), 0, hosted[broker_id])
            producer_id = broker.producer_ids.settle(producer_id)
            path = f"/brokers/ids/{broker_id}"
            owner = broker.zookeeper.session_id
            broker.epoch = ensemble.put(path, {"rack": broker.host.rack}, owner)
            epochs[broker_id] = broker.epoch
        ensemble.put(BLOCK_PATH, producer_id)
        controller = self.brokers[initial]
        ensemble.put("/controller", initial, controller.zookeeper.session_id)
        live = frozenset(self.broker_ids)
        for broker_id in self.broker_ids:
            broker = self.brokers[broker_id]
            for partition in broker.replicas.partitions.values():
                self.board.replicas[partition.tp.index].append(partition)
        for broker_id in self.broker_ids:
            self.brokers[broker_id].settle_roles(states, hosted[broker_id], live, initial)
        for broker_id in self.broker_ids:
            broker = self.brokers[broker_id]
            broker.controller.start_settled(
                broker_id == initial, INITIAL_CONTROLLER_EPOCH, states, epochs, controller_id=initial
            )
            for path, kind in broker.controller.settled_watches():
                broker.zookeeper.watch_settled(path, kind == "children")
        for index, state in states.items():
            self.board.settle(index, len(state.replicas))
            if self.topics.is_internal(state.tp.topic):
                self.board.written[index] = None

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

    def down_cause(self, node_id: int) -> int:
        """The timeline row that stopped a broker; 0 while it is up."""
        broker = self.brokers[node_id]
        return 0 if broker.up else broker.fault_cause

    def silence_cause(self, node_id: int, other_id: int, since: float) -> int:
        """The row of what has kept a broker from hearing another one: its death, a cut, or that one of them stood."""
        one, other = self.brokers[node_id], self.brokers[other_id]
        if not other.up:
            return other.fault_cause
        for broker in (other, one):
            if broker.life.stopped_until > since:
                return broker.freeze_cause
        return self.network.cause_between(one.host, other.host)

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
        return self.board.not_whole == 0

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

    def _cause_of(self, kind: str, client: str, topic: str, partition: int, from_s: float) -> int | None:
        return self.running_event(from_s)

    # ---- the books

    def close_interval(self, until: float) -> None:
        """An interval of the report ends."""
        self.latency.close_interval(until)
        self.series.sample(until)

    def session_rows(self) -> list[dict[str, object]] | None:
        """The rows of ``--trace sessions``; None when it was not asked for."""
        rows: Any = self.ensemble.trace_sessions
        return None if rows is None else self.ensemble.session_rows()

    def batch_rows(self) -> list[dict[str, object]] | None:
        """The rows of ``--trace batches``; None when it was not asked for."""
        return None if self.batch_trace is None else self.batch_trace.rows(self.ledger)

    def client_errors(self, name: str, client: str | None) -> int:
        """How often clients were told the error ``name``."""
        return self.client_collector.error_count(name, client)
