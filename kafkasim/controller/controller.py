"""The controller: one instance in every broker's process, one of them active.

Stands for ``KafkaController``.  All that it does is an event in one queue, processed by one thread (one SimPy process)
that blocks on ZooKeeper: a mass election delays an AlterPartition behind it.  Every write is fenced by the version of
``/controller_epoch`` (2.1 and later); who finds itself succeeded resigns.

Approximation: before 0.11 a lock takes the place of the queue; events are taken in the order in which they came up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import simpy

from kafkasim.connection import Directory
from kafkasim.controller import (
    candidacy,
    controlled_shutdown,
    failover,
    preferred,
    producer_ids,
    reassignment,
    watching,
)
from kafkasim.controller import event_queue as events
from kafkasim.controller.active_events import ActiveEvents
from kafkasim.controller.channels import ChannelManager
from kafkasim.controller.context import ControllerContext
from kafkasim.controller.costs import ControllerCosts
from kafkasim.controller.event_queue import ControllerEvent, EventQueue
from kafkasim.controller.services import Services
from kafkasim.controller.state_machines import StateMachines
from kafkasim.controller.store import (
    CONTROLLER,
    ControllerMoved,
    ControllerStore,
    ProcessDied,
    SessionExpired,
    Steps,
    ZooKeeper,
)
from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.kernel import Environment, Streams
from kafkasim.messages import (
    AlterReassignmentsBody,
    ControlledShutdownBody,
    ElectLeadersBody,
    PartitionState,
)
from kafkasim.metrics.timeline import Timeline
from kafkasim.network import Network
from kafkasim.protocol import NOT_CONTROLLER, Request
from kafkasim.scenario.versions import Version
from kafkasim.topics import Topics
from kafkasim.zookeeper.operations import Exists, WatchEvent

FENCED_SINCE: Final = (2, 1)
"""From then on a controller's writes are checked against the epoch that it was elected in."""
FIRST_BALANCE_S: Final = 5.0
"""After a failover the first balance check comes this much later."""

Respond = Callable[[Request], None]


class Controller:
    """The controller of one broker's process; a process that starts again gets a new one.

    ``active`` says whether this broker is the controller; ``known_controller`` whom it takes for it (-1: none).
    """

    def __init__(
        self,
        env: Environment,
        network: Network,
        streams: Streams,
        broker_id: int,
        host: Host,
        zk: ZooKeeper,
        directory: Directory,
        topics: Topics,
        config: Mapping[str, Any],
        version: Version,
        timeline: Timeline,
        costs: ControllerCosts,
        life: Life | None = None,
        pipelined: bool = True,
    ) -> None:
        self.life = Life(env.scheduler) if life is None else life
        self.broker_id = broker_id
        self.active: bool = False
        self.known_controller: int = -1
        self.expired_events: int = 0
        self.context = ControllerContext()
        self.queue = EventQueue(env)
        self.store = ControllerStore(zk, self.context, pipelined, version >= FENCED_SINCE)
        self.channels = ChannelManager(network, streams, broker_id, host, directory, config, self._response, self.life)
        self._env = env
        self._topics = topics
        self._config = config
        self._services = Services(
            env,
            self.life,
            host,
            broker_id,
            self.context,
            self.store,
            self.channels,
            topics,
            config,
            version,
            timeline,
            costs,
        )
        self._machines = StateMachines(self._services)
        self._phases = streams.stream(f"controller/{broker_id}/balance-phase")
        self._term: int = 0
        self._running: bool = False
        orders = self._orders = ActiveEvents(self._services, self._machines, lambda: self.active)
        self._reassignments = orders.reassignments
        self._deletion = orders.deletion
        self._handlers: dict[str, Callable[[ControllerEvent], Steps]] = {
            events.STARTUP: self._startup,
            events.REELECT: self._reelect,
            events.REGISTER_AND_REELECT: self._register_and_reelect,
            events.CONTROLLER_CHANGE: self._controller_change,
            events.EXPIRE: self._expire,
            events.BROKER_CHANGE: orders.broker_change,
            events.BROKER_MODIFICATIONS: orders.broker_modifications,
            events.ALTER_PARTITION: orders.alter_partition,
            events.ELECT_LEADERS: orders.elect_leaders,
            events.ELECT_BY_ZOOKEEPER: orders.elect_by_zookeeper,
            events.ALLOCATE_PRODUCER_IDS: self._allocate_producer_ids,
            events.AUTO_BALANCE: self._auto_balance,
            events.CONTROLLED_SHUTDOWN: orders.controlled_shutdown,
            events.TOPIC_CHANGE: orders.topic_change,
            events.PARTITION_MODIFICATIONS: orders.partition_modifications,
            events.TOPIC_DELETION: orders.topic_deletion,
            events.STOP_REPLICA_RESPONSE: orders.replicas_deleted,
            events.REASSIGNMENT: orders.reassign,
            events.ISR_CHANGE_NOTIFICATION: orders.isr_changes,
            events.REASSIGNMENT_ISR_CHANGE: orders.reassigned_isr_changed,
            events.LOG_DIR_EVENT: orders.log_dir_event,
            events.LEADER_AND_ISR_RESPONSE: orders.leader_and_isr_response,
            events.UPDATE_METADATA_RESPONSE: self._ignored,
        }

    # what a collector reads

    @property
    def epoch(self) -> int:
        """The controller epoch of this active controller (0: not active)."""
        return self.context.epoch

    @property
    def offline_partitions_count(self) -> int:
        """OfflinePartitionsCount: reported by the active controller only."""
        return len(self.context.offline) if self.active else 0

    @property
    def active_controller_count(self) -> int:
        """ActiveControllerCount of this broker; the sum over brokers is 1."""
        return 1 if self.active else 0

    @property
    def event_queue_size(self) -> int:
        """EventQueueSize."""
        return len(self.queue)

    @property
    def preferred_replica_imbalance_count(self) -> int:
        """PreferredReplicaImbalanceCount."""
        return self.context.preferred_imbalance() if self.active else 0

    @property
    def unclean_leader_elections(self) -> int:
        """Unclean elections so far (UncleanLeaderElectionsPerSec is their rate)."""
        return self._machines.unclean_elections

    # life

    def start_settled(
        self,
        active: bool,
        epoch: int,
        states: dict[int, PartitionState],
        live: dict[int, int],
        epoch_version: int = 0,
        controller_id: int = -1,
    ) -> None:
        """t = 0 of a cluster that has been running: nothing is read, written or sent.

        ``states`` are all partitions by number, ``live`` the brokers with their epochs (czxid of their znodes);
        ``epoch_version`` is the version of ``/controller_epoch`` (0: created, never set since).  The cluster sets
        the watches that :meth:`settled_watches` lists.
        """
        self.known_controller = self.broker_id if active else controller_id
        if active:
            context = self.context
            self.active = True
            context.epoch = epoch
            context.epoch_version = epoch_version
            context.live.update(live)
            for index in sorted(states):
                state = states[index]
                context.assign(state.tp, state.replicas)
                context.put_state(state)
            context.initialise_phases()
            for broker in context.brokers():
                self.channels.add(broker).connect()
            if self._balances():
                self._schedule_balance(self._env.now + self._phases.uniform(0.0, self._balance_interval_s()))
        self._run_thread()

    def settled_watches(self) -> list[tuple[str, str]]:
        """The watches of a settled controller: (path, ``data`` or ``children``)."""
        return watching.settled(self.active, self.context, self._topics)

    def start(self) -> None:
        """The process has registered its broker: look for a controller, or become it."""
        self._run_thread()
        self.queue.put(ControllerEvent(events.STARTUP))

    def shut_down(self) -> None:
        """The process is about to close its ZooKeeper session: nothing more is done or sent."""
        self.crash()

    def crash(self) -> None:
        """SIGKILL: queue, memory and connections vanish; the instance is of no more use."""
        self.store.dead = True
        self._term += 1
        self.active = False
        self.known_controller = -1
        self.queue.drop()
        self.channels.close()
        self.context.reset()

    # what happens to it

    def on_watch(self, event: WatchEvent) -> None:
        """A watch of this broker's ZooKeeper client has fired."""
        if self.store.dead:
            return
        queued = watching.event_of(event, self.active)
        if queued is not None:
            self.queue.put(queued)

    def on_session_expired(self, cause: int = 0) -> simpy.Event:
        """The ZooKeeper client has learnt that its session is gone; called before it opens another.

        Everything queued is dropped, resignation is put in its place; the event tells when the thread has come to it
        (the new session waits for that).
        """
        started = self._env.event()
        if self.store.dead:
            return started
        self.queue.clear()
        event = ControllerEvent(events.EXPIRE, cause=cause)
        event.started = started
        self.queue.put(event)
        return started

    def on_new_session(self, register: Callable[[], Steps] | None = None, cause: int = 0) -> None:
        """The client has a new session: register the broker again (``register``, on this thread), then re-elect."""
        if not self.store.dead:
            self.queue.put(ControllerEvent(events.REGISTER_AND_REELECT, register, cause))

    def handle_alter_partition(self, request: Request, respond: Respond) -> None:
        """A leader's broker proposes ISRs (:class:`AlterPartitionBody`); ``respond(request)`` when it is decided."""
        self.queue.put(ControllerEvent(events.ALTER_PARTITION, (request, respond), request.cause))

    def handle_allocate_producer_ids(self, request: Request, respond: Respond) -> None:
        """A broker asks for a block of producer ids; ``respond(request)`` when it has one."""
        self.queue.put(ControllerEvent(events.ALLOCATE_PRODUCER_IDS, (request, respond), request.cause))

    def handle_elect_leaders(self, request: Request, respond: Respond) -> None:
        """An administrator wants preferred leaders; the reply maps a partition's number to its error."""
        body: ElectLeadersBody = request.body
        self.queue.put(
            ControllerEvent(events.ELECT_LEADERS, (request, respond), body.cause or request.cause, preferred.turn_away)
        )

    def handle_controlled_shutdown(self, request: Request, respond: Respond) -> None:
        """A broker wants to stop; the reply lists what it still leads."""
        body: ControlledShutdownBody = request.body
        self.queue.put(
            ControllerEvent(
                events.CONTROLLED_SHUTDOWN,
                (request, respond),
                body.cause or request.cause,
                controlled_shutdown.turn_away,
            )
        )

    def handle_reassignments(self, request: Request, respond: Respond) -> None:
        """An administrator wants replicas elsewhere; the reply maps a partition's number to its error."""
        body: AlterReassignmentsBody = request.body
        turn_away = reassignment.turn_away
        self.queue.put(ControllerEvent(events.REASSIGNMENT, (request, respond), body.cause or request.cause, turn_away))

    # the event thread

    def _run_thread(self) -> None:
        if self._running:
            raise RuntimeError(f"the controller of broker {self.broker_id} has been started already")
        self._running = True
        self._env.process(self._run())

    def _run(self) -> Steps:
        queue = self.queue
        try:
            while True:
                arrival = queue.arrival()
                if arrival is not None:
                    yield arrival
                    yield from self._services.awake()
                event = queue.take()
                since = self._env.now
                if event.started is not None:
                    event.started.succeed()
                self.store.cause = event.cause
                yield from self._services.compute(self._services.costs.event_s)
                yield from self._process(event)
                queue.processed(event, since)
        except ProcessDied:
            return

    def _process(self, event: ControllerEvent) -> Steps:
        try:
            yield from self._handlers[event.kind](event)
        except ControllerMoved:
            try:
                yield from self._maybe_resign()
            except SessionExpired:
                self.expired_events += 1
        except SessionExpired:
            self.expired_events += 1

    def _startup(self, event: ControllerEvent) -> Steps:
        yield from self.store.read_one(Exists(CONTROLLER, True))
        yield from self._elect(event.cause)

    def _reelect(self, event: ControllerEvent) -> Steps:
        yield from self._maybe_resign()
        yield from self._elect(event.cause)

    def _register_and_reelect(self, event: ControllerEvent) -> Steps:
        register: Callable[[], Steps] | None = event.argument
        if register is not None:
            yield from register()
            if self.store.dead:
                raise ProcessDied
        yield from self._reelect(event)

    def _controller_change(self, event: ControllerEvent) -> Steps:
        yield from self._maybe_resign()

    def _expire(self, event: ControllerEvent) -> Steps:
        self._resign()
        self.known_controller = -1
        yield from ()

    def _maybe_resign(self) -> Steps:
        yield from self.store.read_one(Exists(CONTROLLER, True))
        self.known_controller = yield from self.store.controller()
        if self.active and self.known_controller != self.broker_id:
            self._resign()

    def _resign(self) -> None:
        self.active = False
        self._term += 1
        self.channels.close()
        self.context.reset()

    def _elect(self, cause: int) -> Steps:
        store = self.store
        self.known_controller = yield from store.controller()
        if self.known_controller != -1:
            return
        begun = self._env.now
        try:
            epoch, version = yield from candidacy.stand(store, self.broker_id)
        except ControllerMoved:
            yield from self._maybe_resign()
            return
        context = self.context
        context.epoch = epoch
        context.epoch_version = version
        self.active = True
        self.known_controller = self.broker_id
        self._term += 1
        row = self._services.note("controller_elected", f"controller epoch {epoch}", cause)
        reads, states, writes = store.reads, store.state_reads, store.state_writes
        yield from failover.run(self._services, self._machines, self._reassignments, self._deletion, row)
        took_ms = (self._env.now - begun) * 1000.0
        self._services.complete(
            row,
            f"ready after {took_ms:.1f} ms: {store.reads - reads} reads ({store.state_reads - states} of states), "
            f"{store.state_writes - writes} state writes",
        )
        self.queue.put(ControllerEvent(events.ELECT_BY_ZOOKEEPER, cause=row))
        if self._balances():
            self._schedule_balance(self._env.now + FIRST_BALANCE_S)

    # the active controller's events

    def _allocate_producer_ids(self, event: ControllerEvent) -> Steps:
        request, respond = event.argument
        try:
            if self.active:
                yield from producer_ids.process(self._services, request)
            else:
                producer_ids.answer(request, NOT_CONTROLLER)
        finally:
            if not self.store.dead:
                respond(request)

    def _auto_balance(self, event: ControllerEvent) -> Steps:
        if not self.active or event.argument != self._term:
            return
        try:
            yield from preferred.balance(self._services, self._machines, event.cause)
        finally:
            if self.active and not self.store.dead:
                self._schedule_balance(self._env.now + self._balance_interval_s())

    def _ignored(self, event: ControllerEvent) -> Steps:
        """Answers of brokers: an error of the whole request is logged, never retried."""
        yield from ()

    def _response(self, broker_id: int, request: Request) -> None:
        queued = self._orders.response(broker_id, request)
        if queued is not None:
            self.queue.put(queued)

    # the balance task

    def _balances(self) -> bool:
        return bool(self._config.get("auto.leader.rebalance.enable", True))

    def _balance_interval_s(self) -> float:
        return float(self._config.get("leader.imbalance.check.interval.seconds", 300))

    def _schedule_balance(self, at_s: float) -> None:
        """The scheduler's next run: a delay from the end of the last one, as Kafka plans it."""
        self.life.plan(at_s, self._balance_due, self._term)

    def _balance_due(self, term: int) -> None:
        if self.active and term == self._term:
            self.queue.put(ControllerEvent(events.AUTO_BALANCE, term))
