"""Throughput of saturated ensembles beside table 1 of the USENIX ATC 2010 paper.

    python benchmarks/zookeeper_throughput.py [--mixed]      # prints the tables of docs/validity.md

One set of costs of a processor for all sizes.  A cell holds within 20 % of the published
one; the share of reads at which a larger ensemble overtakes three servers, by the harmonic
mix of both columns, within 5 points.  ``--mixed`` shows mixed loads as they run, too.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

from kafkasim.hosts.disk import Disk
from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.kernel import Environment, Streams
from kafkasim.network import Network
from kafkasim.zookeeper.client_connection import ClientConnection, ConnectionUser
from kafkasim.zookeeper.ensemble import Ensemble
from kafkasim.zookeeper.operations import GetData, SetData
from kafkasim.zookeeper.packets import READ, WRITE, Reply, Request, WatchNotice
from kafkasim.zookeeper.parameters import ZooKeeperParameters

PUBLISHED = Path(__file__).parents[1] / "tests" / "reference" / "zookeeper_published.csv"
GIGABIT_BYTES_PER_S = 125e6
CLIENTS, MACHINES, OUTSTANDING, IN_PROCESS = 250, 35, 100, 2000
DATA = "x" * 1024
READS_S = 0.3
"""Warm-up and window of a load of reads only."""
WRITES_S = 2.0
"""... of one with writes: several times what all that is in process takes."""


class Rows:
    """A timeline that nobody reads."""

    def add(self, time_s: float, actor: str, event: str, detail: str = "", cause: Any = 0) -> int:
        return 0


class Client(ConnectionUser):
    """Keeps so many requests outstanding; ``done`` counts what was answered."""

    def __init__(self, bench: Bench, name: str, server: int, host: Host, read_share: float) -> None:
        self.done = 0
        self._read_share = read_share
        self._draws = bench.streams.stream(f"{name}/operations")
        life = Life(bench.env.scheduler)
        self._connection = ClientConnection(self, life, bench.network, bench.streams, bench.ensemble, host, name, 18000)
        self._connection.settle(server, 0.0)

    def start(self, outstanding: int) -> None:
        for _ in range(outstanding):
            self._next()

    def replied(self, reply: Reply) -> None:
        self.done += 1
        self._next()

    def watch_fired(self, notice: WatchNotice) -> None:
        raise AssertionError("nobody watches")

    def _next(self) -> None:
        share = self._read_share
        if share == 1.0 or (share > 0.0 and self._draws.uniform() < share):
            self._connection.send(Request(READ, GetData("/x")))
        else:
            self._connection.send(Request(WRITE, SetData("/x", DATA)))


class Bench:
    """``servers`` and the paper's machines."""

    def __init__(self, servers: int, seed: int = 1) -> None:
        self.env = Environment()
        self.streams = Streams(seed)
        self.network = Network(self.env.scheduler, self.streams, same_rack=(100e-6, 0.0))
        parameters = ZooKeeperParameters(global_outstanding_limit=IN_PROCESS * max(1, servers - 1))
        hosts = [self.host(f"zookeeper {number}") for number in range(1, servers + 1)]
        self.ensemble = Ensemble(self.env, self.network, self.streams, hosts, Rows(), parameters)
        self.ensemble.settle(1)
        self.ensemble.put("/x", DATA)

    def host(self, name: str) -> Host:
        disk = Disk(100e6, 100e6, 0.8e-3, 2e-3, self.streams.stream(f"{name}/disk"))
        return Host(name, None, 2, GIGABIT_BYTES_PER_S, disk)


def throughput(
    servers: int, read_share: float, leader_only: bool = False, outstanding: int = OUTSTANDING, span_s: float = 0.0
) -> float:
    """Operations per second of the saturated ensemble, clients dealt out to the servers (or all at the leader)."""
    bench = Bench(servers)
    machines = [bench.host(f"machine {number}") for number in range(MACHINES)]
    clients = [
        Client(bench, f"c{n}", 1 if leader_only else 1 + n % servers, machines[n % MACHINES], read_share)
        for n in range(CLIENTS)
    ]
    span_s = span_s or (READS_S if read_share == 1.0 else WRITES_S)
    for n, client in enumerate(clients):
        bench.env.call_at(0.5 * span_s * n / CLIENTS, client.start, outstanding)
    bench.env.run(until=span_s)
    before = sum(client.done for client in clients)
    bench.env.run(until=2.0 * span_s)
    return (sum(client.done for client in clients) - before) / span_s


def published() -> dict[tuple[int, float], float]:
    """Operations per second by (servers, share of reads)."""
    with PUBLISHED.open(encoding="utf-8") as file:
        return {
            (int(row["servers"]), float(row["read_share"])): float(row["operations_per_s"])
            for row in csv.DictReader(file)
        }


def crossing(table: dict[tuple[int, float], float], servers: int) -> float:
    """Share of reads at which ``servers`` overtake three, by the harmonic mix of both columns."""
    reads = 1 / table[3, 1.0] - 1 / table[servers, 1.0]
    writes = 1 / table[servers, 0.0] - 1 / table[3, 0.0]
    return writes / (reads + writes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mixed", action="store_true")
    arguments = parser.parse_args()
    real = published()
    simulated = {cell: throughput(*cell) for cell in real}
    print("| servers | reads | published op/s | simulated op/s | ratio | verdict |\n|---|---|---|---|---|---|")
    for (servers, share), figure in real.items():
        ratio = simulated[servers, share] / figure
        verdict = "holds" if abs(ratio - 1) <= 0.2 else "misses"
        print(f"| {servers} | {share:.0%} | {figure:.0f} | {simulated[servers, share]:.0f} | {ratio:.2f} | {verdict} |")
    print("\n| servers | overtake three at (published) | simulated | verdict |\n|---|---|---|---|")
    for servers in (5, 7, 9, 13):
        expected, got = crossing(real, servers), crossing(simulated, servers)
        verdict = "holds" if abs(got - expected) <= 0.05 else "misses"
        print(f"| {servers} | {expected:.0%} | {got:.0%} | {verdict} |")
    if arguments.mixed:
        print("\n| servers | reads | harmonic mix op/s | as it runs op/s | all clients at the leader op/s |")
        print("|---|---|---|---|---|")
        for servers in (3, 5):
            for share in (0.2, 0.4, 0.6, 0.8):
                mix = 1 / (share / simulated[servers, 1.0] + (1 - share) / simulated[servers, 0.0])
                spread, alone = throughput(servers, share), throughput(servers, share, True)
                print(f"| {servers} | {share:.0%} | {mix:.0f} | {spread:.0f} | {alone:.0f} |")


if __name__ == "__main__":
    main()
