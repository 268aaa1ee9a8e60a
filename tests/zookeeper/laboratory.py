"""A small ensemble with clients, for the tests of this room."""

from __future__ import annotations

from typing import Any

from kafkasim.hosts.disk import Disk
from kafkasim.hosts.host import Host
from kafkasim.kernel import Environment, Streams
from kafkasim.network import LinkFault, Network
from kafkasim.zookeeper.client import ZooKeeperClient
from kafkasim.zookeeper.ensemble import Ensemble
from kafkasim.zookeeper.operations import Operation, Outcome
from kafkasim.zookeeper.parameters import ZooKeeperParameters


class Rows:
    """A timeline that is a list; ids from 1."""

    def __init__(self) -> None:
        self.rows: list[tuple[float, str, str, str, int]] = []

    def add(self, time_s: float, actor: str, event: str, detail: str = "", cause: Any = 0) -> int:
        self.rows.append((time_s, actor, event, detail, cause or 0))
        return len(self.rows)

    def of(self, event: str) -> list[tuple[float, str, str, str, int]]:
        return [row for row in self.rows if row[2] == event]


class Laboratory:
    """n servers, settled, and the means to make clients."""

    def __init__(
        self,
        servers: int = 3,
        seed: int = 1,
        leader: int | None = 1,
        latency_s: float = 100e-6,
        fsync_s: float = 200e-6,
        fsync_p99_s: float | None = None,
        trace: bool = False,
        observers: int = 0,
        **parameters: Any,
    ) -> None:
        self.env = Environment()
        self.streams = Streams(seed)
        self.network = Network(self.env.scheduler, self.streams, same_rack=(latency_s, 0.0))
        self.cuts: dict[int, LinkFault] = {}
        self.fsync_s = fsync_s
        self.fsync_p99_s = fsync_s if fsync_p99_s is None else fsync_p99_s
        self.timeline = Rows()
        hosts = [self.host(f"zookeeper {n}") for n in range(1, servers + observers + 1)]
        self.ensemble = Ensemble(
            self.env, self.network, self.streams, hosts, self.timeline, ZooKeeperParameters(**parameters), observers
        )
        if trace:
            self.ensemble.trace_sessions = []
        self.ensemble.settle(leader)

    def host(self, name: str, latency_to: str | None = None) -> Host:
        disk = Disk(1e9, 1e9, self.fsync_s, self.fsync_p99_s, self.streams.stream(f"{name}/disk"))
        return Host(name, None, 8, 1.25e9, disk)

    def client(
        self, name: str, server: int | None = 1, timeout_s: float = 18.0, attach: bool = True, **options: Any
    ) -> ZooKeeperClient:
        client = ZooKeeperClient(
            self.env, self.network, self.streams, self.ensemble, self.host(name), name, timeout_s, **options
        )
        if attach:
            client.attach_settled(server)
        return client

    def do(self, client: ZooKeeperClient, *operations: Operation) -> list[Outcome]:
        outcomes: list[Outcome] = self.env.run(until=client.submit(list(operations)))
        return outcomes

    def fsyncs(self) -> int:
        return sum(server.log.fsyncs for server in self.ensemble.servers())

    def client_connected(self, name: str, **options: Any) -> ZooKeeperClient:
        client = self.client(name, attach=False, **options)
        self.env.run(until=client.connect())
        return client
