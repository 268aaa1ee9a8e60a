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
    PositiveDuration,
    Strict,
    Text,
    TopicName,
    choose,
    wrong,
)
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

    @model_validator(mode="after")
    def _pair(self) -> Reassign:
        given = {name for name in ("topics", "to", "topic", "assignment") if getattr(self, name) is not None}
        if given not in ({"topics", "to"}, {"topic", "assignment"}):
            raise wrong("what moves where is needed", "{topics: [T], to: [ids]} or {topic: T, assignment: {0: [ids]}}")
        return self


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
    partition: Ends | None = Field(None, description="Nothing gets through between two sets of machines.")
    latency: SlowEnds | None = Field(None, description="Links get slower by {add: 5ms}.")
    loss: LossyEnds | None = Field(None, description="Links lose packets with {probability: 0.01}.")
    elect_preferred_leaders: Literal["all"] | None = Field(None, description="Preferred-leader election.")
    rolling_restart: Literal["brokers"] | None = Field(
        None, description="One broker after the other stops and starts, each when the cluster is whole again."
    )
    create_topic: CreateTopic | None = Field(None, description="A new topic: {name: orders, partitions: 6}.")
    delete_topic: TopicName | None = Field(None, description="A topic goes, with its records.")
    add_partitions: AddPartitions | None = Field(None, description="{topic: orders, to: 12}.")
    reassign: Reassign | None = Field(None, description="Replicas move: {topics: all, to: [1, 2, 3, 4]}.")
    pause: Duration | None = Field(None, description="Of a rolling restart: between two brokers (default 0s).")
    for_: Duration | None = Field(
        None, alias="for", description="How long it lasts; after a crash, stop or power loss: until the first start."
    )


VERBS = tuple(name for name in Event.model_fields if name not in ("at", "when", "after", "for_", "pause"))
"""Every verb, in the order of the schema."""
TARGETED = ("crash", "stop", "freeze", "power_loss")
"""Verbs whose value is a target."""
LINKS = ("partition", "latency", "loss")
"""Verbs that act on links."""
TOPICS = ("create_topic", "delete_topic", "add_partitions", "reassign")
"""Orders about topics."""
LASTING = ("crash", "stop", "freeze", "power_loss", "rolling_restart", *LINKS)
"""Verbs that know ``for``."""
NEED_FOR = ("freeze",)
"""Verbs that make no sense without ``for``."""
