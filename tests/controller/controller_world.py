"""A small world for the controller: a ZooKeeper of fixed latency, brokers that record what they are sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import simpy

from kafkasim.connection import Connection, Directory, Server
from kafkasim.controller.controller import Controller
from kafkasim.controller.costs import ControllerCosts
from kafkasim.hosts.disk import Disk
from kafkasim.hosts.host import Host
from kafkasim.kernel import Environment, Streams
from kafkasim.messages import AlterPartitionBody, AlterPartitionItem, ElectLeadersBody, PartitionState
from kafkasim.metrics.timeline import Timeline
from kafkasim.network import Network
from kafkasim.protocol import ALTER_PARTITION, ELECT_LEADERS, Request, TopicPartition
from kafkasim.scenario.versions import LATEST, Version
from kafkasim.topics import Topics
from kafkasim.zookeeper.operations import (
    BADVERSION,
    CHANGED,
    CHILDREN,
    CREATED,
    DELETED,
    NODEEXISTS,
    NONODE,
    SESSIONEXPIRED,
    Check,
    Create,
    Delete,
    Exists,
    GetChildren,
    GetData,
    Multi,
    Operation,
    Outcome,
    SetData,
    WatchEvent,
    parent_of,
)

READ_S = 0.001
WRITE_S = 0.002
WINDOW = 10


class FakeEnsemble:
    """One tree; every request takes a fixed time, in windows of ten."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.nodes: dict[str, tuple[Any, int, int, int]] = {}
        self.watches: dict[tuple[str, str], dict[FakeClient, None]] = {}
        self.zxid = 100
        self.log: list[tuple[float, int, Operation, str | None]] = []
        self.meddle: Callable[[Operation], None] | None = None

    def put(self, path: str, data: Any, owner: int = 0) -> None:
        version = self.nodes[path][1] + 1 if path in self.nodes else 0
        czxid = self.nodes[path][2] if path in self.nodes else self.zxid
        self.nodes[path] = (data, version, czxid, owner)

    def children(self, path: str) -> list[str]:
        return [p[len(path) + 1 :] for p in self.nodes if p.startswith(path + "/") and "/" not in p[len(path) + 1 :]]

    def apply(self, client: FakeClient, operation: Operation) -> Outcome:
        outcome = self._apply(client, operation)
        self.log.append((self.env.now, client.broker, operation, outcome.error))
        return outcome

    def _apply(self, client: FakeClient, operation: Operation) -> Outcome:
        if isinstance(operation, Multi):
            before = {part.path: self.nodes.get(part.path) for part in operation.operations}
            events: list[tuple[str, str]] = []
            outcomes = []
            for part in operation.operations:
                outcomes.append(self._write(client, part, events))
                if outcomes[-1].error is not None:
                    for path, node in before.items():
                        if node is None:
                            self.nodes.pop(path, None)
                        else:
                            self.nodes[path] = node
                    return Outcome(
                        error=outcomes[-1].error, outcomes=[*outcomes, Outcome(error="RUNTIMEINCONSISTENCY")]
                    )
            self._fire(events)
            return Outcome(outcomes=outcomes)
        if operation.writes:
            events = []
            outcome = self._write(client, operation, events)
            self._fire(events)
            return outcome
        path = operation.path
        if isinstance(operation, GetChildren):
            if operation.watch:
                self.watches.setdefault((path, CHILDREN), {})[client] = None
            return Outcome(children=sorted(self.children(path)))
        assert isinstance(operation, (GetData, Exists))
        if operation.watch and (path in self.nodes or isinstance(operation, Exists)):
            self.watches.setdefault((path, "data"), {})[client] = None
        if path not in self.nodes:
            return Outcome(error=NONODE)
        data, version, czxid, owner = self.nodes[path]
        return Outcome(data=data, version=version, czxid=czxid, owner=owner)

    def _write(self, client: FakeClient, operation: Operation, events: list[tuple[str, str]]) -> Outcome:
        path = operation.path
        if isinstance(operation, Create):
            if path in self.nodes:
                return Outcome(error=NODEEXISTS)
            self.zxid += 1
            self.nodes[path] = (operation.data, 0, self.zxid, client.broker if operation.ephemeral else 0)
            events += [(path, CREATED), (parent_of(path), CHILDREN)]
            return Outcome(version=0, czxid=self.zxid, path=path)
        if path not in self.nodes:
            return Outcome(error=NONODE)
        _, version, czxid, owner = self.nodes[path]
        if isinstance(operation, (SetData, Check, Delete)) and operation.version not in (-1, version):
            return Outcome(error=BADVERSION)
        if isinstance(operation, SetData):
            self.nodes[path] = (operation.data, version + 1, czxid, owner)
            events.append((path, CHANGED))
            return Outcome(version=version + 1, czxid=czxid)
        if isinstance(operation, Delete):
            self.delete_now(path, events)
        return Outcome(version=version)

    def delete_now(self, path: str, events: list[tuple[str, str]]) -> None:
        del self.nodes[path]
        events += [(path, DELETED), (parent_of(path), CHILDREN)]

    def expire(self, broker: int, cause: int = 0) -> None:
        """The broker's session ends: its ephemerals vanish in one transaction."""
        events: list[tuple[str, str]] = []
        for path in [path for path, node in self.nodes.items() if node[3] == broker]:
            self.delete_now(path, events)
        self._fire(events, cause)

    def _fire(self, events: list[tuple[str, str]], cause: int = 0) -> None:
        for path, kind in events:
            clients = self.watches.pop((path, CHILDREN if kind == CHILDREN else "data"), {})
            for client in clients:
                self.env.call_at(self.env.now + 0.0001, client.deliver, WatchEvent(path, kind, cause))


class FakeClient:
    """A broker's session."""

    def __init__(self, ensemble: FakeEnsemble, broker: int) -> None:
        self.ensemble = ensemble
        self.broker = broker
        self.on_watch: Callable[[WatchEvent], None] | None = None
        self.expired = False
        self.dead = False

    def submit(self, operations: Sequence[Operation], cause: int = 0) -> simpy.Event:
        done = self.ensemble.env.event()
        self.ensemble.env.process(self._serve(list(operations), done))
        return done

    def deliver(self, event: WatchEvent) -> None:
        if not self.dead and self.on_watch is not None:
            self.on_watch(event)

    def _serve(self, operations: list[Operation], done: simpy.Event) -> Any:
        env = self.ensemble.env
        outcomes: list[Outcome] = []
        for at in range(0, len(operations), WINDOW):
            window = operations[at : at + WINDOW]
            yield env.timeout(max(WRITE_S if operation.writes else READ_S for operation in window))
            for operation in window:
                if self.dead:
                    return
                if self.expired:
                    outcomes.append(Outcome(error=SESSIONEXPIRED))
                    continue
                if self.ensemble.meddle is not None:
                    self.ensemble.meddle(operation)
                outcomes.append(self.ensemble.apply(self, operation))
        done.succeed(outcomes)


class FakeBroker(Server):
    """Records what the controller sends, and answers at once."""

    def __init__(self, env: Environment, node_id: int) -> None:
        self.env = env
        self.node_id = node_id
        self.up = True
        self.silent = False
        self.received: list[tuple[float, Request]] = []
        self.sizes: list[int] = []
        self.connections: list[Connection] = []

    def listens(self) -> bool:
        return self.up

    def accept(self, connection: Connection) -> None:
        self.connections.append(connection)

    def receive(self, request: Request) -> None:
        self.received.append((self.env.now, request))
        self.sizes.append(request.size_bytes)
        if not self.silent:
            request.response_bytes = 20
            assert request.connection is not None
            request.connection.respond(request, self.env.now)

    def forget(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)

    def kill(self) -> None:
        self.up = False
        for connection in self.connections:
            connection.reset(0)
        self.connections = []

    def bodies(self, api: int, since: float = 0.0) -> list[Any]:
        return [request.body for at, request in self.received if request.api == api and at >= since]


class World(Directory):
    """A cluster of brokers with controllers; topics as {name: [replicas of each partition]}."""

    def __init__(
        self,
        assignments: dict[str, list[tuple[int, ...]]],
        brokers: Sequence[int] = (1, 2, 3),
        config: dict[str, Any] | None = None,
        version: Version = LATEST,
        costs: ControllerCosts | None = None,
        active: int = 2,
    ) -> None:
        self.env = Environment()
        self.streams = Streams(7)
        self.network = Network(self.env.scheduler, self.streams)
        self.timeline = Timeline()
        self.config = {"auto.leader.rebalance.enable": False, **(config or {})}
        if version >= (2, 7):
            self.config.setdefault("socket.connection.setup.timeout.ms", 10000)
        self.version = version
        self.costs = costs or ControllerCosts()
        self.zk = FakeEnsemble(self.env)
        self.topics = Topics()
        self.states: dict[int, PartitionState] = {}
        self.zk.put("/controller_epoch", 1)
        self.zk.put("/controller", active, owner=active)
        for name in sorted(assignments):
            replicas = assignments[name]
            self.zk.put(f"/brokers/topics/{name}", dict(enumerate(replicas)))
            for tp, assigned in zip(self.topics.add(name, len(replicas)), replicas, strict=True):
                self.zk.put(self.path(tp), (assigned[0], 0, assigned, 1))
                self.states[tp.index] = PartitionState(tp, assigned[0], 0, assigned, 0, assigned, 1)
        disk = Disk(1e9, 1e9, 1e-4, 1e-4, self.streams.stream("disk"))
        self.hosts = {broker: Host(f"broker-{broker}", None, 8, 1.25e9, disk) for broker in brokers}
        self.brokers = {broker: FakeBroker(self.env, broker) for broker in brokers}
        self.clients: dict[int, FakeClient] = {}
        self.controllers: dict[int, Controller] = {}
        self.epochs: dict[int, int] = {}
        for broker in brokers:
            self.epochs[broker] = self.register(broker)
        for broker in brokers:
            controller = self.process(broker)
            controller.start_settled(broker == active, 1, self.states, self.epochs, controller_id=active)
            for path, kind in controller.settled_watches():
                key = (path, CHILDREN if kind == "children" else "data")
                self.zk.watches.setdefault(key, {})[self.clients[broker]] = None

    def server(self, node_id: int) -> Server:
        return self.brokers[node_id]

    def host(self, node_id: int) -> Host:
        return self.hosts[node_id]

    def path(self, tp: TopicPartition) -> str:
        return f"/brokers/topics/{tp.topic}/partitions/{tp.partition}/state"

    def state(self, topic: str, partition: int) -> tuple[Any, int]:
        data, version, _, _ = self.zk.nodes[self.path(self.topics.partition(topic, partition))]
        return data, version

    def register(self, broker: int) -> int:
        self.zk.zxid += 1
        self.zk.put(f"/brokers/ids/{broker}", {"rack": None}, owner=broker)
        self.zk._fire([("/brokers/ids", CHILDREN)])
        return self.zk.zxid

    def process(self, broker: int) -> Controller:
        """A (new) process of a broker."""
        client = self.clients[broker] = FakeClient(self.zk, broker)
        controller = Controller(
            self.env, self.network, self.streams, broker, self.hosts[broker], client, self, self.topics, self.config,
            self.version, self.timeline, self.costs,
        )  # fmt: skip
        client.on_watch = controller.on_watch
        self.controllers[broker] = controller
        return controller

    def kill(self, broker: int) -> None:
        self.brokers[broker].kill()
        self.clients[broker].dead = True
        self.controllers[broker].crash()

    def reads_and_writes(self, since: float = 0.0) -> tuple[int, int]:
        """State reads, and state writes that changed something."""
        reads = sum(
            1 for at, _, op, _ in self.zk.log if at >= since and isinstance(op, GetData) and op.path.endswith("/state")
        )
        writes = sum(
            1
            for at, _, op, error in self.zk.log
            if at >= since
            and error is None
            and isinstance(op, Multi)
            and any(isinstance(part, SetData) and part.path.endswith("/state") for part in op.operations)
        )
        return reads, writes

    def alter(
        self, broker: int, *items: AlterPartitionItem, controller: int = 2, epoch: int | None = None
    ) -> list[Request]:
        body = AlterPartitionBody(broker, self.epochs[broker] if epoch is None else epoch, list(items))
        request = Request(ALTER_PARTITION, 100, body)
        answers: list[Request] = []
        self.controllers[controller].handle_alter_partition(request, answers.append)
        return answers

    def elect(self, partitions: list[TopicPartition], controller: int = 2) -> list[Request]:
        request = Request(ELECT_LEADERS, 100, ElectLeadersBody(partitions))
        answers: list[Request] = []
        self.controllers[controller].handle_elect_leaders(request, answers.append)
        return answers
