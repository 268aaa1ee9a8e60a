"""A disk behind the page cache: sequential rates, the cost of an fsync, and what makes it slow, full or dead.

Appends go to the page cache and cost no disk time in their path, unless a flush is asked for or the system holds
writers back (:mod:`kafkasim.hosts.write_back`).  What waits for the disk is an fsync (ZooKeeper's log, a leader-epoch
file, a flush) and a cold read (recovery).

Approximation: what has been asked for before a change of speed ends as it was promised; what comes later waits for it
and takes the new time.
"""

from __future__ import annotations

from collections.abc import Callable
from math import floor
from typing import Final

from kafkasim.hosts.write_back import WRITE_BACK_AGE_S, WRITE_BACK_EVERY_S, WriteBack
from kafkasim.kernel.stations import FifoStation
from kafkasim.kernel.streams import Stream

UNLIMITED: Final = -1


class Slowness:
    """One reason for a disk to be slow: rates divided and syncs multiplied by ``factor``, ``extra_s`` on each job."""

    def __init__(self, factor: float, extra_s: float) -> None:
        self.factor: float = factor
        self.extra_s: float = extra_s


class Disk:
    """A device with its present rates (bytes/s) and sync times (s); an fsync's service is lognormal.

    ``write_back`` is the page cache's flusher where it can hold writers back, else None.  ``full`` and ``failed`` count
    the reasons for which it is; ``users`` tell what each broker keeps on it (bytes).
    """

    def __init__(
        self,
        read_bytes_per_s: float,
        write_bytes_per_s: float,
        fsync_p50_s: float,
        fsync_p99_s: float,
        draws: Stream,
        write_back_phase_s: float = 0.0,
        capacity_bytes: int = UNLIMITED,
    ) -> None:
        self.read_bytes_per_s: float = read_bytes_per_s
        self.write_bytes_per_s: float = write_bytes_per_s
        self.fsync_p50_s = fsync_p50_s
        self.fsync_p99_s = fsync_p99_s
        self.station = FifoStation("disk")
        self.write_back: WriteBack | None = None
        self.capacity_bytes: int = capacity_bytes
        self.full: int = 0
        self.failed: int = 0
        self.fault_row: int = 0
        self.users: list[Callable[[Disk], int]] = []
        self._draws = draws
        self._write_back_phase_s: float = write_back_phase_s
        self._rated_read: float = read_bytes_per_s
        self._rated_write: float = write_bytes_per_s
        self._slowness: list[Slowness] = []
        self._factor: float = 1.0
        self._extra_s: float = 0.0
        self._used_at_most: int = 0

    # ---- work

    def fsync(self, now: float) -> float:
        """One fsync that is asked for ``now``; returns when it is done (s)."""
        service_s = self._draws.lognormal(self.fsync_p50_s, self.fsync_p99_s)
        if self._slowness:
            service_s = service_s * self._factor + self._extra_s
        return self.station.serve(now, service_s)

    def read(self, now: float, size_bytes: int) -> float:
        """A sequential read of ``size_bytes`` from the platter; returns when it is done (s)."""
        return self.station.serve(now, size_bytes / self.read_bytes_per_s + self._extra_s)

    def write(self, now: float, size_bytes: int) -> float:
        """A sequential write of ``size_bytes`` to the platter; returns when it is done (s)."""
        return self.station.serve(now, size_bytes / self.write_bytes_per_s + self._extra_s)

    def written_back_at(self, now: float) -> float:
        """What was written up to then (s) the operating system has put on the device by itself.

        Linux's flusher wakes every ``dirty_writeback_centisecs`` and writes what is older than
        ``dirty_expire_centisecs``, at a phase of its own.
        """
        if self.write_back is not None:
            return self.write_back.written_back_at(now)
        phase_s = self._write_back_phase_s
        return floor((now - phase_s) / WRITE_BACK_EVERY_S) * WRITE_BACK_EVERY_S + phase_s - WRITE_BACK_AGE_S

    def watch_write_back(self, memory_bytes: int) -> None:
        """Model the flusher and its limits byte by byte (it may be held back, or hold writers back)."""
        self.write_back = WriteBack(memory_bytes, self._rated_write, self._write_back_phase_s)

    # ---- what is wrong with it

    def slow_down(self, slowness: Slowness, now: float) -> None:
        """From ``now`` on it is slower, by every reason at once."""
        self._slowness.append(slowness)
        self._set_rates(now)

    def speed_up(self, slowness: Slowness, now: float) -> None:
        """One reason is gone; without any the rates are exactly what they were."""
        self._slowness.remove(slowness)
        self._set_rates(now)

    def _set_rates(self, now: float) -> None:
        self._factor = 1.0
        self._extra_s = 0.0
        for slowness in self._slowness:
            self._factor *= slowness.factor
            self._extra_s += slowness.extra_s
        self.read_bytes_per_s = self._rated_read / self._factor
        self.write_bytes_per_s = self._rated_write / self._factor
        if self.write_back is not None:
            self.write_back.set_rate(self.write_bytes_per_s, now)

    def takes(self, size_bytes: int) -> bool:
        """Whether ``size_bytes`` more can be written to it."""
        if self.failed > 0 or self.full > 0:
            return False
        if self.capacity_bytes == UNLIMITED:
            return True
        self._used_at_most += size_bytes
        if self._used_at_most <= self.capacity_bytes:
            return True
        # Nobody tells what has been deleted since: count.
        used = size_bytes
        for user in self.users:
            used += user(self)
        self._used_at_most = used
        return used <= self.capacity_bytes
