"""An in-memory cluster for tests of consumers: real coordinator, logs as lists, no replication.

A handler takes ``service_s``; a fetch waits for data until its time-out.  ``commit_error`` and
``commit_delay_s`` are what an append to ``__consumer_offsets`` meets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafkasim.broker.group_coordinator import GroupCoordinator
from kafkasim.broker.group_rebalance import GroupSettings
from kafkasim.broker.offsets_store import OffsetsRecord, OffsetsStore
from kafkasim.clients.consumer import ConsumerCosts, ConsumerMember
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.connection import Connection, Directory, Server
from kafkasim.hosts import Disk, Host
from kafkasim.kernel import Clock, Scheduler, Streams
from kafkasim.messages import MetadataReply
from kafkasim.network import Network
from kafkasim.protocol import (
    API_VERSIONS,
    FETCH,
    FIND_COORDINATOR,
    HEARTBEAT,
    JOIN_GROUP,
    LEAVE_GROUP,
    LIST_OFFSETS,
    METADATA,
    NONE,
    NOT_LEADER_OR_FOLLOWER,
    OFFSET_COMMIT,
    OFFSET_FETCH,
    OFFSET_FOR_LEADER_EPOCH,
    OFFSET_OUT_OF_RANGE,
    REQUEST_TIMED_OUT,
    SYNC_GROUP,
    FetchPartition,
    FetchRequestData,
    RecordBatch,
    Request,
    TopicPartition,
)


def _copied(data: FetchRequestData) -> FetchRequestData:
    """What a session's object carried at that moment (``copy.copy`` cannot make compiled objects)."""
    copied = FetchRequestData(data.replica_id, data.session, data.max_wait_s, data.min_bytes, data.max_bytes)
    copied.name(data.changed, data.forgotten)
    return copied


class Recorder(ClientMonitor):
    """Remembers what clients say."""

    def __init__(self) -> None:
        self.deliveries: list[tuple[int, str, int, int, float]] = []
        self.assignments: list[tuple[int, list[str], int, float]] = []
        self.positions: list[tuple[int, str, int, bool, float]] = []
        self.notes: list[tuple[int, str, str, float]] = []

    def delivered(self, client: int, tp: TopicPartition, batch: RecordBatch, low: int, high: int, now: float) -> None:
        self.deliveries.append((client, tp.name, batch.base_offset + low, batch.base_offset + high, now))

    def assigned(self, client: int, partitions: list[TopicPartition], generation: int, now: float, cause: int) -> None:
        self.assignments.append((client, [tp.name for tp in partitions], generation, now))

    def positioned(self, client: int, tp: TopicPartition, offset: int, reset: bool, now: float) -> None:
        self.positions.append((client, tp.name, offset, reset, now))

    def note(self, client: int, event: str, detail: str, cause: int, now: float) -> int:
        self.notes.append((client, event, detail, now))
        return len(self.notes)

    def offsets(self, name: str) -> list[int]:
        """Every offset of a partition as often as it was delivered, in order of delivery."""
        return [offset for _, tp, low, high, _ in self.deliveries if tp == name for offset in range(low, high)]

    def times(self, event: str) -> list[float]:
        return [time for _, name, _, time in self.notes if name == event]


class MemoryStore(OffsetsStore):
    """``__consumer_offsets`` of one broker: commits after a delay, or answers with an error."""

    def __init__(self, cluster: Cluster, broker: int) -> None:
        self.cluster = cluster
        self.broker = broker
        self.error = NONE
        self.delay_s = 0.001
        self.stuck = False

    def append(
        self, tp: TopicPartition, records: list[OffsetsRecord], size_bytes: int, timeout_s: float,
        done: Callable[[int], None], cause: int,
    ) -> None:  # fmt: skip
        scheduler = self.cluster.scheduler
        if not self.is_leader(tp):
            done(NOT_LEADER_OR_FOLLOWER)
        elif self.error != NONE:
            done(self.error)
        else:
            self.cluster.offsets_log(tp).append(list(records))
            if self.stuck:
                scheduler.call_at(scheduler.now + timeout_s, done, REQUEST_TIMED_OUT)
            else:
                scheduler.call_at(scheduler.now + self.delay_s, done, NONE)

    def leader_of(self, tp: TopicPartition) -> int:
        return self.cluster.leaders[tp.index][0]

    def is_leader(self, tp: TopicPartition) -> bool:
        return self.cluster.leaders[tp.index][0] == self.broker

    def read_all(self, tp: TopicPartition) -> list[list[OffsetsRecord]]:
        return self.cluster.offsets_log(tp)

    def log_bytes(self, tp: TopicPartition) -> int:
        return 100 * len(self.cluster.offsets_log(tp))


class Broker(Server):
    """One broker."""

    def __init__(self, cluster: Cluster, broker: int) -> None:
        self.cluster = cluster
        self.id = broker
        self.host = make_host(f"broker {broker}", cluster.streams)
        self.up = True
        self.connections: list[Connection] = []
        self.requests: list[tuple[float, int, Request]] = []
        self.sizes: list[int] = []
        self.fetches: list[tuple[float, FetchRequestData]] = []
        self.parked: list[Request] = []
        self.store = MemoryStore(cluster, broker)
        self.coordinator = cluster.make_coordinator(self.store)

    def listens(self) -> bool:
        return self.up

    def accept(self, connection: Connection) -> None:
        self.connections.append(connection)

    def forget(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)

    def receive(self, request: Request) -> None:
        connection = request.connection
        assert connection is not None
        connection.backlog.append(request)
        self._next(connection)

    def crash(self) -> None:
        self.up = False
        self.coordinator.close()
        self.parked.clear()
        for connection in self.connections:
            connection.reset(0)
        self.connections.clear()

    def _next(self, connection: Connection) -> None:
        if connection.backlog and not connection.in_processing:
            connection.in_processing = True
            scheduler = self.cluster.scheduler
            scheduler.call_at(scheduler.now + self.cluster.service_s, self._handle, connection.backlog.popleft())

    def respond(self, request: Request) -> None:
        connection = request.connection
        assert connection is not None
        connection.in_processing = False
        if not self.up:
            return
        connection.respond(request, self.cluster.scheduler.now)
        self._next(connection)

    def _handle(self, request: Request) -> None:
        if not self.up:
            return
        self.requests.append((self.cluster.scheduler.now, request.api, request))
        self.sizes.append(request.size_bytes)
        coordinator = self.coordinator
        grouped: dict[int, Callable[[Request, Callable[[Request], None]], None]] = {
            FIND_COORDINATOR: coordinator.find_coordinator,
            JOIN_GROUP: coordinator.join_group,
            SYNC_GROUP: coordinator.sync_group,
            HEARTBEAT: coordinator.heartbeat,
            LEAVE_GROUP: coordinator.leave_group,
            OFFSET_COMMIT: coordinator.offset_commit,
            OFFSET_FETCH: coordinator.offset_fetch,
        }
        handler = grouped.get(request.api)
        if handler is not None:
            handler(request, self.respond)
            return
        if request.api == FETCH:
            self.fetches.append((self.cluster.scheduler.now, _copied(request.fetch)))
            self._fetch(request)
            return
        request.response_bytes = 100
        if request.api == METADATA:
            request.reply = self.cluster.metadata(request.body.topics)
        elif request.api == LIST_OFFSETS:
            for item in request.body:
                log = self.cluster.logs[item.tp.index]
                item.error = self.cluster.check(self.id, item.tp, item.current_leader_epoch)
                item.offset = 0 if item.timestamp == -2 else end_of(log)
        elif request.api == OFFSET_FOR_LEADER_EPOCH:
            for item in request.body:
                item.error = self.cluster.check(self.id, item.tp, item.current_leader_epoch)
                item.end_epoch, item.end_offset = self.cluster.epoch_end(item.tp, item.leader_epoch)
        else:
            assert request.api == API_VERSIONS
        self.respond(request)

    def _fetch(self, request: Request) -> None:
        if self._read(request):
            self._answer(request)
            return
        self.parked.append(request)
        scheduler = self.cluster.scheduler
        scheduler.call_at(scheduler.now + request.fetch.max_wait_s, self._expire, request)

    def _expire(self, request: Request) -> None:
        if request in self.parked:
            self.parked.remove(request)
            self._answer(request)

    def _answer(self, request: Request) -> None:
        request.response_bytes = 21 + sum(55 + part.bytes for part in request.fetch.answered)
        self.respond(request)

    def _read(self, request: Request) -> bool:
        """Fill in the answer; True if there is something to say."""
        request.fetch.answered = []
        budget = request.fetch.max_bytes
        for part in request.fetch.session.values():
            part.bytes = 0
            part.batches = []
            part.error = self.cluster.check(self.id, part.tp, part.current_leader_epoch)
            part.leader_hint = part.leader_epoch_hint = -1
            if part.error != NONE:
                if part.error in self.cluster.hinted:
                    part.leader_hint, part.leader_epoch_hint = self.cluster.leaders[part.tp.index]
                request.fetch.answered.append(part)
            else:
                budget -= self._read_partition(part, budget, request)
        return bool(request.fetch.answered)

    def _read_partition(self, part: FetchPartition, budget: int, request: Request) -> int:
        log = self.cluster.logs[part.tp.index]
        if part.fetch_offset > end_of(log):
            part.error = OFFSET_OUT_OF_RANGE
            request.fetch.answered.append(part)
            return 0
        start = len(log)
        while start > 0 and log[start - 1].base_offset + log[start - 1].count > part.fetch_offset:
            start -= 1
        for batch in log[start:]:
            if part.bytes + batch.size_bytes > min(part.max_bytes, budget) and part.bytes > 0:
                break
            part.batches.append(batch)
            part.bytes += batch.size_bytes
        if part.batches:
            part.high_watermark = end_of(log)
            request.fetch.answered.append(part)
        return part.bytes

    def woken(self) -> None:
        """A log has grown or a leader has changed: look at what is parked."""
        for request in list(self.parked):
            if self._read(request):
                self.parked.remove(request)
                self._answer(request)


class Cluster(Directory):
    """Brokers 1 … n, each partition with a leader and an epoch."""

    def __init__(
        self, brokers: int = 1, topics: dict[str, int] | None = None, version: tuple[int, ...] = (3, 9, 1),
        group_config: dict[str, int] | None = None, seed: int = 1,
    ) -> None:  # fmt: skip
        self.scheduler = Scheduler()
        self.streams = Streams(seed)
        self.network = Network(self.scheduler, self.streams)
        self.version = version
        self.service_s = 100e-6
        self.hinted: set[int] = set()
        self.recorder = Recorder()
        self.topics: dict[str, list[TopicPartition]] = {}
        self.logs: list[list[RecordBatch]] = []
        self.leaders: list[tuple[int, int]] = []
        self.group_config = group_config or {}
        self._offsets: dict[int, list[list[OffsetsRecord]]] = {}
        self._ids = list(range(1, brokers + 1))
        for topic, count in {**(topics or {"t": 1}), "__consumer_offsets": 5}.items():
            self.topics[topic] = []
            for partition in range(count):
                self.topics[topic].append(TopicPartition(topic, partition, len(self.logs)))
                self.logs.append([])
                self.leaders.append((1 + partition % brokers, 0))
        self.brokers = {broker: Broker(self, broker) for broker in self._ids}
        for tp in self.topics["__consumer_offsets"]:
            self.brokers[self.leaders[tp.index][0]].coordinator.elected(tp, 0)
        self.run(0.01)

    def make_coordinator(self, store: MemoryStore) -> GroupCoordinator:
        return GroupCoordinator(
            self.scheduler, self.streams, store, self.topics["__consumer_offsets"], GroupSettings(self.group_config),
            self.version, Clock(0.0),
        )  # fmt: skip

    def server(self, node_id: int) -> Server:
        return self.brokers[node_id]

    def host(self, node_id: int) -> Host:
        return self.brokers[node_id].host

    def offsets_log(self, tp: TopicPartition) -> list[list[OffsetsRecord]]:
        return self._offsets.setdefault(tp.index, [])

    def metadata(self, topics: tuple[str, ...] | None) -> MetadataReply:
        wanted = self.topics if topics is None else {t: self.topics[t] for t in topics if t in self.topics}
        live = tuple(broker.id for broker in self.brokers.values() if broker.up)
        leaders = {tp.index: self.leaders[tp.index] for partitions in wanted.values() for tp in partitions}
        return MetadataReply(live, 1, dict(wanted), leaders)

    def check(self, broker: int, tp: TopicPartition, epoch: int) -> int:
        leader, current = self.leaders[tp.index]
        if 0 <= epoch < current:
            return 74
        if epoch > current:
            return 75
        return NONE if leader == broker else NOT_LEADER_OR_FOLLOWER

    def epoch_end(self, tp: TopicPartition, epoch: int) -> tuple[int, int]:
        found = (-1, -1)
        for batch in self.logs[tp.index]:
            if batch.leader_epoch <= epoch:
                found = (batch.leader_epoch, batch.base_offset + batch.count)
        if epoch >= self.leaders[tp.index][1]:
            return epoch, end_of(self.logs[tp.index])
        return found

    def append(self, tp: TopicPartition, count: int, size_bytes: int = 0) -> None:
        log = self.logs[tp.index]
        now = self.scheduler.now
        batch = RecordBatch(0, end_of(log), count, size_bytes or 61 + 110 * count, now, now, 1, 0, 0)
        batch.base_offset = end_of(log)
        batch.leader_epoch = self.leaders[tp.index][1]
        log.append(batch)
        self.brokers[self.leaders[tp.index][0]].woken()

    def move(self, tp: TopicPartition, leader: int) -> None:
        self.leaders[tp.index] = (leader, self.leaders[tp.index][1] + 1)
        for broker in self.brokers.values():
            broker.woken()

    def at(self, time: float, function: Callable[..., Any], *arguments: Any) -> None:
        self.scheduler.call_at(time, lambda _: function(*arguments), None)

    def run(self, until: float) -> None:
        self.scheduler.run_until(until)

    def consumer(
        self, client: int = 1, group: str | None = "g", config: dict[str, Any] | None = None,
        assigned: list[TopicPartition] | None = None, processing_s: float = 0.0, poll_timeout_s: float = 0.1,
        costs: ConsumerCosts | None = None, start: bool = True, bootstrap: list[int] | None = None,
    ) -> ConsumerMember:  # fmt: skip
        topics = {name: tps for name, tps in self.topics.items() if not name.startswith("__")}
        member = ConsumerMember(
            self.scheduler, self.network, self.streams, f"consumer/{group}/{client}", client,
            make_host(f"client {client}", self.streams), costs or ConsumerCosts(100e-6, 0.2e-6, 20e-6), self,
            bootstrap or self._ids, group, topics, assigned or [], {"auto.offset.reset": "earliest", **(config or {})},
            self.version, processing_s, poll_timeout_s, self.recorder,
        )  # fmt: skip
        if start:
            member.start()
        return member


def end_of(log: list[RecordBatch]) -> int:
    return log[-1].base_offset + log[-1].count if log else 0


def make_host(name: str, streams: Streams) -> Host:
    return Host(name, None, 8, 1.25e9, Disk(1e9, 1e9, 0.001, 0.002, streams.stream(f"{name}/disk")))
