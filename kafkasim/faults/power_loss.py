"""``power_loss``: a machine is gone, and boots later.

Nobody is told: what is sent to it vanishes, peers find out by their own time-outs.  What was not flushed is lost.
After ``for:`` the machine has booted and its processes start; connections of before are answered with a reset.  All
brokers and servers on one machine go with it.
"""

from __future__ import annotations

from kafkasim.cluster import Cluster
from kafkasim.faults.crash import restart_delay_s, serves, supervise
from kafkasim.faults.fault import NoEffect
from kafkasim.faults.targets import Process, everywhere, host_of, is_up
from kafkasim.network import LinkFault


class PowerLoss:
    """The machine of a broker or a ZooKeeper server without power."""

    def __init__(self, cluster: Cluster, process: Process, for_s: float | None, cause: int) -> None:
        self.hit = self.actor = str(process)
        self._cluster = cluster
        self._host = host_of(cluster, process)
        if self._host in cluster.client_hosts(None):
            raise NoEffect("clients run on that machine too")
        self._processes = [one for one in everywhere(cluster) if host_of(cluster, one) is self._host]
        self._cut = LinkFault([self._host], None, both_ways=True, cuts=True, cause=cause)
        cluster.network.begin(self._cut)
        boots_at = cluster.env.now + (restart_delay_s(cluster, process) if for_s is None else for_s)
        cluster.env.call_at(boots_at, self._boot)
        self._host.power_off(cluster.env.now)
        for one in self._processes:
            if not is_up(cluster, one):
                continue
            if one.kind == "broker":
                cluster.brokers[one.number].lose_power(cause)
            else:
                cluster.ensemble.lose_power(one.number, cause)
            supervise(cluster, one, boots_at, cause)
        for disk in self._host.disks:
            if disk.write_back is not None:
                disk.write_back.lose(cluster.env.now)

    def undone(self) -> bool:
        """The machine has power, its processes are up, registered, and serve."""
        return not self._host.off and all(serves(self._cluster, one) for one in self._processes)

    def _boot(self, _: None) -> None:
        self._host.power_on()
        self._cluster.network.end(self._cut)
