"""The file's schema for what chance decides: random faults by rate, garbage collections of a broker's JVM."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kafkasim.scenario.fields import Duration, PositiveDuration, PositiveSize, Strict, wrong

RANDOM_VERBS = ("crash", "freeze", "stop", "power_loss", "partition")
"""Kinds of random faults, in the order in which each gets its own stream of draws."""


class RandomFault(Strict):
    """One kind: how often in the mean (exponential gaps, over all targets together), and for how long each time."""

    every: PositiveDuration = Field(description="Mean time between two, such as 10min.")
    for_: PositiveDuration = Field(alias="for", description="How long each lasts; of a crash: until the first start.")


class RandomFaults(Strict):
    """Faults at random times on random targets, until the event's 'for' is over: {crash: {every: 10min, for: 30s}}."""

    targets: Literal["brokers", "zookeeper", "all"] = Field("brokers", description="Whom they hit, each alike.")
    crash: RandomFault | None = None
    freeze: RandomFault | None = None
    stop: RandomFault | None = None
    power_loss: RandomFault | None = None
    partition: RandomFault | None = Field(None, description="A target is cut off from all others.")

    @model_validator(mode="after")
    def _some(self) -> RandomFaults:
        if all(getattr(self, verb) is None for verb in RANDOM_VERBS):
            raise wrong("a kind of fault is missing", ", ".join(RANDOM_VERBS))
        return self


class FullCollections(Strict):
    """Now and then the whole heap is collected while the world stands still."""

    every: PositiveDuration = Field(description="Mean time between two (exponential), such as 6h.")
    pause: PositiveDuration = Field(description="How long each takes, such as 4s.")


class Jvm(Strict):
    """A broker's Java heap: young collections as its traffic fills it, full ones now and then."""

    collector: Literal["g1", "parallel", "cms"] = Field("g1", description="Decides the pauses' defaults.")
    heap: PositiveSize = Field(6 << 30, description="-Xmx (default 6GiB).")
    young: Annotated[float, Field(gt=0.0, le=0.9)] | None = Field(
        None, description="Share of the heap that fills before a young collection; the collector's default if absent."
    )
    pause_p50: Duration | None = Field(None, description="Median young pause; the collector's default if absent.")
    pause_p99: Duration | None = Field(None, description="99th percentile of it; the collector's default if absent.")
    full: FullCollections | None = Field(None, description="Full collections; none if absent.")
