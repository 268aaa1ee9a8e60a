"""A broker process on its host: what it is made of, how it starts, how it dies.

Stands for ``KafkaServer``.  The logs belong to the host: a killed process loses what is in
memory (roles, sessions, purgatories, groups), never what it has written (page cache).
Left out here: dynamic configs.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from simpy.events import Event

from kafkasim.broker import flushing, recovery, registration, stopping
from kafkasim.broker.admin import TopicAdmin
from kafkasim.broker.apis import Apis
from kafkasim.broker.cleaner import LogCleaner
from kafkasim.broker.cleaning import RecordKeys
from kafkasim.broker.controlled_shutdown import ControlledShutdown
from kafkasim.broker.duties import Duties
from kafkasim.broker.events import FetcherEvents, ReplicaEvents, ReplicatedOffsets
from kafkasim.broker.fetcher import ReplicaFetcher, fetcher_number
from kafkasim.broker.fetcher_settings import fetcher_settings
from kafkasim.broker.group_coordinator import GroupCoordinator
from kafkasim.broker.group_rebalance import GroupSettings
from kafkasim.broker.isr_locks import IsrLocks
from kafkasim.broker.isr_manager import IsrManager
from kafkasim.broker.isr_writer import IsrWriter
from kafkasim.broker.log_dir_failure import LogDirFailureHandler
from kafkasim.broker.log_manager import LogManager
from kafkasim.broker.metadata_cache import MetadataCache
from kafkasim.broker.monitor import BrokerMonitor
from kafkasim.broker.partition import Partition
from kafkasim.broker.producer_ids import ControllerBlocks, ProducerIds, ZooKeeperBlocks
from kafkasim.broker.registration import StartFailed
from kafkasim.broker.release import BrokerRelease
from kafkasim.broker.replica_costs import replica_costs
from kafkasim.broker.replica_manager import ReplicaManager
from kafkasim.broker.replica_selector import RackAwareSelector
from kafkasim.broker.role_changes import RoleChanges
from kafkasim.broker.sessions import FetchSessionCache
from kafkasim.broker.socket_server import SocketServer
from kafkasim.broker.throttles import ReplicationThrottles, client_throttle, impose
from kafkasim.connection import Connection, Directory
from kafkasim.controller.controller import Controller
from kafkasim.controller.costs import ControllerCosts
from kafkasim.controller.event_queue import EventQueue
from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.environment import Environment
from kafkasim.kernel.streams import Stream, Streams
from kafkasim.messages import PartitionState
from kafkasim.metrics.timeline import Timeline
from kafkasim.network import Network
from kafkasim.protocol import Request, TopicPartition
from kafkasim.scenario.model import QuotaSpec
from kafkasim.topics import Topics
from kafkasim.zookeeper.client import ZooKeeperClient
from kafkasim.zookeeper.ensemble import Ensemble
from kafkasim.zookeeper.operations import Create, GetData, WatchEvent

OFFSETS_TOPIC = "__consumer_offsets"
_NO_WINDOW = 1 << 30
"""Before 1.1 every thread has its own request on the way to ZooKeeper, and there is no limit to them."""
_TOP_LEVEL_PATHS = 14
"""Paths that a start creates and finds existing, one after the other: each costs a failed write."""


class Broker:
    """One broker: a machine's logs, and the process that serves them while it is up."""

    def __init__(
        self,
        env: Environment,
        network: Network,
        streams: Streams,
        directory: Directory,
        ensemble: Ensemble,
        broker_id: int,
        host: Host,
        costs: Any,
        start_up_s: float,
        config: dict[str, Any],
        version: Any,
        topics: Topics,
        monitor: BrokerMonitor,
        timeline: Timeline,
        pipelined: bool = True,
        offsets_s: list[float] | None = None,
        quotas: Sequence[QuotaSpec] = (),
        watches_storage: bool = False,
        record_keys: RecordKeys | None = None,
    ) -> None:
        self.pipelined = pipelined
        self.env = env
        self.id = broker_id
        self.actor = f"broker {broker_id}"
        self.host = host
        self.costs = costs
        self.config = config
        self.version = version
        self.release = BrokerRelease(version)
        self.topics = topics
        self.up = False
        self.registered = False
        self.epoch = -1
        self.starts = 0
        self.fault_cause = 0
        self.freeze_cause = 0
        self.stopping = False
        self.start_up_s = start_up_s
        self.zookeeper_expires = 0
        self.zookeeper_disconnects = 0
        self.earlier_unclean_elections = 0
        """By the controllers of its earlier processes."""
        self.event_queues: list[EventQueue] = []
        """Of the controllers of all its processes: for their times."""
        self._earlier_unclean_elections = 0
        self.clean = False
        """Whether the last process closed its logs: nothing has to be recovered."""
        self._farewell: ControlledShutdown | None = None
        self._network = network
        self._streams = streams
        self._directory = directory
        self._ensemble = ensemble
        self._monitor = monitor
        self.timeline = timeline
        self._fetchers: dict[tuple[int, int], ReplicaFetcher] = {}
        self._watches_storage = watches_storage
        self._fetcher_settings = fetcher_settings(self.config, costs, self.release, watches_storage)
        self.lives = 0
        self.wall_ahead_s = 0.0
        self.life = Life(env.scheduler)
        self.clock = Clock(streams.stream(f"clock/{self.actor}").uniform() * 1000.0)
        self.metadata = MetadataCache(topics, self.release)
        self.topic_admin = TopicAdmin(self)
        self._events = ReplicaEvents(broker_id, self.metadata, timeline, Apis(self))
        self.replicas = self._make_replicas()
        self.logs = LogManager(
            broker_id, self.replicas.partitions, host.disks, config, self.release.checks_log_start_first, topics,
            offsets_s, self.life, self.clock, streams, monitor, timeline,
        )  # fmt: skip
        self.throttle = client_throttle(
            env.scheduler, quotas, config, version, self.clock,
            float(costs.network_read_s + costs.network_write_s), self.replicas.handle,
        )  # fmt: skip
        self.cleaner = None if record_keys is None else LogCleaner(env, self.logs, config, record_keys)
        self.failures = LogDirFailureHandler(self)
        self.server = self._make_server()
        self.server.buffer_bytes = max(0, int(config["socket.receive.buffer.bytes"]))
        self.replicas.serve(self.server)
        if self.throttle is not None:
            impose(self.throttle, self.replicas, self.server)
        self.replication_throttles = ReplicationThrottles(
            broker_id, config, version, self.clock, self.replicas, self.fetchers
        )
        self.replication_throttles.from_topics(topics, topics.names())
        self.isr_manager = self._make_isr_manager()
        self._events.isr_manager = self.isr_manager
        self.isr_writer = self._events.isr_writer = self._make_isr_writer()
        check = self.failures.check if watches_storage else None
        self.duties = Duties(self.life, self.replicas, self.isr_manager, config, directory, self.isr_writer, check)
        required_acks = int(config["offsets.commit.required.acks"])
        self._store = ReplicatedOffsets(broker_id, self.replicas, self._events, self.metadata, required_acks)
        self._fetcher_events = FetcherEvents(broker_id, self.replicas, monitor, timeline, self.halt)
        self.on_exit: Callable[[int], None] | None = None
        """Told when the process has ended by itself, with the row that says why."""
        self._new_process()

    # ---- what a process is made of

    def _make_replicas(self) -> ReplicaManager:
        replicas = ReplicaManager(
            self.env.scheduler,
            self.id,
            replica_costs(self.costs),
            self._events,
            self._monitor,
            self.config["replica.lag.time.max.ms"] / 1000.0,
            hints=self.release.hints,
            filters_dead_replicas=self.release.filters_dead_replicas,
            joins_need_live_broker=self.release.joins_need_live_broker,
            syncs_rolls=self.release.syncs_rolls,
            session_cache=FetchSessionCache(
                int(self.config["max.incremental.fetch.session.cache.slots"]) if self.release.session_slots else 0,
                self.release.session_shards,
            ),
            life=self.life,
            locks=IsrLocks(self.release.consumers_read_locked) if self.release.isr_through_zookeeper else None,
            completes_inside=self.release.completes_inside,
            watermark_wakes_followers=self.release.watermark_wakes_followers,
            watches_storage=self._watches_storage,
        )
        shared = replicas.shared
        shared.clock = self.clock
        shared.followers_serve = self.release.followers_serve
        shared.prefers_at_once = self.release.prefers_at_once
        shared.fetch_max_bytes = int(self.config.get("fetch.max.bytes") or shared.fetch_max_bytes)
        if self.config.get("replica.selector.class"):
            shared.selector = RackAwareSelector(self._directory, self.release.prefers_isr_only)
        return replicas

    def _make_server(self) -> SocketServer:
        threads = int(self.config["num.io.threads"])
        if not self.host.shared:
            threads = min(threads, self.host.cores)
        return SocketServer(
            self.env.scheduler,
            self.host,
            int(self.config["num.network.threads"]),
            threads,
            float(self.costs.wake_up_s),
            float(self.costs.network_read_s),
            float(self.costs.network_write_s),
            self.replicas.service,
            self.replicas.handle if self.throttle is None else self.throttle.handle,
            self.replicas.close_session,
            self.life,
        )

    def _make_isr_manager(self) -> IsrManager:
        timeout_ms = int(self.config["controller.socket.timeout.ms"])
        connect_ms = int(self.config.get("socket.connection.setup.timeout.ms", timeout_ms))
        return IsrManager(
            self.life,
            self._network,
            self._directory,
            self.host,
            self.id,
            lambda: self.metadata.controller_id,
            lambda: self.epoch,
            self._isr_committed,
            batch_delay_s=self.release.isr_batch_delay_s,
            timeout_s=timeout_ms / 1000.0,
            connect_timeout_s=min(timeout_ms, connect_ms) / 1000.0,
        )

    def _make_isr_writer(self) -> IsrWriter | None:
        """Before 2.7 a leader writes its ISR itself."""
        locks = self.replicas.locks
        if locks is None:
            return None
        return IsrWriter(
            self.env, self.id, lambda: self.zookeeper, self.replicas, locks, self._directory, self.timeline, self.clock,
            self._isr_committed, self._events.merges,
        )  # fmt: skip

    def _new_process(self) -> None:
        """Everything that lives in a process's memory and is made anew at each start."""
        self.lives += 1
        self.zookeeper = ZooKeeperClient(
            self.env,
            self._network,
            self._streams,
            self._ensemble,
            self.host,
            f"{self.actor}" if self.lives == 1 else f"{self.actor}/{self.lives}",
            self.config["zookeeper.session.timeout.ms"] / 1000.0,
            max_in_flight=int(self.config.get("zookeeper.max.in.flight.requests", _NO_WINDOW)),
            on_watch=self._on_watch,
            on_state=self._on_state,
            life=self.life,
        )
        offsets = self.topics.partitions(OFFSETS_TOPIC) if self.topics.has(OFFSETS_TOPIC) else []
        self.coordinator = GroupCoordinator(
            self.life,
            self._streams,
            self._store,
            offsets,
            GroupSettings({"group.initial.rebalance.delay.ms": 0, **self.config}),  # 0.11 and later know that
            self.version,
            self.clock,
        )
        if self.event_queues:
            self._earlier_unclean_elections += self.controller.unclean_leader_elections
        self.controller: Controller = Controller(
            self.env, self._network, self._streams, self.id, self.host, self.zookeeper, self._directory, self.topics,
            self.config, self.version, self.timeline, ControllerCosts(), self.life, self.pipelined,
        )  # fmt: skip
        self.event_queues.append(self.controller.queue)
        self.roles = RoleChanges(
            self.life, self.id, self.host, self.replicas, self.metadata, self.coordinator, self._monitor,
            self.timeline, self._new_partition, self._fetcher, self.close_idle_fetchers, lambda: self.epoch,
            lambda: self.stopping, self.release, self._fetcher_events.truncated,
        )  # fmt: skip

        self.producer_ids = self._make_producer_ids()

    def _make_producer_ids(self) -> ProducerIds:
        if not self.release.blocks_from_controller:
            return ZooKeeperBlocks(self.env, self.zookeeper)
        return ControllerBlocks(
            self.life, self._network, self._directory, self.host, self.id,
            lambda: self.metadata.controller_id, lambda: self.epoch,
        )  # fmt: skip

    # ---- the settled start

    def settle(self, session_server: int | None, epoch: int, mine: list[PartitionState]) -> None:
        """At t = 0 the broker is up: registered, its replicas in their roles, its port open."""
        self.up = True
        self.registered = True
        self.epoch = epoch
        self.zookeeper.attach_settled(session_server)
        for state in mine:
            self.replicas.partitions[state.tp.index] = self._new_partition(state)

    def settle_roles(
        self, states: dict[int, PartitionState], mine: list[PartitionState], live: frozenset[int], controller_id: int
    ) -> None:
        """Roles and metadata of the settled start, once every broker's server exists."""
        self.metadata.settle(states, live, controller_id)
        self.replicas.know_live(live)
        for state in mine:
            if state.leader == self.id:
                self.roles.lead(state, 0, settled=True)
        for state in mine:
            if state.leader != self.id:
                self.roles.follow(state, 0, settled=True)
        for state in mine:
            if state.tp.topic == OFFSETS_TOPIC and state.leader == self.id:
                self.coordinator.settle(state.tp, state.leader_epoch)
        self.server.serve()
        self.duties.begin(self._streams.stream(f"{self.actor}/duties/{self.lives}"), settled=True)
        draws = self._streams.stream(f"{self.actor}/log-duties")
        self.logs.begin(draws, settled=True)
        if self.cleaner is not None:
            self.cleaner.begin(draws.uniform() * self.config["log.cleaner.backoff.ms"] / 1000.0)

    # ---- life and death

    def crash(self, cause: int) -> None:
        """SIGKILL: peers are reset, memory is gone, the ZooKeeper session is not closed."""
        self.lives += 1
        self.life.end()
        if self._farewell is not None:
            self._farewell.stop()
        self._stop_serving(cause)
        self._forget_memory(cause)
        self.zookeeper.fault_cause = cause
        self.zookeeper.crash()

    def halt(self, cause: int) -> None:
        """``Exit.halt``: the process ends itself at once, as if it were killed; its supervisor sees it."""
        self.crash(cause)
        if self.on_exit is not None:
            self.on_exit(cause)

    def freeze(self, until: float, cause: int) -> None:
        """SIGSTOP until then: no thread of the process runs, its sockets stay open."""
        self.freeze_cause = cause
        self.server.stop(until)
        self.life.stop(until)
        self.zookeeper.fault_cause = cause

    def thaw(self, cause: int) -> None:
        """SIGCONT: what came up meanwhile happens now; ``cause`` is the freeze's row."""
        if self.zookeeper.fault_cause == cause:
            self.zookeeper.fault_cause = 0

    def lose_power(self, cause: int) -> None:
        """The machine is gone: nobody is told, and what was not flushed is lost."""
        now = self.env.now
        self.crash(cause)
        for partition in self.replicas.partitions.values():
            removed = flushing.lose_unflushed(partition.log, now)
            if removed:
                end = partition.log.log_end_offset
                partition.high_watermark = min(partition.high_watermark, end)
                self._fetcher_events.lost_unflushed(partition, removed, cause, now)

    def shut_down(self, cause: int) -> Generator[Event, Any, bool]:
        """SIGTERM (a SimPy process's body): see :mod:`kafkasim.broker.stopping`; False if it was killed meanwhile."""
        self.stopping = True
        return stopping.shut_down(self, cause)

    def farewell(self, cause: int) -> ControlledShutdown:
        """The request to the controller to take this broker's leaderships."""
        self._farewell = ControlledShutdown(
            self.env, self._network, self._directory, self.host, self.id, self.epoch,
            lambda: self.metadata.controller_id, self.config, cause,
        )  # fmt: skip
        return self._farewell

    def close_sockets(self, cause: int) -> None:
        """A stop closes every connection and ends fetchers and handlers; high watermarks are checkpointed first."""
        self.duties.checkpoint()
        self._stop_serving(cause)

    def end_process(self, cause: int) -> None:
        """A stop is complete: the process is gone."""
        self.lives += 1
        self.life.end()
        self._forget_memory(cause)

    def _stop_serving(self, cause: int) -> None:
        """Sockets close, fetchers and handlers stop; the controller and the ZooKeeper session are still there."""
        self.server.shut_down(cause)
        self.replicas.crash()
        for fetcher in self._fetchers.values():
            fetcher.shut_down()
        self._fetchers.clear()
        self._events.pending.clear()
        if self.throttle is not None:
            self.throttle.crash()
        self.replication_throttles.crash()
        self.isr_manager.crash()
        if self.isr_writer is not None:
            self.isr_writer.crash()
        self.roles.crash()
        self.coordinator.close()

    def _forget_memory(self, cause: int) -> None:
        self.up = False
        self.registered = False
        self.stopping = False
        self.fault_cause = cause
        self.earlier_unclean_elections += self.controller.unclean_leader_elections
        self.controller.crash()
        self.isr_manager.crash()  # what was still proposed while a stop closed the sockets dies with the process
        self.producer_ids.close()
        self.metadata.clear()
        self.replicas.know_live(None)
        self.logs.crash()
        for partition in self.replicas.partitions.values():
            self._forget_role(partition)

    def _forget_role(self, partition: Partition) -> None:
        partition.role = 0
        partition.leader_id = -1
        partition.leader_epoch = -1
        partition.in_sync_replicas = ()
        partition.pending_isr = ()
        partition.followers = []
        known = max(partition.checkpointed_high_watermark, partition.log.log_start_offset)
        partition.high_watermark = min(known, partition.log.log_end_offset)

    def start(self, cause: int) -> Generator[Event, Any, None]:
        """Start the process (a SimPy process's body); raises :class:`StartFailed` when it exits."""
        env = self.env
        self.starts += 1
        self._new_process()
        life = self.lives
        yield env.at(env.now + self.start_up_s)
        if not (yield from registration.connect(self, cause)):
            return
        for _ in range(_TOP_LEVEL_PATHS):
            yield self.zookeeper.submit([Create("/brokers", None)])
        yield from recovery.recover_logs(self)
        if life == self.lives:
            self.logs.begin(self._streams.stream(f"{self.actor}/log-duties/{life}"), settled=False)
            if self.cleaner is not None:
                self.cleaner.begin(0.0)
        if life == self.lives and not self.release.opens_port_last:
            self.server.bind()
        outcome = (
            yield self.zookeeper.submit([Create(f"/brokers/ids/{self.id}", {"rack": self.host.rack}, True)], cause)
        )[0]
        if life != self.lives:
            return
        if outcome.error is not None:
            row = self.timeline.add(
                env.now, self.actor, "start_failed", f"NODEEXISTS /brokers/ids/{self.id}", cause or None
            )
            self.server.shut_down(row)
            yield self.zookeeper.close()
            self.fault_cause = row
            raise StartFailed
        self.epoch = int(outcome.czxid)
        self.registered = True
        self.fault_cause = self.timeline.add(
            env.now, self.actor, "registered", f"broker epoch {self.epoch}", cause or None
        )
        self.controller.start()
        self.up = True
        yield from self.producer_ids.first_block()
        # Requests are served last: after the controller, the coordinators and the handlers.
        yield self.zookeeper.submit([GetData("/controller")])
        if life != self.lives:
            return
        self.server.serve()
        self.duties.begin(self._streams.stream(f"{self.actor}/duties/{self.lives}"))

    # ---- wiring

    def respond(self, request: Request) -> None:
        """Answer now."""
        self.respond_at(request, self.env.now)

    def respond_at(self, request: Request, at: float) -> None:
        """Answer at ``at``."""
        if self.throttle is not None:
            self.throttle.other(request, at)
        self.server.respond(request, at)

    def draws(self, name: str) -> Stream:
        """A named stream of random numbers."""
        return self._streams.stream(name)

    def unclean_elections(self) -> int:
        """Unclean elections by the controllers of all its processes."""
        return self._earlier_unclean_elections + self.controller.unclean_leader_elections

    def fetchers(self) -> list[ReplicaFetcher]:
        """The fetcher threads that run now."""
        return list(self._fetchers.values())

    def _new_partition(self, state: PartitionState) -> Partition:
        tp: TopicPartition = state.tp
        partition = Partition(
            tp,
            self.id,
            self.logs.new_log(tp),
            self.topics.min_insync(tp.topic),
            gated=self.release.gates_high_watermark,
        )
        partition.internal = self.topics.is_internal(tp.topic)
        largest = self.topics.config(tp.topic).get("max.message.bytes", self.config["message.max.bytes"])
        partition.max_message_bytes = int(largest)
        unclean = self.config["unclean.leader.election.enable"]
        partition.unclean_allowed = bool(self.topics.config(tp.topic).get("unclean.leader.election.enable", unclean))
        partition.keeps_epochs = self.release.keeps_epochs
        partition.keeps_idle_followers = self.release.keeps_idle_followers
        partition.joins_at_epoch_start = self.release.joins_at_epoch_start
        return partition

    def _fetcher(self, source_id: int, tp: TopicPartition) -> ReplicaFetcher:
        """The thread that copies ``tp``: ``num.replica.fetchers`` a source share its partitions by their hash."""
        number = 0
        threads = int(self.config["num.replica.fetchers"])
        if threads > 1:
            number = fetcher_number(tp.topic, tp.partition, threads)
        fetcher = self._fetchers.get((source_id, number))
        if fetcher is None:
            fetcher = self._fetchers[source_id, number] = ReplicaFetcher(
                self.env.scheduler, self._network, self._directory, self.host, self.id, source_id,
                self._fetcher_settings, self._fetcher_events, self.life, number,
            )  # fmt: skip
            self.replication_throttles.hand_to(fetcher)
        return fetcher

    def close_idle_fetchers(self) -> None:
        """Threads that copy nothing any more end."""
        for idle in [key for key, fetcher in self._fetchers.items() if not fetcher.followed]:
            self._fetchers.pop(idle).shut_down()

    def _isr_committed(self, partition: Partition) -> None:
        now = self.env.now
        if self.release.advances_after_isr_change:
            self.replicas.advance(partition, now)
        self._monitor.role_changed(self.id, partition, now)

    def _on_watch(self, event: WatchEvent) -> None:
        if self.up:
            self.controller.on_watch(event)

    def _on_state(self, state: str, cause: int) -> None:
        self.zookeeper_expires += state == "expired"
        self.zookeeper_disconnects += state == "disconnected"
        if state == "expired" and self.up:
            self.env.process(registration.renew(self, cause))

    def connection(self, name: str, owner: Any, host: Host) -> Connection:
        """A new connection of ``owner`` on ``host`` to this broker."""
        return Connection(self._network, name, owner, host, self.server, self.host, self.id)
