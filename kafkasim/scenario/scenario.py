"""The resolved scenario: what every other room of the package reads."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kafkasim.scenario import configs
from kafkasim.scenario.catalogue import SIDES, catalogue
from kafkasim.scenario.conditions import ConditionSpec
from kafkasim.scenario.configs import ConfigDict
from kafkasim.scenario.errors import Mistake
from kafkasim.scenario.expectations import Expectation, parse_expectation
from kafkasim.scenario.model import (
    ClusterSpec,
    ConsumerSpec,
    EventSpec,
    HostSpec,
    ProducerSpec,
    ReportSpec,
    TopicSpec,
)
from kafkasim.scenario.targets import TargetSpec
from kafkasim.scenario.versions import Version
from kafkasim.scenario.yaml_reader import Node, Plain, plain


@dataclass(frozen=True, slots=True)
class Scenario:
    """A cluster, its load, what breaks and what is expected; complete, valid, in SI units.

    Made by :meth:`load`, :meth:`loads` or :meth:`from_dict`; changed by :meth:`replace`, which checks everything anew.
    """

    name: str
    duration_s: float
    cluster: ClusterSpec
    description: str = ""
    seed: int = 1
    warmup_s: float = 0.0
    start_of_day_s: float = 0.0
    hosts: dict[str, HostSpec] = field(default_factory=dict)
    topics: dict[str, TopicSpec] = field(default_factory=dict)
    producers: list[ProducerSpec] = field(default_factory=list)
    consumers: list[ConsumerSpec] = field(default_factory=list)
    events: list[EventSpec] = field(default_factory=list)
    expect: list[str] = field(default_factory=list)
    report: ReportSpec = field(default_factory=ReportSpec)
    warnings: list[str] = field(default_factory=list)
    """What a user should know and need not change, such as configs that the model ignores."""
    overrides: list[str] = field(default_factory=list, compare=False)
    """The ``PATH=VALUE`` texts that were applied, in order."""
    root: Node | None = field(default=None, repr=False, compare=False)
    """The composed file, with the places of its values."""

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Scenario:
        """Reads a scenario file, or one of the gallery by name (``primer/hello``).

        ``overrides`` are ``PATH=VALUE`` texts. Raises :class:`ScenarioError`.
        """
        from kafkasim.scenario.gallery import locate
        from kafkasim.scenario.loader import load

        return load(locate(path) if isinstance(path, str) else path, overrides)

    @classmethod
    def loads(cls, text: str, overrides: Sequence[str] = (), name: str = "<text>") -> Scenario:
        """Reads a scenario from a YAML text; ``name`` stands for the file in messages."""
        from kafkasim.scenario.loader import loads

        return loads(text, overrides, name)

    @classmethod
    def from_dict(cls, data: dict[str, Any], overrides: Sequence[str] = ()) -> Scenario:
        """Makes a scenario from what a YAML file would hold, as plain Python data."""
        from kafkasim.scenario.loader import from_dict

        return from_dict(data, overrides)

    def replace(self, *overrides: str) -> Scenario:
        """This scenario with ``PATH=VALUE`` overrides, such as ``producers.app.rate=5_000/s``."""
        from kafkasim.scenario.composition import override
        from kafkasim.scenario.loader import build

        if self.root is None:
            raise ValueError("only a scenario that was loaded can be changed by path")
        mistakes: list[Mistake] = []
        root = override(copy.deepcopy(self.root), overrides, mistakes)
        return build(root, mistakes, [*self.overrides, *overrides])

    def source(self) -> Plain:
        """The composed file as plain data, with its units; :meth:`from_dict` of it gives an equal scenario."""
        return plain(self.root) if self.root is not None else None

    def broker_config(self, broker_id: int) -> dict[str, Any]:
        """Every broker config by name, typed, as this broker has it."""
        brokers = self.cluster.brokers
        own = brokers.overrides.get(broker_id)
        raw = brokers.config | own.config if own is not None else brokers.config
        return configs.broker(raw, self.cluster.version, broker_id, brokers.rack_of(broker_id))

    def topic_config(self, topic: str) -> dict[str, Any]:
        """Every topic config by name, typed; what the topic does not set comes from the brokers' common config.

        ``__consumer_offsets`` is known too.
        """
        brokers = self.cluster.brokers
        common = configs.broker(brokers.config, self.cluster.version, brokers.ids[0], None)
        if topic == configs.OFFSETS_TOPIC:
            return configs.topic({}, self.cluster.version, common, topic)
        return configs.topic(self.topics[topic].config, self.cluster.version, common, topic)

    def producer_config(self, producer: str | ProducerSpec) -> dict[str, Any]:
        """Every producer config by name, typed, after Kafka's own rules (idempotence, delivery timeout)."""
        spec = self.producer(producer) if isinstance(producer, str) else producer
        return configs.producer(spec.config, spec.version, spec.name)

    def consumer_config(self, consumer: str | ConsumerSpec) -> dict[str, Any]:
        """Every consumer config by name, typed. Assignors are given by their short names."""
        spec = self.consumer(consumer) if isinstance(consumer, str) else consumer
        return configs.consumer(spec.config, spec.version, spec.group, spec.rack)

    def zookeeper_config(self) -> dict[str, Any]:
        """Every config of the ZooKeeper servers by name, typed; session bounds are filled in."""
        return configs.zookeeper(self.cluster.zookeeper.config, self.cluster.version)

    def producer(self, name: str) -> ProducerSpec:
        """The producer of this name; ``KeyError`` if there is none."""
        for spec in self.producers:
            if spec.name == name:
                return spec
        raise KeyError(name)

    def consumer(self, name: str) -> ConsumerSpec:
        """The consumer of this group or name; ``KeyError`` if there is none."""
        for spec in self.consumers:
            if name in (spec.group, spec.name):
                return spec
        raise KeyError(name)

    def expectations(self) -> list[Expectation]:
        """The sentences of ``expect``, parsed."""
        return [parse_expectation(text, list(self.topics)) for text in self.expect]

    def to_dict(self) -> dict[str, Any]:
        """The fully resolved form, fit for JSON: SI units, and each process's configs that the model regards."""
        names = [f.name for f in dataclasses.fields(self) if f.name not in ("root", "overrides")]
        data: dict[str, Any] = {name: _json(getattr(self, name)) for name in names}
        data["configs"] = {
            "broker": {str(n): _regarded("broker", self.broker_config(n)) for n in self.cluster.brokers.ids},
            "topic": {name: _regarded("topic", self.topic_config(name)) for name in self.topics},
            "producer": {spec.name: _regarded("producer", self.producer_config(spec)) for spec in self.producers},
            "consumer": {spec.name: _regarded("consumer", self.consumer_config(spec)) for spec in self.consumers},
            "zookeeper": _regarded("zookeeper", self.zookeeper_config()),
        }
        return data


def _regarded(side: str, config: ConfigDict) -> ConfigDict:
    assert side in SIDES
    entries = catalogue(side)
    return {name: value for name, value in sorted(config.items()) if entries[name].status != "ignored"}


def _json(value: Any) -> Any:
    if isinstance(value, (Version, TargetSpec, ConditionSpec)):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(inner) for inner in value]
    return value
