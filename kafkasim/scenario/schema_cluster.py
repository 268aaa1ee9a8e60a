"""The file's schema, below ``cluster:``, ``hosts:`` and ``topics:``. Field names are what users write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, StrictInt, Tag, create_model

from kafkasim.scenario.costs import cost_docs
from kafkasim.scenario.errors import nearest
from kafkasim.scenario.fields import (
    BrokerId,
    Configs,
    Cost,
    Duration,
    Identifier,
    NumberKey,
    PositiveByteRate,
    PositiveDuration,
    PositiveSize,
    Strict,
    Text,
    choose,
    wrong,
)
from kafkasim.scenario.units import format_duration
from kafkasim.scenario.versions import LAST_PATCH, LATEST, Version, accept, accepted_text


def _costs_model() -> type[Strict]:
    """One optional field for each cost, named without its ``_s``."""
    fields: dict[str, Any] = {}
    for name, (default, source, doc) in cost_docs().items():
        text = f"CPU time of {doc} ({source}; default {format_duration(default)})."
        fields[name] = (Cost, Field(default, description=text))
    return create_model("Costs", __base__=Strict, __doc__="CPU costs of a host.", **fields)


if TYPE_CHECKING:
    Costs = Strict
else:
    Costs = _costs_model()


class Disk(Strict):
    """A device: bandwidth, and how long a sync takes (lognormal)."""

    read: PositiveByteRate | None = Field(None, description="Sequential read bandwidth (assumed 2 GB/s).")
    write: PositiveByteRate | None = Field(None, description="Write bandwidth (assumed 1 GB/s).")
    fsync_p50: PositiveDuration | None = Field(None, description="Median time of a sync (assumed 300 us).")
    fsync_p99: PositiveDuration | None = Field(None, description="99th percentile of a sync (assumed 1.5 ms).")


class Host(Strict):
    """A machine: cores, memory, network card, disk and what work costs its CPU."""

    cores: Annotated[StrictInt, Field(ge=1, le=4096)] = Field(8, description="CPU cores.")
    memory: PositiveSize = Field(32 << 30, description="Main memory (default 32GiB).")
    nic: PositiveByteRate = Field(1.25e9, description="Network card, each direction (default 10Gbit/s).")
    disk: Disk = Field(default_factory=Disk)
    start_up: Duration = Field(3.0, description="From a broker's start until it loads its logs (assumed 3s).")
    restart_delay: Duration = Field(5.0, description="Pause of the supervisor before a start (default 5s).")
    costs: Costs = Field(default_factory=Costs)


HostChoice = Annotated[
    Annotated[Identifier, Tag("(name)")] | Annotated[Host, Tag("(host)")], Discriminator(choose("(name)", "(host)"))
]
"""``host: lab`` (a machine of ``hosts:``), ``host: default``, or an inline machine."""
_HOST = Field(None, description="A name in hosts: (one shared machine), default, or a machine inline (one for each).")


class Link(Strict):
    """One-way delay of a link, and jitter on top (mean of an exponential)."""

    latency: Duration
    jitter: Duration = 0.0


LinkChoice = Annotated[
    Annotated[Duration, Tag("(latency)")] | Annotated[Link, Tag("(link)")],
    Discriminator(choose("(latency)", "(link)")),
]


class Network(Strict):
    """Links by rack."""

    same_rack: LinkChoice = Field(100e-6, description="Within a rack (default 100us).")
    cross_rack: LinkChoice = Field(500e-6, description="Between racks (default 500us).")
    loopback: Duration = Field(20e-6, description="Between processes of one host (default 20us).")


Racks = Annotated[list[Identifier], Field(min_length=1, max_length=1000)]


class BrokerOverrides(Strict):
    """What one broker has otherwise than the rest: its configs (in config, or right here), its host, its rack."""

    config: Configs
    host: HostChoice | None = _HOST
    rack: Identifier | None = None


class Brokers(Strict):
    """The brokers of the cluster."""

    count: Annotated[StrictInt, Field(ge=1, le=1000)] | None = Field(
        None, description="How many; their ids are 1 to count (1 if absent)."
    )
    ids: Annotated[list[BrokerId], Field(min_length=1, max_length=1000)] | None = Field(
        None, description="Instead of count."
    )
    racks: Racks | None = Field(None, description="Dealt out to the brokers in turn.")
    host: HostChoice | None = _HOST
    config: Configs
    overrides: dict[NumberKey, BrokerOverrides] = Field(
        default_factory=dict, description="By broker id: {1: {replica.fetch.wait.max.ms: 100, rack: b}}."
    )


class ZooKeeper(Strict):
    """The ZooKeeper ensemble."""

    servers: Annotated[StrictInt, Field(ge=1, le=31)] = Field(1, description="Voting servers; ids are 1 to n.")
    observers: Annotated[StrictInt, Field(ge=0, le=31)] = Field(
        0, description="Servers without a vote beside them; their ids go on from n + 1."
    )
    host: HostChoice | None = _HOST
    racks: Racks | None = Field(None, description="Dealt out to the servers in turn.")
    config: Configs
    initial_leader: Annotated[StrictInt, Field(ge=1)] | None = Field(None, description="Else it is drawn.")
    initial_sessions: dict[Text, Annotated[StrictInt, Field(ge=1)]] = Field(
        default_factory=dict, description="Server that a broker's session hangs on: {broker 1: 2}. Else it is drawn."
    )


def _version(value: object) -> Version:
    if isinstance(value, Version):
        return value
    lines = [f"{major}.{minor}" for major, minor in LAST_PATCH]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise wrong(f'a release is text: write "{value}" in quotes', accepted_text())
    if not isinstance(value, str):
        raise wrong("a Kafka release is expected", accepted_text())
    try:
        return accept(value)
    except ValueError as error:
        raise wrong(str(error), f"{accepted_text()} and their patch releases", nearest(value, lines) or "") from None


class _ReleaseSchema:
    """Shows a release as text in the JSON Schema."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(_version)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        lines = "|".join(f"{major}\\.{minor}" for major, minor in LAST_PATCH)
        return {"type": "string", "pattern": f"^(?:{lines})(?:\\.[0-9]+)?$", "examples": [LATEST.line]}


Release = Annotated[Version, _ReleaseSchema]


class Controller(Strict):
    """How the controller works."""

    zookeeper_client: Literal["pipelined", "synchronous"] = Field(
        "pipelined", description="synchronous: one request at a time, as before Kafka 1.1 (an experiment)."
    )


class Cluster(Strict):
    """The Kafka cluster and its ensemble."""

    version: Release = Field(LATEST, description='Kafka release, such as "3.9".')
    brokers: Brokers = Field(default_factory=lambda: Brokers.model_validate({}))
    zookeeper: ZooKeeper = Field(default_factory=lambda: ZooKeeper.model_validate({}))
    network: Network = Field(default_factory=Network)
    initial_controller: BrokerId | None = Field(None, description="Broker that is controller at t = 0; else drawn.")
    controller: Controller = Field(default_factory=lambda: Controller.model_validate({}))


class Topic(Strict):
    """A topic that exists from the start."""

    partitions: Annotated[StrictInt, Field(ge=1, le=200_000)] | None = Field(
        None, description="Number of partitions (broker config num.partitions if absent)."
    )
    replication_factor: Annotated[StrictInt, Field(ge=1, le=1000)] | None = Field(
        None, description="Replicas of each partition (broker config default.replication.factor if absent)."
    )
    assignment: dict[NumberKey, Annotated[list[BrokerId], Field(min_length=1)]] | None = Field(
        None, description="Replicas of each partition by broker id, preferred leader first: {0: [1, 3]}."
    )
    config: Configs
