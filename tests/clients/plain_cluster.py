"""Three fake brokers with a constant service time behind the real network, for tests of whole producers."""

from __future__ import annotations

from typing import Any

from kafkasim.clients.load import Load
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.produce_request import ProducerCosts
from kafkasim.clients.producer import ProducerInstance
from kafkasim.connection import Connection, Directory, Server
from kafkasim.hosts.disk import Disk
from kafkasim.hosts.host import Host
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.streams import Streams
from kafkasim.messages import MetadataReply
from kafkasim.network import Network
from kafkasim.protocol import INIT_PRODUCER_ID, METADATA, PRODUCE, RecordBatch, Request, TopicPartition


class PlainBroker(Server):
    """Serves a connection's requests one after the other, each for ``service_s``."""

    def __init__(self, cluster: PlainCluster, number: int) -> None:
        self.cluster = cluster
        self.number = number
        self.up = True
        self.connections: list[Connection] = []

    def listens(self) -> bool:
        return self.up

    def accept(self, connection: Connection) -> None:
        self.connections.append(connection)

    def forget(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)

    def receive(self, request: Request) -> None:
        cluster = self.cluster
        connection = request.connection
        assert connection is not None
        at = max(cluster.scheduler.now, connection.ready_at) + cluster.service_s
        connection.ready_at = at
        request.response_bytes = 60
        cluster.seen.append((cluster.scheduler.now, self.number, request))
        cluster.scheduler.call_at(at, self.answer, request)

    def answer(self, request: Any) -> None:
        cluster = self.cluster
        connection = request.connection
        if not self.up or connection not in self.connections:
            return
        if request.api == METADATA:
            topics = {topic: cluster.partitions for topic in request.body.topics if topic == "t"}
            leaders = {tp.index: (cluster.leaders[tp.index], cluster.epochs[tp.index]) for tp in cluster.partitions}
            alive = tuple(n for n in cluster.brokers if cluster.brokers[n].up)
            causes = {tp.index: 7 for tp in cluster.partitions}
            request.reply = MetadataReply(alive, 1, topics, leaders, causes)
        elif request.api == INIT_PRODUCER_ID:
            request.reply = (1000, 0)
        elif request.api == PRODUCE:
            for part in request.produce.partitions:
                part.error = cluster.append(self.number, part)
                if part.error == 6 and cluster.hints:
                    part.leader_hint = cluster.leaders[part.tp.index]
                    part.leader_epoch_hint = cluster.epochs[part.tp.index]
        if request.expects_response:
            connection.respond(request, cluster.scheduler.now)

    def crash(self) -> None:
        self.up = False
        for connection in self.connections:
            connection.reset(5)
        self.connections = []


class PlainCluster(Directory):
    """Brokers 1, 2, 3; partition p is led by broker 1 + p mod 3.  Keeps what clients tell."""

    def __init__(self, partitions: int = 6, service_s: float = 0.001, seed: int = 1) -> None:
        self.scheduler = Scheduler()
        self.streams = Streams(seed)
        self.network = Network(self.scheduler, self.streams)
        disk = Disk(1e9, 1e9, 1e-4, 1e-4, self.streams.stream("disk"))
        self.service_s = service_s
        self.hints = True
        self.brokers = {number: PlainBroker(self, number) for number in (1, 2, 3)}
        self.hosts = {number: Host(f"broker {number}", None, 8, 1.25e9, disk) for number in self.brokers}
        self.client_host = Host("client", None, 8, 1.25e9, disk)
        self.partitions = [TopicPartition("t", p, p) for p in range(partitions)]
        self.leaders = [1 + p % 3 for p in range(partitions)]
        self.epochs = [0] * partitions
        self.errors: list[int] = []
        self.appended: list[tuple[int, int, int]] = []
        self.seen: list[tuple[float, int, Request]] = []
        self.acknowledgements: list[tuple[float, int, int, int, int, float, float]] = []
        self.failures: list[tuple[float, int, int, int, int]] = []
        self.notes: list[tuple[float, str, str, int]] = []
        self.books: dict[int, tuple[int, int]] = {}

    def append(self, broker: int, part: Any) -> int:
        if self.leaders[part.tp.index] != broker:
            return 6
        if self.errors:
            return self.errors.pop(0)
        self.appended.append((part.tp.partition, part.batch.first, part.batch.count))
        return 0

    def producer(
        self, load: Load, config: dict[str, Any] | None = None, version: Any = (3, 9, 1),
        costs: ProducerCosts | None = None, name: str = "app/0",
    ) -> ProducerInstance:  # fmt: skip
        streams: list[int] = []

        def open_stream(partition: int | None) -> int:
            streams.append(len(streams))
            return streams[-1]

        instance = ProducerInstance(
            self.scheduler, self.network, self.streams, name, 0, self.client_host, costs or ProducerCosts(), self,
            [1, 2, 3], self.partitions, config or {}, version, load, Listener(self), open_stream,
        )  # fmt: skip
        instance.start()
        return instance

    # Directory
    def server(self, node_id: int) -> Server:
        return self.brokers[node_id]

    def host(self, node_id: int) -> Host:
        return self.hosts[node_id]


class Listener(ClientMonitor):
    """What a client tells."""

    def __init__(self, cluster: PlainCluster) -> None:
        self.cluster = cluster

    def acknowledged(self, client: int, tp: TopicPartition, batch: RecordBatch, now: float) -> None:
        row = (now, tp.partition, batch.first, batch.count, batch.size_bytes, batch.first_time, batch.last_time)
        self.cluster.acknowledgements.append(row)

    def failed(self, client: int, tp: TopicPartition, batch: RecordBatch, error: int, now: float) -> None:
        self.cluster.failures.append((now, tp.partition, batch.first, batch.count, error))

    def finished(self, client: int, stream: int, created: int, in_flight: int) -> None:
        self.cluster.books[stream] = (created, in_flight)

    def note(self, client: int, event: str, detail: str, cause: int, now: float) -> int:
        self.cluster.notes.append((now, event, detail, cause))
        return len(self.cluster.notes)
