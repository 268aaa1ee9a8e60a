"""The file's schema: what a scenario may say, with the names that users write.

Each mapping of the file is a model that refuses unknown names; quantities carry units (see ``units``). What this
schema accepts is then held against itself (``cross_reference``) and resolved (``resolve``).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema

from kafkasim.scenario import units
from kafkasim.scenario.fields import (
    Configs,
    Duration,
    Identifier,
    PartitionNumber,
    PositiveDuration,
    PositiveRate,
    PositiveSize,
    Processing,
    ScenarioName,
    SignedDuration,
    Size,
    Strict,
    Text,
    TopicName,
    choose,
    wrong,
)
from kafkasim.scenario.schema_cluster import _HOST, Cluster, Host, HostChoice, Release, Topic
from kafkasim.scenario.schema_events import Event
from kafkasim.scenario.schema_quotas import Quota

Instances = Annotated[StrictInt, Field(ge=1, le=100_000)]
Number = Annotated[StrictInt | StrictFloat, Field(ge=0, le=1e6, allow_inf_nan=False)]
Weight = Annotated[StrictInt | StrictFloat, Field(gt=0, le=1e12, allow_inf_nan=False)]


class Keys(Strict):
    """A number of keys and how unevenly they are used."""

    count: Annotated[StrictInt, Field(ge=1, le=10**8)]
    zipf: Number | None = Field(None, description="Exponent of a Zipf law; absent = all keys alike.")


KeysChoice = Annotated[
    Annotated[Annotated[StrictInt, Field(ge=1, le=10**8)], Tag("(count)")] | Annotated[Keys, Tag("(keys)")],
    Discriminator(choose("(count)", "(keys)")),
]
PARTITIONER_WORDS = ("default", "sticky", "round")


class Partitioner(Strict):
    """Which partition a record goes to: exactly one of these, or one of the words default, sticky, round."""

    time_window: PositiveDuration | None = Field(
        None, description="floor(intended time / window) mod partitions, such as 1min."
    )
    keys: KeysChoice | None = Field(None, description="Keys hashed by murmur2: a count, or {count: 1000, zipf: 1.1}.")
    map: dict[Text, PartitionNumber] | None = Field(None, description="Partition of each key.")
    weights: dict[Text, Weight] | None = Field(None, description="With map: how often each key occurs; else alike.")
    round: StrictBool | None = Field(None, description="Record i goes to partition i mod n.")
    default: StrictBool | None = Field(None, description="The release's own partitioner.")

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: object) -> object:
        if isinstance(value, str):
            if value not in PARTITIONER_WORDS:
                allowed = ", ".join(PARTITIONER_WORDS) + ", {time_window: …}, {keys: …}, {map: …}"
                raise wrong("is not a partitioner", allowed)
            return {"default" if value == "sticky" else value: True}
        return value

    @model_validator(mode="after")
    def _one(self) -> Partitioner:
        given = [name for name in ("time_window", "keys", "map", "round", "default") if getattr(self, name)]
        if len(given) != 1:
            raise wrong("exactly one way to choose a partition is needed", "time_window, keys, map, round, default")
        if self.weights is not None and self.map is None:
            raise wrong("weights belong to map", "weights beside map")
        if self.map is not None and self.weights is not None and set(self.map) != set(self.weights):
            raise wrong("weights must name the same keys as map", ", ".join(self.map))
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        mapping = handler.resolve_ref_schema(handler(schema))
        return {"anyOf": [{"enum": list(PARTITIONER_WORDS)}, mapping]}


def _record(value: object) -> object:
    """One row of ``records``: [time, value size] or [time, value size, partition]."""
    if not isinstance(value, (list, tuple)) or len(value) not in (2, 3):
        raise wrong("a record is [time, size] or [time, size, partition]", "such as [10ms, 280B, 0]")
    try:
        row: list[float | int] = [units.parse_duration(value[0]), units.parse_size(value[1])]
    except units.UnitError as error:
        raise wrong(str(error), error.allowed) from None
    if len(value) == 3:
        if isinstance(value[2], bool) or not isinstance(value[2], int) or value[2] < 0:
            raise wrong("the third part of a record is a partition number", "0, 1, …")
        row.append(value[2])
    return row


RecordRow = Annotated[
    list[float | int],
    BeforeValidator(_record),
    WithJsonSchema({"type": "array", "minItems": 2, "maxItems": 3, "examples": [["10ms", "280B", 0]]}),
]


class Producer(Strict):
    """A producer application: what it sends, how, and its configs."""

    name: Identifier
    topic: TopicName
    instances: Instances = Field(1, description="Processes that share the rate.")
    rate: PositiveRate | None = Field(None, description="Records of all instances together, such as 20_000/s.")
    arrivals: Literal["constant", "poisson"] = "constant"
    records: Annotated[list[RecordRow], Field(min_length=1)] | None = Field(
        None, description="Instead of rate: [time, size], or [time, size, partition] for all of them, times ascending."
    )
    record_size: Size | None = Field(None, description="Size of a record's value, such as 280B.")
    key_size: PositiveSize | None = Field(None, description="Size of a record's key; absent = no key.")
    partitioner: Partitioner = Field(default_factory=lambda: Partitioner(default=True))
    start: Duration = Field(0.0, description="First intended time (default 0s).")
    stop: PositiveDuration | None = Field(None, description="No record is intended from here on.")
    timestamp_offset: SignedDuration = Field(
        0.0, description="By how much its clock is wrong: record timestamps lie so much ahead (1h) or behind (-30d)."
    )
    config: Configs
    host: HostChoice | None = _HOST
    rack: Identifier | None = None
    version: Release | None = Field(None, description="Client's release; the cluster's if absent.")


AssignChoice = Annotated[
    Annotated[Literal["all"], Tag("(all)")]
    | Annotated[dict[TopicName, Annotated[list[PartitionNumber], Field(min_length=1)]], Tag("(partitions)")],
    Discriminator(choose("(all)", "(partitions)")),
]


class Consumer(Strict):
    """A consumer group, or a consumer without one that reads assigned partitions."""

    name: Identifier | None = None
    group: Identifier | None = None
    topics: Annotated[list[TopicName], Field(min_length=1)] | None = None
    assign: AssignChoice | None = Field(None, description="Without group: all, or {topic: [0, 1]}.")
    members: Instances = Field(1, description="Consumers in the group.")
    processing: Processing = Field(0.0, description="Time the application spends on a record, such as 20us/record.")
    poll_timeout: Duration = Field(0.1, description="Longest wait of a poll() (default 100ms).")
    config: Configs
    host: HostChoice | None = _HOST
    rack: Identifier | None = None
    version: Release | None = Field(None, description="Client's release; the cluster's if absent.")


class Report(Strict):
    """What the report shows."""

    unavailability_threshold: PositiveDuration = Field(0.2, description="Shorter gaps are not listed (default 200ms).")
    interval: PositiveDuration = Field(1.0, description="Interval of time series (default 1s).")


class ScenarioFile(Strict):
    """A kafkasim scenario: a cluster, its load, what breaks, and what is expected."""

    name: ScenarioName
    description: Text = ""
    extends: Text | None = Field(None, description="A scenario file that this one changes, relative to it.")
    seed: Annotated[StrictInt, Field(ge=0, le=2**63 - 1)] = 1
    duration: PositiveDuration
    warmup: Duration = 0.0
    start: Literal["settled"] = "settled"
    start_of_day: Duration = Field(0.0, description="What the clock of day curves and time windows shows at t = 0.")
    cluster: Cluster
    hosts: dict[Identifier, Host] = Field(default_factory=dict, description="Machines that several processes share.")
    topics: dict[TopicName, Topic] = Field(default_factory=dict)
    producers: list[Producer] = Field(default_factory=list)
    consumers: list[Consumer] = Field(default_factory=list)
    quotas: list[Quota] = Field(default_factory=list, description="Client quotas, by entity.")
    events: list[Event] = Field(default_factory=list)
    expect: list[Text] = Field(default_factory=list)
    checks: Literal["sampled", "thorough"] = Field(
        "sampled", description="Invariants of replication: looked at each interval, or after every event (slower)."
    )
    report: Report = Field(default_factory=Report)
