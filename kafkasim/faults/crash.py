"""``crash``: SIGKILL of a process, and the supervisor that starts it again.

The first start begins ``for:`` after the crash (absent: after the supervisor's delay); a
start that fails (its id znode still belongs to the old session) is followed by the next one
``restart_delay_s`` after the process has exited.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from simpy.events import Event

from kafkasim.broker.broker import StartFailed
from kafkasim.cluster import Cluster


def crash(cluster: Cluster, kind: str, number: int, for_s: float | None, cause: int) -> None:
    """Kill a broker or a ZooKeeper server now and have it started again."""
    env = cluster.env
    if kind == "broker":
        broker = cluster.brokers[number]
        delay_s = cluster.restart_delay_s[number] if for_s is None else for_s
        broker.crash(cause)
        env.process(_supervise_broker(cluster, number, env.now + delay_s, cause))
    else:
        delay_s = cluster.zookeeper_restart_delay_s if for_s is None else for_s
        cluster.ensemble.crash(number, cause)
        env.process(_start_server(cluster, number, env.now + delay_s, cause))


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
