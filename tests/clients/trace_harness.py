"""Replays a recorded trace of Kafka's own producer against the simulated one.

A fake broker stands in for the cluster: no network delay, FIFO by connection, answers after
scripted delays (see tests/reference/producer/producer-traces.md for the rules).
"""

from __future__ import annotations

import gzip
import json
from collections import deque
from pathlib import Path
from typing import Any

from kafkasim.clients.arrivals import CLOSE, FLUSH, ListedRecord
from kafkasim.clients.load import Load
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.partitioner import RandomNumbers, partition_for_key
from kafkasim.clients.produce_request import ProducerCosts
from kafkasim.clients.producer import ProducerInstance
from kafkasim.connection import Connection, Directory, Server
from kafkasim.hosts.disk import Disk
from kafkasim.hosts.host import Host
from kafkasim.kernel.scheduler import URGENT, Scheduler
from kafkasim.kernel.streams import Streams
from kafkasim.links import Link
from kafkasim.messages import MetadataReply
from kafkasim.network import Channel, Network
from kafkasim.protocol import (
    API_VERSIONS,
    ERROR_NAMES,
    INIT_PRODUCER_ID,
    INVALID_PRODUCER_EPOCH,
    METADATA,
    NONE,
    NOT_LEADER_OR_FOLLOWER,
    OUT_OF_ORDER_SEQUENCE_NUMBER,
    PRODUCE,
    ProducePartition,
    RecordBatch,
    Request,
    TopicPartition,
)

REFERENCE = Path(__file__).parent.parent / "reference" / "producer"
NAMES = {
    **ERROR_NAMES,
    21: "INVALID_REQUIRED_ACKS", 29: "TOPIC_AUTHORIZATION_FAILED", 31: "CLUSTER_AUTHORIZATION_FAILED",
    87: "INVALID_RECORD",
}  # fmt: skip
"""Kafka's numbers of errors that the simulated brokers never give, too."""
ERRORS = {name: number for number, name in NAMES.items()}
ORIGIN_MS = 50000
"""Where a trace's t = 0 lies on the scheduler's axis, which begins at 0."""


def moment(ms: int) -> float:
    """A trace's millisecond as simulated time (s)."""
    return (ms + ORIGIN_MS) / 1000.0


def load_traces() -> list[dict[str, Any]]:
    with gzip.open(REFERENCE / "producer-traces.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


class TraceChannel(Channel):
    """No delay but that of a handshake."""

    connect_s = 0.0

    def signal_at(self, now: float) -> float:
        return round((now + self.connect_s) * 1000.0) / 1000.0 if self.connect_s else now


class TraceNetwork(Network):
    def __init__(self, scheduler: Scheduler, streams: Streams) -> None:
        super().__init__(scheduler, streams, (0.0, 0.0), (0.0, 0.0), 0.0)
        self.connect_s = 0.0

    def channel(self, source: Host, target: Host, name: str, deliver: Any, window_bytes: int = 0) -> Channel:
        channel = TraceChannel(self.scheduler, source, target, 0.0, 0.0, self.streams.stream(name), deliver, Link())
        channel.connect_s = self.connect_s if name.endswith("/up") else 0.0
        return channel


class Replay(RandomNumbers):
    """The recorded draws of the sticky partitioner."""

    def __init__(self, draws: list[int]) -> None:
        self.draws = deque(draws)

    def next(self) -> int:
        return self.draws.popleft()


class FakeNode(Server):
    """One broker of a trace."""

    def __init__(self, world: FakeCluster, node: int) -> None:
        self.world = world
        self.node = node
        self.connections: list[Connection] = []
        self.queues: dict[Connection, deque[Request]] = {}
        self.started = 0
        self.down_until_ms = -(1 << 40)

    def listens(self) -> bool:
        return self.world.now_ms() >= self.down_until_ms

    def accept(self, connection: Connection) -> None:
        self.connections.append(connection)
        self.queues[connection] = deque()

    def forget(self, connection: Connection) -> None:
        self.queues.pop(connection, None)
        if connection in self.connections:
            self.connections.remove(connection)

    def receive(self, request: Request) -> None:
        connection = request.connection
        assert connection is not None
        queue = self.queues.get(connection)
        if queue is None:
            return
        if request.api == PRODUCE:
            self.world.record(self.node, request)
        queue.append(request)
        if len(queue) == 1:
            self.begin(connection)

    def begin(self, connection: Connection) -> None:
        request = self.queues[connection][0]
        delay_ms = self.world.process(self, request)
        if delay_ms is None:
            return
        self.world.scheduler.call_at(moment(self.world.now_ms() + delay_ms), self.end, (connection, request))

    def end(self, what: tuple[Connection, Request]) -> None:
        connection, request = what
        queue = self.queues.get(connection)
        if queue is None or not queue or queue[0] is not request:
            return
        down_for_ms = self.world.cuts.get(request)
        if down_for_ms is not None:
            self.disconnect(down_for_ms)
            return
        queue.popleft()
        if request.expects_response:
            connection.respond(request, self.world.scheduler.now)
        if queue:
            self.begin(connection)

    def disconnect(self, down_for_ms: int) -> None:
        self.down_until_ms = max(self.down_until_ms, self.world.now_ms() + down_for_ms)
        connections = self.connections
        self.connections = []
        self.queues = {}
        for connection in connections:
            connection.reset(0)


class FakeCluster(Directory):
    """The scripted cluster of a trace; also what the client tells."""

    def __init__(self, trace: dict[str, Any]) -> None:
        self.rules: dict[str, Any] = trace["server"]
        self.script: list[dict[str, Any]] = self.rules.get("script") or []
        warm = trace["start"] == "warm"
        self.scheduler = Scheduler()
        self.streams = Streams(1)
        self.network = TraceNetwork(self.scheduler, self.streams)
        disk = Disk(1e9, 1e9, 1e-4, 1e-4, self.streams.stream("disk"))
        self.server_host = Host("servers", None, 8, 1e30, disk)
        self.client_host = Host("client", None, 8, 1e30, disk)
        topology = trace["topology"]
        self.topic = topology["topic"]
        self.partitions = [TopicPartition(self.topic, p, p) for p in range(len(topology["leaders"]))]
        self.nodes = {node: FakeNode(self, node) for node in topology["nodes"]}
        self.leaders = list(topology["leaders"])
        self.epochs = [5] * len(self.leaders)
        self.shown = [(leader, 5) for leader in self.leaders]
        self.states: dict[tuple[int, int], tuple[int, deque[tuple[int, int]]]] = {}
        self.log: list[list[list[int]]] = [[] for _ in self.partitions]
        self.requests: list[Any] = []
        self.completions: list[Any] = []
        self.init_errors: list[int] = []
        self.cuts: dict[Request, int] = {}
        self.warming = warm
        for rule in self.script:
            if rule["kind"] == "init_error":
                self.init_errors += [ERRORS[rule["error"]]] * rule["count"]

    def now_ms(self) -> int:
        return round(self.scheduler.now * 1000.0) - ORIGIN_MS

    # Directory
    def host(self, node_id: int) -> Host:
        return self.server_host

    def server(self, node_id: int) -> Server:
        return self.nodes[node_id]

    def process(self, node: FakeNode, request: Request) -> int | None:
        """Decide what happens to a request whose processing starts; returns its delay (None: no end)."""
        delay_ms = self.decide(node, request)
        now_ms = self.now_ms()
        for rule in self.script:
            if rule["kind"] == "hang" and rule["node"] == node.node and rule["from"] <= now_ms < rule["to"]:
                return None if delay_ms is None else rule["to"] - now_ms + delay_ms
        return delay_ms

    def decide(self, node: FakeNode, request: Request) -> int | None:
        control_ms = 0 if self.warming else self.rules.get("ctl_ms", 0)
        if request.api == API_VERSIONS:
            return control_ms
        if request.api == METADATA:
            brokers = tuple(sorted(self.nodes))
            topics = {t: self.partitions for t in request.body.topics if t == self.topic}
            leaders = {tp.index: self.shown[tp.index] for tp in self.partitions} if topics else {}
            request.reply = MetadataReply(brokers, brokers[0], topics, leaders)
            return control_ms
        if request.api == INIT_PRODUCER_ID:
            if self.init_errors:
                request.error = self.init_errors.pop(0)
            else:
                request.reply = (4000, 0)
            return control_ms
        assert request.api == PRODUCE
        return self.produce(node, request)

    def record(self, node: int, request: Any) -> None:
        rows = [
            [p.tp.partition, p.batch.count, p.batch.size_bytes, p.batch.base_sequence, p.batch.first,
             p.batch.producer_epoch]
            for p in request.produce.partitions
        ]  # fmt: skip
        self.requests.append([self.now_ms(), node, rows, request.size_bytes])

    def produce(self, node: FakeNode, request: Any) -> int | None:
        now_ms = self.now_ms()
        order = node.started
        node.started += 1
        delay_ms = self.delay(node.node, order)
        append_only = None
        result: int | None = delay_ms
        errors: dict[int, tuple[int, bool]] = {}
        for rule in self.script:
            kind = rule["kind"]
            if rule.get("node") not in (None, node.node):
                continue
            if kind == "req_error" and rule["req"] <= order < rule["req"] + rule.get("count", 1):
                for part in request.produce.partitions:
                    if rule.get("p") is None or rule["p"] == part.tp.partition:
                        errors.setdefault(part.tp.partition, (ERRORS[rule["error"]], rule.get("append", False)))
            elif kind == "window_error" and rule["from"] <= now_ms < rule["to"]:
                for part in request.produce.partitions:
                    if rule.get("p") is not None and rule["p"] != part.tp.partition:
                        continue
                    if part.batch.count >= (rule.get("min_records") or 0):
                        errors.setdefault(part.tp.partition, (ERRORS[rule["error"]], rule.get("append", False)))
            elif kind == "req_disconnect" and rule["req"] == order:
                append_only = rule.get("append", False)
                self.cuts[request] = rule.get("down_for") or 0
            elif kind == "req_drop" and rule["req"] == order:
                append_only = rule.get("append", False)
                result = None
            elif kind == "req_throttle" and rule["req"] == order:
                request.throttle_ms = rule["ms"]
        for part in request.produce.partitions:
            if append_only is False:
                continue
            self.append(node, part, errors.get(part.tp.partition), request.produce.acks)
        return result

    def append(self, node: FakeNode, part: ProducePartition, scripted: tuple[int, bool] | None, acks: int) -> None:
        number = part.tp.partition
        part.error = NONE
        if self.leaders[number] != node.node:
            part.error = NOT_LEADER_OR_FOLLOWER
            if self.rules.get("hint"):
                part.leader_hint = self.leaders[number]
                part.leader_epoch_hint = self.epochs[number]
            return
        if scripted is not None:
            if scripted[1]:
                self.write(part.tp.partition, part.batch)
            part.error = scripted[0]
            return
        part.error = self.write(number, part.batch)

    def write(self, number: int, batch: RecordBatch) -> int:
        if batch.base_sequence >= 0:
            key = (number, batch.producer_id)
            state = self.states.get(key)
            last = batch.base_sequence + batch.count - 1
            if state is not None:
                epoch, batches = state
                if batch.producer_epoch < epoch:
                    return INVALID_PRODUCER_EPOCH
                if batch.producer_epoch == epoch:
                    if (batch.base_sequence, last) in batches:
                        return NONE
                    if batch.base_sequence != batches[-1][1] + 1:
                        return OUT_OF_ORDER_SEQUENCE_NUMBER
                else:
                    if batch.base_sequence != 0:
                        return OUT_OF_ORDER_SEQUENCE_NUMBER
                    batches.clear()
                self.states[key] = (batch.producer_epoch, batches)
                batches.append((batch.base_sequence, last))
            else:
                self.states[key] = (batch.producer_epoch, deque([(batch.base_sequence, last)], maxlen=5))
        self.log[number].append([batch.first, batch.count])
        return NONE

    def delay(self, node: int, order: int) -> int:
        rule = self.rules["delay"].get(str(node)) or self.rules["delay"]["default"]
        if "fixed" in rule:
            return int(rule["fixed"])
        if "list" in rule:
            return int(rule["list"][order % len(rule["list"])])
        first, step, most = rule["grow"]
        return int(min(most, first + step * order))

    # scripted events
    def schedule_script(self) -> None:
        for rule in self.script:
            if rule["kind"] == "move":
                self.scheduler.push(moment(rule["t"]), URGENT, self.move, rule)
            elif rule["kind"] == "disconnect":
                self.scheduler.push(moment(rule["t"]), URGENT, self.cut, rule)

    def move(self, rule: dict[str, Any]) -> None:
        number = rule["p"]
        self.leaders[number] = rule["to"]
        self.epochs[number] += 1
        shown = (number, (rule["to"], self.epochs[number]))
        lag_ms = rule.get("meta_lag") or 0
        if lag_ms:
            self.scheduler.push(moment(rule["t"] + lag_ms), URGENT, self.show, shown)
        else:
            self.show(shown)

    def show(self, shown: tuple[int, tuple[int, int]]) -> None:
        self.shown[shown[0]] = shown[1]

    def cut(self, rule: dict[str, Any]) -> None:
        node = self.nodes[rule["node"]]
        down_until_ms = rule.get("down_until") or 0
        node.disconnect(max(down_until_ms - self.now_ms(), 0))


class Recorder(ClientMonitor):
    """Completions in call-back order."""

    def __init__(self, world: FakeCluster) -> None:
        self.world = world

    def acknowledged(self, client: int, tp: TopicPartition, batch: RecordBatch, now: float) -> None:
        self.world.completions.append([self.world.now_ms(), tp.partition, batch.first, batch.count, "ok"])

    def failed(self, client: int, tp: TopicPartition, batch: RecordBatch, error: int, now: float) -> None:
        if batch.size_bytes > 0:
            name = NAMES[error]
            self.world.completions.append([self.world.now_ms(), tp.partition, batch.first, batch.count, name])

    def note(self, client: int, event: str, detail: str, cause: int, now: float) -> int:
        return 0


class Replayed:
    """What the simulated producer did with a trace's inputs."""

    def __init__(self, trace: dict[str, Any]) -> None:
        self.world = world = FakeCluster(trace)
        scheduler = world.scheduler
        partitions = len(world.partitions)
        load = Load(1.0, 1)
        records = []
        for number, row in enumerate(trace["sends"]):
            time_ms, partition, key, value = row[:4]
            if partition is None and key >= 0:
                data = bytearray(key)
                if len(row) > 4:
                    data[: min(4, key)] = row[4].to_bytes(4, "big", signed=True)[: min(4, key)]
                partition = partition_for_key(bytes(data), partitions)
            time_s = moment(time_ms)
            if trace["interleave"] == "io_first":
                # The I/O thread until it would block, then one send.
                if records and trace["sends"][number - 1][0] == time_ms:
                    time_s = records[-1][1].time_s
                time_s += 1e-8
            record = ListedRecord(time_s, key, value, -1 if partition is None else partition)
            records.append((number, record))
        rows = [record for _, record in records]
        for time_ms, name in trace.get("ops") or []:
            rows.append(ListedRecord(moment(time_ms), -1, 0, 0, FLUSH if name == "flush" else CLOSE))
        rows.sort(key=lambda record: record.time_s)
        load.records = rows
        config = dict(trace["config"])
        config["client.id"] = "p"
        self.instance = instance = ProducerInstance(
            scheduler, world.network, world.streams, "p/0", 0, world.client_host, ProducerCosts(), world,
            [min(world.nodes)], world.partitions, config, (3, 9, 1), load, Recorder(world), lambda _: 0,
            jitter=0.0, random_order=False, clock_offset_ms=-float(ORIGIN_MS),
        )  # fmt: skip
        for number, record in records:
            record.number = number  # traces number all records of a producer
        if instance.partitioner is not None:
            draws = [row[2] for row in trace["out"].get("draws") or []]
            instance.partitioner.draws = Replay(draws)
        self.prepare(trace)
        world.schedule_script()
        scheduler.push(moment(0), URGENT, lambda _: instance.start(), None)
        scheduler.run_until(moment(trace["out"]["final"]["time"] + 5000))

    def prepare(self, trace: dict[str, Any]) -> None:
        """Bring the client to the state in which the trace starts."""
        world = self.world
        client = self.instance.network_client
        metadata = client.metadata
        scheduler = world.scheduler
        if trace["start"] == "bootstrap":
            world.network.connect_s = world.rules.get("connect_ms", 0) / 1000.0
            return
        metadata._topics.append(world.topic)
        leaders = {tp.index: world.shown[tp.index] for tp in world.partitions}
        reply = MetadataReply(tuple(sorted(world.nodes)), -1, {world.topic: world.partitions}, leaders)
        metadata.update(0, reply, False, world.now_ms() if trace["start"] == "warm" else 0)
        metadata.need_partial = False
        if trace["start"] == "warm":
            for node in world.nodes:
                client.ready(node, scheduler.now)
            for _ in range(4):
                scheduler.run_until(round(scheduler.now + 0.001, 3))
                client.handle(scheduler.now)
            assert all(client.is_ready(node, scheduler.now) for node in world.nodes)
            if self.instance.idempotence is not None:
                self.instance.idempotence.set_producer_id(4000, 0)
            world.warming = False
        world.network.connect_s = world.rules.get("connect_ms", 0) / 1000.0


def differences(trace: dict[str, Any]) -> list[str]:
    """Where the replay departs from the record: the first differing request and completion."""
    world = Replayed(trace).world
    found = []
    for name in ("requests", "completions"):
        mine, theirs = getattr(world, name), trace["out"][name]
        if mine == theirs:
            continue
        pairs = enumerate(zip(mine, theirs, strict=False))
        position = next((i for i, (a, b) in pairs if a != b), min(len(mine), len(theirs)))
        found.append(
            f"{trace['id']}: {name}[{position}] of {len(mine)}/{len(theirs)}: "
            f"{mine[position : position + 1]} instead of {theirs[position : position + 1]}"
        )
    return found
