"""``freeze``: SIGSTOP of a process, or a garbage collection that stops the world.

No thread of the process runs; its sockets stay open, so that nobody is told.
"""

from __future__ import annotations

from kafkasim.cluster import Cluster
from kafkasim.faults.crash import serves
from kafkasim.faults.targets import Process, is_up


class Freeze:
    """A stopped broker or ZooKeeper server, until it goes on."""

    def __init__(self, cluster: Cluster, process: Process, for_s: float, cause: int) -> None:
        self.hit = self.actor = str(process)
        self._cluster = cluster
        self._process = process
        self._cause = cause
        self._until = cluster.env.now + for_s
        if process.kind == "broker":
            cluster.brokers[process.number].freeze(self._until, cause)
        else:
            cluster.ensemble.freeze(process.number, self._until, cause)
        # Planned after all that waits for the same moment: the row comes behind what it explains only in the list.
        cluster.env.call_at(self._until, self._resume)

    def undone(self) -> bool:
        """The process runs again, and serves."""
        return self._cluster.env.now >= self._until and serves(self._cluster, self._process)

    def _resume(self, _: None) -> None:
        cluster = self._cluster
        if not is_up(cluster, self._process):
            return
        cluster.timeline.add(cluster.env.now, self.actor, "resumed", "", self._cause)
        if self._process.kind == "broker":
            cluster.brokers[self._process.number].thaw(self._cause)
