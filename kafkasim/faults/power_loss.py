"""``power_loss``: a machine is gone, and boots later.

Nobody is told: what is sent to it vanishes, peers find out by their own time-outs.  What was not flushed is lost.
After ``for:`` the machine has booted and its process starts; connections of before are answered with a reset.
"""

from __future__ import annotations

from kafkasim.cluster import Cluster
from kafkasim.faults.crash import restart_delay_s, serves, supervise
from kafkasim.faults.targets import Process
from kafkasim.network import LinkFault


class PowerLoss:
    """The machine of a broker or a ZooKeeper server without power."""

    def __init__(self, cluster: Cluster, process: Process, for_s: float | None, cause: int) -> None:
        self.hit = self.actor = str(process)
        self._cluster = cluster
        self._process = process
        if process.kind == "broker":
            self._host = cluster.brokers[process.number].host
        else:
            self._host = cluster.ensemble.server(process.number).host
        self._cut = LinkFault([self._host], None, both_ways=True, cuts=True, cause=cause)
        cluster.network.begin(self._cut)
        if process.kind == "broker":
            cluster.brokers[process.number].lose_power(cause)
        else:
            cluster.ensemble.lose_power(process.number, cause)
        boots_at = cluster.env.now + (restart_delay_s(cluster, process) if for_s is None else for_s)
        cluster.env.call_at(boots_at, self._boot)
        supervise(cluster, process, boots_at, cause)

    def undone(self) -> bool:
        """The machine has power, its process is up, registered, and serves."""
        return not self._host.off and serves(self._cluster, self._process)

    def _boot(self, _: None) -> None:
        self._host.power_on()
        self._cluster.network.end(self._cut)
