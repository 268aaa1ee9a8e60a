"""Snapshots of one server's tree (FileSnap): a thread beside the pipeline, or in its way.

A snapshot goes through the page cache to the disk in pieces; on a device that the log
shares, its fsyncs wait behind a piece that the disk works on.

Left out: the processor time of writing one, compression.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kafkasim.hosts.disk import Disk
from kafkasim.hosts.life import Life
from kafkasim.kernel.stations import FifoStation
from kafkasim.zookeeper.parameters import ZooKeeperParameters


class Snapshots:
    """``taken`` counts the ones of the thread; ``running`` tells whether it writes one now (the next is skipped)."""

    def __init__(self, life: Life, disk: Disk, parameters: ZooKeeperParameters) -> None:
        self.taken: int = 0
        self.skipped: int = 0
        self.running = False
        self._life = life
        self._disk = disk
        self._parameters = parameters
        self._station = FifoStation("snapshots") if parameters.log_on_own_device else disk.station

    def take(self, size_bytes: int, done: Callable[[int], None]) -> None:
        """Write one beside the pipeline, unless one is being written; ``done(size_bytes)`` at its end."""
        if self.running:
            self.skipped += 1
            return
        self.running = True
        self._piece((size_bytes, self._taken, (size_bytes, done)))

    def write(self, size_bytes: int, synced: bool, then: Callable[[Any], None], argument: Any) -> None:
        """Write one in the main thread, with an fsync if ``synced``; then call."""
        self._piece((size_bytes, self._sync if synced else then, (then, argument) if synced else argument))

    def read(self, size_bytes: int, then: Callable[[Any], None], argument: Any) -> None:
        """Read snapshot and log back from the disk; then call."""
        done = self._station.serve(self._life.scheduler.now, size_bytes / self._disk.read_bytes_per_s)
        self._life.plan(done, then, argument)

    def stop(self) -> None:
        """The process has died."""
        self.running = False

    def _piece(self, left: tuple[int, Callable[[Any], None], Any]) -> None:
        left_bytes, then, argument = left
        now = self._life.scheduler.now
        piece_bytes = min(left_bytes, self._parameters.write_back_bytes)
        done = self._station.serve(now, piece_bytes / self._disk.write_bytes_per_s)
        if piece_bytes == left_bytes:
            self._life.plan(done, then, argument)
        else:
            self._life.plan(done, self._piece, (left_bytes - piece_bytes, then, argument))

    def _sync(self, what: tuple[Callable[[Any], None], Any]) -> None:
        then, argument = what
        self._life.plan(self._disk.fsync(self._life.scheduler.now), then, argument)

    def _taken(self, what: tuple[int, Callable[[int], None]]) -> None:
        size_bytes, done = what
        self.running = False
        self.taken += 1
        done(size_bytes)
