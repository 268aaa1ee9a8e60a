"""The disks of a scenario's machines, made for the cluster.

What a device can do is the scenario's; where it stands in the write-back of the page cache is drawn.  That is modelled
byte by byte where it could hold writers back: on a disk that the scenario describes, or that events make slow.  The
default disk takes what the default interface brings for as long as a run lasts.
"""

from __future__ import annotations

from kafkasim.hosts.disk import UNLIMITED, Disk
from kafkasim.hosts.write_back import WRITE_BACK_EVERY_S
from kafkasim.kernel.streams import Streams
from kafkasim.scenario import Scenario
from kafkasim.scenario.model import DiskSpec, HostSpec


def make_disks(scenario: Scenario, streams: Streams, spec: HostSpec, name: str) -> list[Disk]:
    """The disks of the machine ``name``, each with streams of its own."""
    slow = any(event.verb == "slow_disk" for event in scenario.events)
    disks: list[Disk] = []
    for number, described in enumerate(spec.disks):
        disk = _make(streams, described, name if number == 0 else f"{name}/{number}")
        if slow or described != DiskSpec():
            disk.watch_write_back(spec.memory_bytes)
        disks.append(disk)
    return disks


def _make(streams: Streams, spec: DiskSpec, name: str) -> Disk:
    phase_s = streams.stream(f"disk/{name}/write-back").uniform(0.0, WRITE_BACK_EVERY_S)
    return Disk(
        spec.read_bytes_per_s, spec.write_bytes_per_s, spec.fsync_p50_s, spec.fsync_p99_s,
        streams.stream(f"disk/{name}"), phase_s, UNLIMITED if spec.capacity_bytes is None else spec.capacity_bytes,
    )  # fmt: skip


def watches_storage(scenario: Scenario) -> bool:
    """Whether appends may have to wait for a disk, or find it full or broken."""
    if any(event.verb in ("slow_disk", "disk_full", "disk_failed") for event in scenario.events):
        return True
    hosts = [scenario.cluster.brokers.host_of(broker_id) for broker_id in scenario.cluster.brokers.ids]
    specs = [scenario.hosts.get(host) if isinstance(host, str) else host for host in hosts]
    if any(spec is not None and any(disk != DiskSpec() for disk in spec.disks) for spec in specs):
        return True
    never = 2**63 - 1
    topics = [scenario.topic_config(topic)["flush.messages"] for topic in scenario.topics]
    brokers = [scenario.broker_config(n)["log.flush.interval.messages"] for n in scenario.cluster.brokers.ids]
    return any(value != never for value in [*topics, *brokers])
