"""``stop``: SIGTERM of a process, and the supervisor that starts it again.

A broker stops in a controlled way: the controller moves its leaderships, then it closes its sockets, flushes its logs
and closes its ZooKeeper session.  It starts ``for:`` after the order, not before it has stopped (absent: the
supervisor's delay after that).  A ZooKeeper server has nothing to hand over: SIGTERM ends it like SIGKILL.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from simpy.events import Event

from kafkasim.cluster import Cluster
from kafkasim.faults.crash import restart_delay_s, serves, supervise
from kafkasim.faults.targets import Process


class Stop:
    """A process that is told to stop."""

    def __init__(self, cluster: Cluster, process: Process, for_s: float | None, cause: int) -> None:
        self.hit = self.actor = str(process)
        self._cluster = cluster
        self._process = process
        self._for_s = for_s
        self._ordered_at = cluster.env.now
        if process.kind == "broker":
            cluster.env.process(self._stop_broker(cluster.brokers[process.number].shut_down(cause), cause))
        else:
            cluster.ensemble.crash(process.number, cause)
            self._stopped(cause)

    def undone(self) -> bool:
        """The process has stopped, or was killed while it was stopping, and serves again."""
        if self._process.kind == "broker" and self._cluster.brokers[self._process.number].stopping:
            return False
        return serves(self._cluster, self._process)

    def _stop_broker(self, stopping: Generator[Event, Any, bool], cause: int) -> Generator[Event, Any, None]:
        if (yield from stopping):
            self._stopped(cause)

    def _stopped(self, cause: int) -> None:
        now = self._cluster.env.now
        if self._for_s is None:
            at = now + restart_delay_s(self._cluster, self._process)
        else:
            at = max(now, self._ordered_at + self._for_s)
        supervise(self._cluster, self._process, at, cause)
