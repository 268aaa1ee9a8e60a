"""The parts of a resolved scenario: plain, frozen, in SI units (seconds, bytes, per second).

What the file may leave out is filled in, what it writes with units is a number, what it names exists. The rooms that
build and run a cluster read these and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kafkasim.scenario.conditions import ConditionSpec
from kafkasim.scenario.costs import CostsSpec
from kafkasim.scenario.places import LinkFaultSpec
from kafkasim.scenario.targets import TargetSpec
from kafkasim.scenario.versions import LATEST, Version

ConfigMap = dict[str, Any]
"""Configs as the file gives them, by Kafka's names."""


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """A device. Defaults (assumed): one data-centre NVMe drive. A sync takes a lognormal time with these two points."""

    read_bytes_per_s: float = 2.0e9
    write_bytes_per_s: float = 1.0e9
    fsync_p50_s: float = 300e-6
    fsync_p99_s: float = 1.5e-3


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A machine. Start-up (assumed 3 s): a broker's process from its start until it begins to load its logs."""

    cores: int = 8
    memory_bytes: int = 32 << 30
    nic_bytes_per_s: float = 1.25e9
    disk: DiskSpec = DiskSpec()
    start_up_s: float = 3.0
    restart_delay_s: float = 5.0
    """How long the supervisor waits before it starts a process that ended by itself."""
    costs: CostsSpec = field(default_factory=CostsSpec)


HostRef = str | HostSpec | None
"""A name in ``hosts:`` = that one shared machine; a spec or None (the default profile) = a machine of its own."""


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One-way delay; jitter is the mean of an exponential part on top, order kept within a connection."""

    latency_s: float
    jitter_s: float = 0.0


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Links by rack. Without racks everything is in the same one."""

    same_rack: LinkSpec = LinkSpec(100e-6)
    cross_rack: LinkSpec = LinkSpec(500e-6)
    loopback_latency_s: float = 20e-6


@dataclass(frozen=True, slots=True)
class BrokerOverride:
    """What one broker has otherwise than the rest."""

    config: ConfigMap = field(default_factory=dict)
    host: HostRef = None
    rack: str | None = None


@dataclass(frozen=True, slots=True)
class BrokersSpec:
    """The brokers: ids ascending as given, racks dealt out in turn."""

    ids: tuple[int, ...] = (1,)
    racks: list[str] | None = None
    host: HostRef = None
    config: ConfigMap = field(default_factory=dict)
    overrides: dict[int, BrokerOverride] = field(default_factory=dict)

    def rack_of(self, broker_id: int) -> str | None:
        """The rack of a broker, or None."""
        own = self.overrides.get(broker_id)
        if own is not None and own.rack is not None:
            return own.rack
        return self.racks[self.ids.index(broker_id) % len(self.racks)] if self.racks else None

    def host_of(self, broker_id: int) -> HostRef:
        """What a broker runs on."""
        own = self.overrides.get(broker_id)
        return own.host if own is not None and own.host is not None else self.host


@dataclass(frozen=True, slots=True)
class ZooKeeperSpec:
    """The ensemble: voters 1 … n, then observers. ``initial_sessions`` pins the server of a broker's session."""

    servers: int = 1
    observers: int = 0
    host: HostRef = None
    racks: list[str] | None = None
    config: ConfigMap = field(default_factory=dict)
    initial_leader: int | None = None
    initial_sessions: dict[str, int] = field(default_factory=dict)

    def rack_of(self, server_id: int) -> str | None:
        """The rack of a server, or None."""
        return self.racks[(server_id - 1) % len(self.racks)] if self.racks else None


@dataclass(frozen=True, slots=True)
class ControllerSpec:
    """The controller. ``pipelined_zookeeper`` False: one request at a time, as before Kafka 1.1 (an experiment)."""

    pipelined_zookeeper: bool = True


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """Brokers, ensemble and network, of one Kafka release."""

    version: Version = LATEST
    brokers: BrokersSpec = BrokersSpec()
    zookeeper: ZooKeeperSpec = ZooKeeperSpec()
    network: NetworkSpec = NetworkSpec()
    initial_controller: int | None = None
    controller: ControllerSpec = ControllerSpec()


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic. With ``assignment`` the replicas of each partition are given, preferred leader first."""

    partitions: int
    replication_factor: int
    assignment: dict[int, list[int]] | None = None
    config: ConfigMap = field(default_factory=dict)
    initial: int | None = None
    """How many of the partitions exist at t = 0 (None: all); events create the others."""


@dataclass(frozen=True, slots=True)
class PartitionerSpec:
    """Which partition a record goes to.

    ``default``: the release's own (sticky without keys). ``keys``: one of ``keys_count`` keys, evenly or by a Zipf law
    with exponent ``zipf``, hashed by murmur2. ``map``: a key chosen by ``weights``, its partition given by ``map``.
    ``time_window``: floor(intended time / ``window_s``) mod partitions. ``round``: record i to partition i mod n.
    """

    kind: str = "default"
    keys_count: int | None = None
    zipf: float | None = None
    map: dict[str, int] | None = None
    weights: dict[str, float] | None = None
    window_s: float | None = None


@dataclass(frozen=True, slots=True)
class ProducerSpec:
    """A producer application of one or more instances, and its open-loop load (the rate is the total)."""

    name: str
    topic: str
    instances: int = 1
    rate_per_s: float | None = None
    arrivals: str = "paced"
    """``paced`` (evenly, with a drawn phase) or ``poisson``."""
    records: list[list[float | int]] | None = None
    """Instead of a rate: [time in s, value size in bytes] or [time, size, partition], times ascending."""
    record_size_bytes: int = 0
    key_size_bytes: int | None = None
    """None = no key."""
    partitioner: PartitionerSpec = PartitionerSpec()
    start_s: float = 0.0
    stop_s: float | None = None
    """None = the end of the run."""
    config: ConfigMap = field(default_factory=dict)
    host: HostRef = None
    rack: str | None = None
    version: Version = LATEST


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A consumer group, or (``group`` None) one consumer that reads partitions assigned to it by hand."""

    name: str
    group: str | None
    topics: list[str]
    partitions: dict[str, list[int]] | None = None
    """Of a consumer without group: the partitions of each topic, all listed."""
    members: int = 1
    processing_s_per_record: float = 0.0
    poll_timeout_s: float = 0.1
    config: ConfigMap = field(default_factory=dict)
    host: HostRef = None
    rack: str | None = None
    version: Version = LATEST


@dataclass(frozen=True, slots=True)
class TopicOrderSpec:
    """What an administrator asks for: a topic, more partitions (``count``), replicas elsewhere."""

    topics: tuple[str, ...]
    count: int | None = None
    to: tuple[int, ...] | None = None
    """Brokers among which the replicas are placed anew."""
    assignment: dict[int, list[int]] | None = None


@dataclass(frozen=True, slots=True)
class EventSpec:
    """Something that happens at a time: a fault, or an order to the cluster."""

    at_s: float
    """When it begins; with ``when``: 0."""
    verb: str
    """The schema's name of it, such as ``crash``."""
    target: TargetSpec | None = None
    for_s: float | None = None
    """How long it lasts (a crash: until the first start); None = the supervisor's delay, or to the end of the run."""
    link: LinkFaultSpec | None = None
    partitions: str = "all"
    pause_s: float = 0.0
    """Of a rolling restart: between two brokers."""
    order: TopicOrderSpec | None = None
    when: ConditionSpec | None = None
    """It begins ``after_s`` after the first time that this happens; None: at ``at_s``."""
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReportSpec:
    """What a report shows."""

    unavailability_threshold_s: float = 0.2
    interval_s: float = 1.0
    """Width of an interval of the time series."""
