"""``crash``: SIGKILL of a process, and the supervisor that starts it again.

The first start begins ``for:`` after the crash (absent: after the supervisor's delay); a
start that fails (its id znode still belongs to the old session) is followed by the next one
``restart_delay_s`` after the process has exited.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

from simpy.events import Event

from kafkasim.broker.registration import StartFailed
from kafkasim.cluster import Cluster
from kafkasim.faults.targets import Process


class Crash:
    """A killed broker or ZooKeeper server."""

    def __init__(self, cluster: Cluster, process: Process, for_s: float | None, cause: int) -> None:
        self.hit = self.actor = str(process)
        self._cluster = cluster
        self._process = process
        now = cluster.env.now
        if process.kind == "broker":
            cluster.brokers[process.number].crash(cause)
        else:
            cluster.ensemble.crash(process.number, cause)
        supervise(cluster, process, now + (restart_delay_s(cluster, process) if for_s is None else for_s), cause)

    def undone(self) -> bool:
        """The process is up, registered, and serves."""
        return serves(self._cluster, self._process)


def restart_delay_s(cluster: Cluster, process: Process) -> float:
    """How long the supervisor of a process waits before it starts it."""
    if process.kind == "broker":
        return cluster.restart_delay_s[process.number]
    return cluster.zookeeper_restart_delay_s


def serves(cluster: Cluster, process: Process) -> bool:
    """Whether a process is up and answers its clients."""
    if process.kind == "broker":
        broker = cluster.brokers[process.number]
        return broker.registered and broker.server.open
    return cluster.ensemble.is_serving(process.number)


def restart_when_ended(cluster: Cluster) -> None:
    """A broker's process that ends by itself is started again after the supervisor's delay."""
    for number, broker in cluster.brokers.items():
        broker.on_exit = partial(_ended, cluster, Process("broker", number))


def _ended(cluster: Cluster, process: Process, cause: int) -> None:
    supervise(cluster, process, cluster.env.now + restart_delay_s(cluster, process), cause)


def supervise(cluster: Cluster, process: Process, at: float, cause: int) -> None:
    """Start a process at ``at`` (s), again and again if it fails."""
    if process.kind == "broker":
        cluster.env.process(_supervise_broker(cluster, process.number, at, cause))
    else:
        cluster.env.process(_start_server(cluster, process.number, at, cause))


def _supervise_broker(cluster: Cluster, number: int, at: float, cause: int) -> Generator[Event, Any, None]:
    env = cluster.env
    broker = cluster.brokers[number]
    while True:
        yield env.at(at)
        row = cluster.timeline.add(env.now, f"broker {number}", "starting", f"start {broker.starts + 1}", cause or None)
        try:
            yield from broker.start(row)
        except StartFailed:
            at = env.now + cluster.restart_delay_s[number]
            cause = broker.fault_cause
            continue
        return


def _start_server(cluster: Cluster, number: int, at: float, cause: int) -> Generator[Event, Any, None]:
    yield cluster.env.at(at)
    row = cluster.timeline.add(cluster.env.now, f"zookeeper {number}", "starting", "", cause or None)
    cluster.ensemble.start(number, row)
