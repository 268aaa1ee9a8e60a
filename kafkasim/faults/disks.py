"""``slow_disk``, ``disk_full`` and ``disk_failed``: what goes wrong with the disks of a machine.

A slow disk reads and writes at its rates divided by ``factor``, syncs take ``factor`` times as long, each job ``add``
longer.  A full or failed one fails the log directories on it at the next append or checkpoint; a directory comes back
only with a start of its broker, so at the end of the fault a broker that still runs without it is restarted (stopped
cleanly and started at once).
"""

from __future__ import annotations

from kafkasim.cluster import Cluster
from kafkasim.faults.crash import serves
from kafkasim.faults.fault import NoEffect
from kafkasim.faults.stop import Stop
from kafkasim.faults.targets import Process, everywhere, host_of
from kafkasim.hosts.disk import Disk, Slowness


def disks_of(cluster: Cluster, process: Process, number: int | None) -> list[Disk]:
    """The disks of a process's machine, or the one with that number (from 1)."""
    disks = host_of(cluster, process).disks
    if number is None:
        return disks
    if number > len(disks):
        raise NoEffect(f"its machine has {len(disks)} disks")
    return [disks[number - 1]]


class SlowDisk:
    """Disks that are slower, until the end of the fault (``for_s`` None: of the run)."""

    def __init__(
        self,
        cluster: Cluster,
        process: Process,
        number: int | None,
        factor: float,
        extra_s: float,
        for_s: float | None,
    ) -> None:
        self.hit = self.actor = str(process)
        self._cluster = cluster
        self._over = False
        self._slowness = Slowness(factor, extra_s)
        self._disks = disks_of(cluster, process, number)
        for disk in self._disks:
            disk.slow_down(self._slowness, cluster.env.now)
        if for_s is not None:
            cluster.env.call_at(cluster.env.now + for_s, self._end)

    def undone(self) -> bool:
        """The disks are as fast as before."""
        return self._over

    def _end(self, _: None) -> None:
        for disk in self._disks:
            disk.speed_up(self._slowness, self._cluster.env.now)
        self._over = True


class BrokenDisk:
    """Disks that take nothing any more: full (``verb`` disk_full), or failed."""

    def __init__(
        self, cluster: Cluster, process: Process, verb: str, number: int | None, for_s: float | None, cause: int
    ) -> None:
        self.hit = self.actor = str(process)
        self._cluster = cluster
        self._full = verb == "disk_full"
        self._over = False
        self._cause = cause
        self._disks = disks_of(cluster, process, number)
        machine = host_of(cluster, process)
        everybody = [one for one in everywhere(cluster) if one.kind == "broker" and host_of(cluster, one) is machine]
        self._brokers = [one for one in everybody if self._uses(one)]
        if not self._brokers:
            raise NoEffect("no log directory lies there")
        for disk in self._disks:
            self._count(disk, 1)
            disk.fault_row = cause
        if for_s is not None:
            cluster.env.call_at(cluster.env.now + for_s, self._end)

    def undone(self) -> bool:
        """The disks work, and every broker on them serves with all its directories."""
        return self._over and all(
            serves(self._cluster, one) and not self._cluster.brokers[one.number].stopping and not self._lacks(one)
            for one in self._brokers
        )

    def _uses(self, process: Process) -> bool:
        storages = self._cluster.brokers[process.number].logs.storages
        return any(storage.disk in self._disks for storage in storages)

    def _lacks(self, process: Process) -> bool:
        storages = self._cluster.brokers[process.number].logs.storages
        return any(storage.offline and storage.disk in self._disks for storage in storages)

    def _count(self, disk: Disk, more: int) -> None:
        if self._full:
            disk.full += more
        else:
            disk.failed += more

    def _end(self, _: None) -> None:
        for disk in self._disks:
            self._count(disk, -1)
            if disk.full == 0 and disk.failed == 0:
                disk.fault_row = 0
        self._over = True
        for one in self._brokers:
            broker = self._cluster.brokers[one.number]
            works = all(disk.full == 0 and disk.failed == 0 for disk in self._disks)
            if works and broker.up and not broker.stopping and self._lacks(one):
                row = self._cluster.timeline.add(
                    self._cluster.env.now, str(one), "restart_ordered", "a directory is back only after a start",
                    self._cause,
                )  # fmt: skip
                Stop(self._cluster, one, 0.0, row)
