"""A machine: network interface, cores, disks.

The interface is full duplex, one FIFO a direction.  A machine that several processes
share has its CPU as a station of ``cores`` channels; on a machine of its own a process's
threads are bounded by their pools instead (documented approximation: network threads and
fetchers do not compete with request handlers for cores there).
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from kafkasim.hosts.disk import Disk
from kafkasim.kernel.stations import FifoStation, PoolStation

DEFAULT_CORES: Final = 8


@mypyc_attr(allow_interpreted_subclasses=True)
class Attached:
    """What uses a machine's interface and keeps its rate at hand: told when the rate changes."""

    closed: bool

    def rate_changed(self) -> None:
        """An interface at one of its ends has another rate."""
        raise NotImplementedError


class Host:
    """A machine by name.  ``disk`` is the first of its ``disks``: what is not a broker's log lies there.

    ``nic_out`` and ``nic_in`` are stations whose service is ``bytes / nic_bytes_per_s``.
    ``cpu`` is None on a machine of its own, else the cores shared by all its processes.
    ``off`` while it has no power; ``boots`` counts its losses of power: it does not know the connections of before.
    """

    def __init__(
        self,
        name: str,
        rack: str | None,
        cores: int,
        nic_bytes_per_s: float,
        disk: Disk,
        shared: bool = False,
        more_disks: list[Disk] | None = None,
    ) -> None:
        if nic_bytes_per_s <= 0.0:
            raise ValueError("a host needs a network interface with a positive rate")
        self.name = name
        self.rack = rack
        self.cores = cores
        self.shared = shared
        self.disk = disk
        self.disks: list[Disk] = [disk] if more_disks is None else [disk, *more_disks]
        self.nic_bytes_per_s: float = nic_bytes_per_s
        self.nic_out = FifoStation("nic_out")
        self.nic_in = FifoStation("nic_in")
        self.cpu: PoolStation | None = PoolStation(cores, "cpu") if shared else None
        self.off: bool = False
        self.boots: int = 0
        self._built_bytes_per_s: float = nic_bytes_per_s
        self._caps: list[float] = []
        self._attached: list[Attached] = []
        self._prune_at: int = 64

    # ---- the interface's rate

    def attach(self, user: Attached) -> None:
        """``user`` wants to know when the interface's rate changes."""
        attached = self._attached
        attached.append(user)
        if len(attached) >= self._prune_at:
            self._attached = [one for one in attached if not one.closed]
            self._prune_at = 64 + 2 * len(self._attached)

    def cap_nic(self, bytes_per_s: float) -> None:
        """The interface does at most so much, each direction, until :meth:`uncap_nic`; the lowest of several holds.

        What was handed to the interface before keeps its pace (approximation).
        """
        self._caps.append(bytes_per_s)
        self._set_rate()

    def uncap_nic(self, bytes_per_s: float) -> None:
        """Such a cap ends."""
        self._caps.remove(bytes_per_s)
        self._set_rate()

    def _set_rate(self) -> None:
        self.nic_bytes_per_s = min([self._built_bytes_per_s, *self._caps])
        for user in self._attached:
            user.rate_changed()

    def power_off(self, now: float) -> None:
        """The machine is gone, with everything that its devices had planned."""
        self.off = True
        self.boots += 1
        for station in (self.nic_out, self.nic_in, *[disk.station for disk in self.disks]):
            station.reset(now)
        if self.cpu is not None:
            self.cpu.reset(now)

    def power_on(self) -> None:
        """It has booted."""
        self.off = False

    def compute(self, now: float, service_s: float) -> float:
        """CPU work that is ready ``now``; returns when it is done (s): at once on a host of its own."""
        cpu = self.cpu
        return now + service_s if cpu is None else cpu.serve(now, service_s)
