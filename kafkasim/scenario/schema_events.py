"""The file's schema for ``events``: what happens at a time, one verb each."""

from __future__ import annotations

from math import inf
from typing import Annotated, Literal

from pydantic import Discriminator, Field, StrictInt, Tag, model_validator

from kafkasim.scenario.conditions import FORMS as CONDITIONS
from kafkasim.scenario.fields import (
    BrokerId,
    Duration,
    NumberKey,
    PartitionNumber,
    PositiveByteRate,
    PositiveDuration,
    Strict,
    Text,
    TopicName,
    choose,
    wrong,
)
from kafkasim.scenario.schema_chance import RandomFaults
from kafkasim.scenario.schema_cluster import Topic
from kafkasim.scenario.targets import FORMS

Places = Annotated[
    Annotated[Text, Tag("(place)")] | Annotated[list[Text], Field(min_length=1), Tag("(places)")],
    Discriminator(choose("(place)", "(mapping)", "(places)")),
]


class Ends(Strict):
    """Two sets of machines: {between: broker 2, and: zookeeper}, or one way {from: broker 2, to: zookeeper}."""

    between: Places | None = Field(None, description="Both ways, with 'and'.")
    and_: Places | None = Field(None, alias="and")
    from_: Places | None = Field(None, alias="from", description="One way, with 'to'.")
    to: Places | None = None

    @model_validator(mode="after")
    def _pair(self) -> Ends:
        given = {name for name in ("between", "and_", "from_", "to") if getattr(self, name) is not None}
        if given not in ({"between", "and_"}, {"from_", "to"}):
            raise wrong("two ends are needed", "{between: A, and: B} or {from: A, to: B}")
        return self


class SlowEnds(Ends):
    """Two sets of machines and what is added to each one-way trip between them."""

    add: PositiveDuration = Field(description="Added to the one-way latency.")
    jitter: Duration = Field(0.0, description="Mean of an exponential part on top.")


class LossyEnds(Ends):
    """Two sets of machines and the share of packets that is lost between them."""

    probability: Annotated[float, Field(gt=0.0, le=0.9)] = Field(
        description="A packet's chance to be lost, such as 0.01."
    )


class CreateTopic(Topic):
    """A topic that does not exist before."""

    name: TopicName


class AddPartitions(Strict):
    """More partitions for a topic."""

    topic: TopicName
    to: Annotated[StrictInt, Field(ge=2, le=200_000)] = Field(description="How many it has then.")


Topics = Annotated[
    Annotated[Literal["all"], Tag("(all)")] | Annotated[list[TopicName], Field(min_length=1), Tag("(topics)")],
    Discriminator(choose("(all)", "(mapping)", "(topics)")),
]


class Reassign(Strict):
    """Replicas move: {topics: [orders], to: [1, 2, 3]}, placed anew, or {topic: orders, assignment: {0: [1, 2]}}."""

    topics: Topics | None = Field(None, description="Topics by name, or all, with 'to'.")
    to: Annotated[list[BrokerId], Field(min_length=1)] | None = Field(None, description="Brokers that hold them then.")
    topic: TopicName | None = Field(None, description="One topic, with 'assignment'.")
    assignment: dict[NumberKey, Annotated[list[BrokerId], Field(min_length=1)]] | None = Field(
        None, description="New replicas of some of its partitions, preferred leader first."
    )
    throttle: PositiveByteRate | None = Field(
        None, description="What each broker sends, and takes, of the copies, such as 10MB/s; absent: no limit."
    )

    @model_validator(mode="after")
    def _pair(self) -> Reassign:
        given = {name for name in ("topics", "to", "topic", "assignment") if getattr(self, name) is not None}
        if given not in ({"topics", "to"}, {"topic", "assignment"}):
            raise wrong("what moves where is needed", "{topics: [T], to: [ids]} or {topic: T, assignment: {0: [ids]}}")
        return self


class ElectLeaders(Strict):
    """What kafka-leader-election asks for: {election_type: unclean, topic: orders, partition: 0}."""

    election_type: Literal["preferred", "unclean"] = Field(
        description="unclean: a partition without a leader gets any live replica, and loses what that has not."
    )
    topic: TopicName | None = Field(None, description="Absent: every partition.")
    partition: PartitionNumber | None = Field(None, description="With topic; absent: all of it.")

    @model_validator(mode="after")
    def _pair(self) -> ElectLeaders:
        if self.partition is not None and self.topic is None:
            raise wrong("a partition needs its topic", "topic: NAME beside partition")
        return self


class CappedNic(Strict):
    """A machine whose network card is slower, each direction: {host: broker 2, rate: 100Mbit/s}."""

    host: Text = Field(description=f"Whose machine: {FORMS}.")
    rate: PositiveByteRate = Field(description="What the card does meanwhile, each direction, such as 100Mbit/s.")


class Event(Strict):
    """What happens at a time, or when something has happened: exactly one verb with its target."""

    at: Duration = Field(inf, description="When it begins, such as 20s; or 'when'.")
    when: Text | None = Field(
        None, description=f"Instead of 'at': it begins the first time that this happens: {'; '.join(CONDITIONS)}."
    )
    after: Duration | None = Field(None, description="How long after the condition of 'when' (default 0s).")
    crash: Text | None = Field(
        None,
        description=f"SIGKILL of: {FORMS}.",
    )
    stop: Text | None = Field(None, description="SIGTERM: a broker hands over its leaderships and stops cleanly.")
    freeze: Text | None = Field(
        None, description="SIGSTOP, or a long garbage collection, of a process; 'for' is needed."
    )
    power_loss: Text | None = Field(None, description="The machine is gone without a word; 'for' = until it boots.")
    slow_disk: Text | None = Field(
        None, description="The disks of a process's machine get slower: by 'factor' and 'add'."
    )
    disk_full: Text | None = Field(None, description="The disks of a broker's machine are full: directories fail.")
    disk_failed: Text | None = Field(None, description="I/O errors on the disks of a broker's machine.")
    factor: Annotated[float, Field(ge=1.0, le=1e6)] | None = Field(
        None, description="Of slow_disk: rates are divided, syncs take so many times as long."
    )
    add: Duration | None = Field(None, description="Of slow_disk: added to every sync, read and write.")
    disk: Annotated[StrictInt, Field(ge=1, le=64)] | None = Field(
        None, description="Of slow_disk, disk_full, disk_failed: which disk of the machine (from 1); absent = all."
    )
    clock_skew: Text | None = Field(
        None, description="A process's wall clock is wrong: 'ahead' or 'behind' by so much, or 'drift'."
    )
    random_faults: RandomFaults | None = Field(
        None, description="Faults at random times: {crash: {every: 10min, for: 30s}, targets: brokers}."
    )
    partition: Ends | None = Field(None, description="Nothing gets through between two sets of machines.")
    latency: SlowEnds | None = Field(None, description="Links get slower by {add: 5ms}.")
    loss: LossyEnds | None = Field(None, description="Links lose packets with {probability: 0.01}.")
    elect_preferred_leaders: Literal["all"] | None = Field(None, description="Preferred-leader election.")
    elect_leaders: ElectLeaders | None = Field(
        None, description="Election by order: {election_type: unclean, topic: orders, partition: 0}."
    )
    nic_capped: CappedNic | None = Field(
        None, description="A network card gets slower: {host: broker 2, rate: 100Mbit/s}."
    )
    rolling_restart: Literal["brokers"] | None = Field(
        None, description="One broker after the other stops and starts, each when the cluster is whole again."
    )
    create_topic: CreateTopic | None = Field(None, description="A new topic: {name: orders, partitions: 6}.")
    delete_topic: TopicName | None = Field(None, description="A topic goes, with its records.")
    add_partitions: AddPartitions | None = Field(None, description="{topic: orders, to: 12}.")
    reassign: Reassign | None = Field(None, description="Replicas move: {topics: all, to: [1, 2, 3, 4]}.")
    pause: Duration | None = Field(None, description="Of a rolling restart: between two brokers (default 0s).")
    ahead: PositiveDuration | None = Field(None, description="Of a clock: so much too late it reads.")
    behind: PositiveDuration | None = Field(None, description="Of a clock: so much too early it reads.")
    drift: PositiveDuration | None = Field(
        None, description="Of a clock: gained each second (with 'behind': lost), such as 1ms."
    )
    for_: Duration | None = Field(
        None, alias="for", description="How long it lasts; after a crash, stop or power loss: until the first start."
    )


OPTIONS = ("at", "when", "after", "for_", "pause", "factor", "add", "disk", "ahead", "behind", "drift")
"""What stands beside a verb."""
VERBS = tuple(name for name in Event.model_fields if name not in OPTIONS)
"""Every verb, in the order of the schema."""
DISKS = ("slow_disk", "disk_full", "disk_failed")
"""Verbs that act on the disks of a machine."""
TARGETED = ("crash", "stop", "freeze", "power_loss", "clock_skew", *DISKS)
"""Verbs whose value is a target."""
LINKS = ("partition", "latency", "loss")
"""Verbs that act on links."""
TOPICS = ("create_topic", "delete_topic", "add_partitions", "reassign")
"""Orders about topics."""
LASTING = (
    "crash", "stop", "freeze", "power_loss", "clock_skew", "random_faults", "rolling_restart", "nic_capped",
    *DISKS, *LINKS,
)  # fmt: skip
"""Verbs that know ``for``."""
NEED_FOR = ("freeze",)
"""Verbs that make no sense without ``for``."""
