"""Predicted beside measured: an ensemble of many seeds beside a real one's trials.

    python benchmarks/zookeeper_validity.py [--seeds 30]        # prints the table of docs/validity.md

A row whose real median is 500 ms or more holds when the simulated median is within 15 % of it
and the real median lies between the simulated 10th percentile - 100 ms and the 90th + 100 ms.
Others are shown, and so is what contains the start of a JVM on the measured machine's two
shared cores, and latency there.  No parameter is fitted to an outage.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from kafkasim.hosts.disk import Disk
from kafkasim.hosts.host import Host
from kafkasim.hosts.life import Life
from kafkasim.kernel import Environment, Streams
from kafkasim.kernel.streams import Stream
from kafkasim.metrics.timeline import Timeline
from kafkasim.network import Network
from kafkasim.zookeeper.client import ZooKeeperClient
from kafkasim.zookeeper.client_connection import ClientConnection, ConnectionUser
from kafkasim.zookeeper.election import FOLLOWING, LEADING
from kafkasim.zookeeper.ensemble import Ensemble
from kafkasim.zookeeper.operations import Create, GetData, SetData
from kafkasim.zookeeper.packets import READ, WRITE, ConnectRequest, ConnectResponse, Reply, Request, WatchNotice
from kafkasim.zookeeper.parameters import ZooKeeperParameters
from kafkasim.zookeeper.sockets import Socket, SocketOwner, dial

REAL = Path(__file__).parents[1] / "tests" / "reference" / "zookeeper_real.csv"
JUDGED_FROM_MS = 500.0
FSYNC_P50_S, FSYNC_P99_S = 0.12e-3, 0.35e-3
LOOPBACK_S = 30e-6
POLL_S = 0.010
PACE_S = 0.005
TRIALS, LATENCY_SEEDS = 4, 5
FROZEN_S = 40.0
SILENT_S = {4: (0.07, 1.29), 10: (0.04, 2.29)}
"""How long the measured clients had been silent when they died, by their timeout: all died before their first ping."""
Figures = dict[str, float]


class Bench:
    """Servers on one disk each; ``delay_s`` lies between servers only."""

    def __init__(self, seed: int, servers: int = 3, delay_s: float = LOOPBACK_S, leader: int | None = None) -> None:
        self.env = Environment()
        self.streams = Streams(seed)
        self.network = Network(self.env.scheduler, self.streams, same_rack=(LOOPBACK_S, 0.0), cross_rack=(delay_s, 0.0))
        self.timeline = Timeline()
        hosts = [self.host(f"zookeeper {n}", f"rack {n}") for n in range(1, servers + 1)]
        self.ensemble = Ensemble(self.env, self.network, self.streams, hosts, self.timeline, ZooKeeperParameters())
        self.ensemble.trace_sessions = []
        self.ensemble.settle(leader)
        self.ensemble.put("/x", 0)
        self.draws: Stream = self.streams.stream("bench")

    def host(self, name: str, rack: str | None = None) -> Host:
        disk = Disk(1e9, 1e9, FSYNC_P50_S, FSYNC_P99_S, self.streams.stream(f"{name}/disk"))
        return Host(name, rack, 2, 1.25e9, disk)

    def leader(self) -> int:
        number = self.ensemble.leader_id()
        assert number is not None
        return number

    def wait(self, what: Any) -> float:
        """Until ``what()`` holds; returns when (s)."""
        while not what():
            self.env.step()
        return self.env.now

    def poll(self, what: Any, every_s: float = POLL_S) -> float:
        """The same for one who looks every now and then."""
        while not what():
            self.env.run(until=self.env.now + every_s)
        return self.env.now


class JavaClient(ConnectionUser):
    """A set every 5 ms; knows its first error after ``since`` and its first success after that."""

    def __init__(self, bench: Bench, name: str, server: int | None = None) -> None:
        self.since = 0.0
        self.error_at = 0.0
        self.back_at = 0.0
        self._env = bench.env
        self._connection = ClientConnection(
            self, Life(bench.env.scheduler), bench.network, bench.streams, bench.ensemble, bench.host(name), name, 10000
        )
        self._connection.settle(server, bench.draws.uniform())
        bench.env.process(self._write())

    def _write(self) -> Any:
        while True:
            if self._connection.connected:
                self._connection.send(Request(WRITE, SetData("/x", "y" * 100)))
            yield self._env.timeout(PACE_S)

    def session_connected(self) -> None:
        """Its next set goes through."""

    def session_disconnected(self) -> None:
        if self.since and not self.error_at:
            self.error_at = self._env.now

    def replied(self, reply: Reply) -> None:
        if self.error_at and not self.back_at:
            self.back_at = self._env.now

    def watch_fired(self, notice: WatchNotice) -> None:
        raise AssertionError("nobody watches")


class NewSessions(SocketOwner):
    """Tries to open a session at one server and to write, again and again until it has."""

    def __init__(self, bench: Bench, number: int) -> None:
        self.done_at = 0.0
        self._bench = bench
        self._server = bench.ensemble.server(number)
        self._host = bench.host(f"prober {number}")
        self._tries = 0
        self._dial(None)

    def _dial(self, _: None) -> None:
        self._tries += 1
        server = self._server
        name = f"prober {server.id}/{self._tries}"
        dial(self._bench.network, name, self, self._host, server.port, server.host)

    def _again(self) -> None:
        self._bench.env.call_at(self._bench.env.now + POLL_S, self._dial, None)

    def socket_opened(self, socket: Socket) -> None:
        socket.send(ConnectRequest(0, 10000, 0))

    def socket_refused(self, socket: Socket) -> None:
        self._again()

    def socket_closed(self, socket: Socket) -> None:
        if not self.done_at:
            self._again()

    def socket_message(self, socket: Socket, message: Any) -> None:
        if isinstance(message, ConnectResponse):
            socket.send(Request(WRITE, SetData("/x", "z")))
        elif isinstance(message, Reply) and not self.done_at:
            self.done_at = self._bench.env.now


def leader_killed(seed: int) -> Figures:
    bench = Bench(seed)
    client = JavaClient(bench, "java")
    bench.env.run(until=5.0 + bench.draws.uniform(0.0, 4.0))
    victim, killed_at = bench.leader(), bench.env.now
    bench.ensemble.crash(victim, 0)
    client.since = killed_at
    probers = [NewSessions(bench, server.id) for server in bench.ensemble.servers() if server.id != victim]
    led_at = bench.poll(lambda: bench.ensemble.leader_id() is not None)
    bench.wait(lambda: any(prober.done_at for prober in probers))
    wrote_at = min(prober.done_at for prober in probers if prober.done_at)
    back_at = bench.wait(lambda: client.back_at)
    bench.ensemble.start(victim, 0)
    started_at = bench.env.now
    return {
        "leader killed: a leader serves": led_at - killed_at,
        "leader killed: first write of a new session": wrote_at - killed_at,
        "leader killed: first error of a client": client.error_at - killed_at,
        "leader killed: a client writes again": back_at - killed_at,
        "leader killed: the old one serves again": bench.wait(lambda: bench.ensemble.is_serving(victim)) - started_at,
    }


def leader_frozen(seed: int) -> Figures:
    """SIGSTOP under the same write traffic; it is continued long after the others have a leader."""
    bench = Bench(seed)
    client = JavaClient(bench, "java")
    bench.env.run(until=5.0 + bench.draws.uniform(0.0, 4.0))
    victim, frozen_at = bench.leader(), bench.env.now
    bench.ensemble.freeze(victim, frozen_at + FROZEN_S, 0)
    client.since = frozen_at
    probers = [NewSessions(bench, server.id) for server in bench.ensemble.servers() if server.id != victim]
    led_at = bench.poll(lambda: bench.ensemble.leader_id() not in (None, victim))
    bench.wait(lambda: any(prober.done_at for prober in probers))
    wrote_at = min(prober.done_at for prober in probers if prober.done_at)
    back_at = bench.wait(lambda: client.back_at)
    thawed_at = frozen_at + FROZEN_S
    bench.env.run(until=thawed_at)
    server = bench.ensemble.server(victim)
    resigned_at = bench.wait(lambda: server.state != LEADING)
    follows_at = bench.wait(lambda: server.state == FOLLOWING and server.serving)
    return {
        "leader thawed: it leads no more": resigned_at - thawed_at,
        "leader thawed: it follows": follows_at - thawed_at,
        "leader frozen: a leader serves": led_at - frozen_at,
        "leader frozen: first write of a new session": wrote_at - frozen_at,
        "leader frozen: first error of a client": client.error_at - frozen_at,
        "leader frozen: a client writes again": back_at - frozen_at,
    }


def follower_killed(seed: int) -> Figures:
    bench = Bench(seed)
    victim = 1 + bench.leader() % 3
    client = JavaClient(bench, "java", bench.leader())
    bench.env.run(until=5.0 + bench.draws.uniform(0.0, 4.0))
    client.since = bench.env.now
    bench.ensemble.crash(victim, 0)
    bench.env.run(until=bench.env.now + 3.0)
    assert not client.error_at, "a client of another server has felt it"
    bench.ensemble.start(victim, 0)
    began = bench.env.now
    return {"follower killed: it serves again": bench.wait(lambda: bench.ensemble.is_serving(victim)) - began}


class Owner(SocketOwner):
    """Opens a session, creates an ephemeral and is silent: it dies before its first ping."""

    def __init__(self, bench: Bench, number: int, timeout_s: int) -> None:
        self.touched_at = 0.0
        self._env = bench.env
        self._timeout_s = timeout_s
        server = bench.ensemble.server(number)
        self.socket = dial(bench.network, "owner", self, bench.host("owner"), server.port, server.host)

    def socket_opened(self, socket: Socket) -> None:
        socket.send(ConnectRequest(0, 1000 * self._timeout_s, 0))

    def socket_closed(self, socket: Socket) -> None:
        """Its session is over."""

    def socket_message(self, socket: Socket, message: Any) -> None:
        if isinstance(message, ConnectResponse):
            self.touched_at = self._env.now
            socket.send(Request(WRITE, Create("/owned", 0, ephemeral=True)))


def expiry(seed: int) -> Figures:
    figures: Figures = {}
    for timeout_s in (4, 10):
        for role in ("leader", "follower"):
            bench = Bench(seed)
            bench.env.run(until=15.0 + bench.draws.uniform(0.0, 10.0))
            owner = Owner(bench, bench.leader() if role == "leader" else 1 + bench.leader() % 3, timeout_s)
            bench.wait(lambda o=owner: o.touched_at)
            bench.env.run(until=owner.touched_at + bench.draws.uniform(*SILENT_S[timeout_s]))
            died_at = bench.env.now
            owner.socket.close()
            gone_at = bench.wait(lambda b=bench: "/owned" not in b.ensemble.server(b.leader()).tree.nodes)
            name = f"session of {timeout_s} s at the {role}: its znode goes after its"
            figures[f"{name} death"] = gone_at - died_at
            figures[f"{name} last touch"] = gone_at - owner.touched_at
    return figures


def quorum_lost(seed: int) -> Figures:
    bench = Bench(seed)
    alive = JavaClient(bench, "java")
    dead = ZooKeeperClient(bench.env, bench.network, bench.streams, bench.ensemble, bench.host("dead"), "dead", 10.0)
    dead.attach_settled(None)
    bench.ensemble.put("/dead", 0, owner=dead.session_id)
    bench.env.run(until=5.0 + bench.draws.uniform(0.0, 4.0))
    others = [n for n in (1, 2, 3) if n != bench.leader()]
    victims = others if seed % 2 else [bench.leader(), others[0]]
    for victim in victims:
        bench.ensemble.crash(victim, 0)
    bench.env.run(until=bench.env.now + 5.0)
    dead.crash()
    bench.env.run(until=bench.env.now + 25.0)
    restarted_at = alive.since = alive.error_at = bench.env.now
    alive.back_at = 0.0
    for victim in victims:
        bench.ensemble.start(victim, 0)
    probers = [NewSessions(bench, number) for number in (1, 2, 3)]
    led_at = bench.poll(lambda: bench.ensemble.leader_id() is not None)
    bench.wait(lambda: any(prober.done_at for prober in probers))
    wrote_at = min(prober.done_at for prober in probers if prober.done_at)
    back_at = bench.wait(lambda: alive.back_at)
    gone_at = bench.wait(lambda: "/dead" not in bench.ensemble.server(bench.leader()).tree.nodes)
    return {
        "quorum lost for 30 s: a leader serves after the restart": led_at - restarted_at,
        "quorum lost for 30 s: a write after the restart": wrote_at - restarted_at,
        "quorum lost for 30 s: a client writes after the restart": back_at - restarted_at,
        "quorum lost for 30 s: a dead client's znode goes after the leader": gone_at - led_at,
    }


class Pipeline(ConnectionUser):
    """Keeps so many requests of one kind outstanding; ``taken_s`` are their latencies."""

    def __init__(self, bench: Bench, server: int, kind: int, outstanding: int) -> None:
        self.taken_s: list[float] = []
        self._env = bench.env
        self._kind = kind
        self._sent: list[float] = []
        self._connection = ClientConnection(
            self,
            Life(bench.env.scheduler),
            bench.network,
            bench.streams,
            bench.ensemble,
            bench.host("client"),
            "c",
            10000,
        )
        self._connection.settle(server, 0.0)
        for _ in range(outstanding):
            self._next()

    def _next(self) -> None:
        self._sent.append(self._env.now)
        operation = GetData("/x") if self._kind == READ else SetData("/x", "y" * 100)
        self._connection.send(Request(self._kind, operation))

    def replied(self, reply: Reply) -> None:
        self.taken_s.append(self._env.now - self._sent.pop(0))
        self._next()

    def watch_fired(self, notice: WatchNotice) -> None:
        raise AssertionError("nobody watches")


def latency(seed: int) -> Figures:
    figures: Figures = {}
    for place, servers, server in (
        ("one server", 1, 1), ("three servers, at the leader", 3, 1), ("three servers, at a follower", 3, 2)
    ):  # fmt: skip
        for kind, operation in ((READ, "get"), (WRITE, "set")):
            for outstanding in (1, 4, 16, 64):
                bench = Bench(seed, servers, leader=1)
                name = f"{operation} of 100 B, {place}, {outstanding} outstanding, p50"
                figures[name] = _p50(bench, Pipeline(bench, server, kind, outstanding))
    for delay_ms in (0, 5):
        for place, server in (("the leader", 1), ("a follower", 2)):
            for outstanding in (1, 16, 64):
                bench = Bench(seed, 3, max(LOOPBACK_S, delay_ms / 1000.0), leader=1)
                name = f"set of 100 B, {delay_ms} ms between servers, at {place}, {outstanding} outstanding, p50"
                figures[name] = _p50(bench, Pipeline(bench, server, WRITE, outstanding))
    return figures


def _p50(bench: Bench, pipeline: Pipeline) -> float:
    bench.wait(lambda: len(pipeline.taken_s) >= 400)
    return median(pipeline.taken_s[100:])


def trials(seed: int) -> list[Figures]:
    """All figures of one seed (s): several trials of each kind, as the real ones were; latencies hardly vary."""
    found = [leader_killed(TRIALS * seed + n) for n in range(TRIALS)]
    found += [expiry(TRIALS * seed + n) for n in range(TRIALS)]
    found += [leader_frozen(seed), follower_killed(seed), quorum_lost(seed)]
    return [*found, latency(seed)] if seed <= LATENCY_SEEDS else found


def rank(values: list[float], share: float) -> float:
    """A percentile by nearest rank."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def table(seeds: int, workers: int = 2) -> list[dict[str, Any]]:
    """All rows with their verdicts."""
    simulated: dict[str, list[float]] = defaultdict(list)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for found in pool.map(trials, range(1, seeds + 1)):
            for figures in found:
                for name, value_s in figures.items():
                    simulated[name].append(value_s)
    rows: list[dict[str, Any]] = []
    with REAL.open(encoding="utf-8") as file:
        for line in csv.DictReader(file):
            name, unit = line["row"], line["unit"]
            if name not in simulated:
                continue
            real = [float(value) for value in line["trials"].split()]
            values = [value_s * (1e3 if unit == "ms" else 1e6) for value_s in simulated[name]]
            measured, middle = median(real), median(values)
            low, high = rank(values, 0.1), rank(values, 0.9)
            verdict = "shown"
            if "serves again" in name or "restart" in name:
                verdict = "shown: JVM start"
            elif unit == "ms" and measured >= JUDGED_FROM_MS:
                holds = abs(middle / measured - 1) <= 0.15 and low - 100 <= measured <= high + 100
                verdict = "holds" if holds else "misses"
            rows.append(
                {"row": f"{name} ({unit})", "trials": len(real), "ratio": middle / measured, "verdict": verdict,
                 "real": [rank(real, 0.1), measured, rank(real, 0.9)], "simulated": [low, middle, high]}
            )  # fmt: skip
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table of the docs."""
    lines = [
        "| row | trials | real p10 / median / p90 | simulated p10 / median / p90 | ratio | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        real = " / ".join(f"{value:.0f}" for value in row["real"])
        simulated = " / ".join(f"{value:.0f}" for value in row["simulated"])
        lines.append(
            f"| {row['row']} | {row['trials']} | {real} | {simulated} | {row['ratio']:.2f} | {row['verdict']} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    print(markdown(table(parser.parse_args().seeds)))


if __name__ == "__main__":
    main()
