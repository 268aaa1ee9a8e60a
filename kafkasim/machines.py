"""The disks of a scenario's machines, made for the cluster.

What a device can do is the scenario's; where it stands in the page cache's write-back is drawn.
"""

from __future__ import annotations

from kafkasim.hosts.host import WRITE_BACK_EVERY_S, Disk
from kafkasim.kernel.streams import Streams
from kafkasim.scenario.model import DiskSpec


def make_disk(streams: Streams, spec: DiskSpec, name: str) -> Disk:
    """The disk ``name`` of a machine, with streams of its own."""
    phase_s = streams.stream(f"disk/{name}/write-back").uniform(0.0, WRITE_BACK_EVERY_S)
    draws = streams.stream(f"disk/{name}")
    return Disk(spec.read_bytes_per_s, spec.write_bytes_per_s, spec.fsync_p50_s, spec.fsync_p99_s, draws, phase_s)
