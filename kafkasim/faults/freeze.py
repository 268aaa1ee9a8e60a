"""``freeze``: SIGSTOP of a process, or a garbage collection that stops the world.

No thread of the process runs; its sockets stay open, so that nobody is told.
"""

from __future__ import annotations

from kafkasim.cluster import Cluster
from kafkasim.faults.crash import serves
from kafkasim.faults.targets import Process


class Freeze:
    """A stopped broker or ZooKeeper server, until it goes on."""

    def __init__(self, cluster: Cluster, process: Process, for_s: float, cause: int) -> None:
        self.hit = self.actor = str(process)
        self._cluster = cluster
        self._process = process
        self._cause = cause
        self._until = cluster.env.now + for_s
        # Planned before the process's own going on, so that the row comes before what it explains.
        cluster.env.call_at(self._until, self._resume)
        if process.kind == "broker":
            self._life = cluster.brokers[process.number].life
            cluster.brokers[process.number].freeze(self._until, cause)
        else:
            self._life = cluster.ensemble.server(process.number).life
            cluster.ensemble.freeze(process.number, self._until, cause)
        self._generation = self._life.generation

    def undone(self) -> bool:
        """The process runs again, and serves."""
        return self._cluster.env.now >= self._until and serves(self._cluster, self._process)

    def _resume(self, _: None) -> None:
        cluster = self._cluster
        if self._life.generation != self._generation or self._life.stopped_until > self._until:
            return  # killed meanwhile (another process may be up), or stopped for longer by another event
        cluster.timeline.add(cluster.env.now, self.actor, "resumed", "", self._cause)
        if self._process.kind == "broker":
            cluster.brokers[self._process.number].thaw(self._cause)
