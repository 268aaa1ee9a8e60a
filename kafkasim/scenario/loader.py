"""From a file, a text or a dict to a :class:`Scenario`, with every mistake reported at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kafkasim.scenario import cross_clients, cross_events, cross_orders, cross_reference, resolve, sizing
from kafkasim.scenario.composition import compose_file, compose_text, override, own_configs
from kafkasim.scenario.errors import Mistake, ScenarioError
from kafkasim.scenario.model import ReportSpec
from kafkasim.scenario.reporter import Reporter
from kafkasim.scenario.scenario import Scenario
from kafkasim.scenario.validation import validate
from kafkasim.scenario.yaml_reader import Node, node_of


def load(path: Path, overrides: Sequence[str] = ()) -> Scenario:
    """Reads a scenario file."""
    mistakes: list[Mistake] = []
    return build(compose_file(path, overrides, mistakes), mistakes, overrides)


def loads(text: str, overrides: Sequence[str] = (), name: str = "<text>") -> Scenario:
    """Reads a scenario from a text."""
    mistakes: list[Mistake] = []
    return build(compose_text(text, name, overrides, mistakes), mistakes, overrides)


def from_dict(data: dict[str, Any], overrides: Sequence[str] = ()) -> Scenario:
    """Makes a scenario from plain data."""
    root = node_of(data, "<dict>")
    if not isinstance(root.value, dict):
        raise ScenarioError([Mistake("<dict>", 0, 0, "", "a scenario is a mapping")])
    mistakes: list[Mistake] = []
    return build(override(own_configs(root, mistakes), overrides, mistakes), mistakes, overrides)


def build(root: Node, mistakes: list[Mistake], overrides: Sequence[str]) -> Scenario:
    """Checks a composed scenario and resolves it; ``mistakes`` are those that reading it found."""
    report = Reporter(root, mistakes)
    file = validate(report)
    if file is None:
        report.finish()
        raise AssertionError("a scenario that cannot be validated has no mistakes")
    facts = cross_reference.check(file, report)
    cross_orders.declare(facts)
    cross_clients.check(facts)
    cross_events.check(facts)
    cross_orders.check(facts)
    sizing.check(facts)
    report.finish()
    return Scenario(
        name=file.name,
        description=file.description.strip(),
        seed=file.seed,
        duration_s=file.duration,
        warmup_s=file.warmup,
        start_of_day_s=file.start_of_day,
        cluster=resolve.cluster(facts),
        hosts={name: resolve.host_spec(host) for name, host in file.hosts.items()},
        topics=resolve.topics(facts),
        producers=[resolve.producer(facts, producer) for producer in file.producers],
        consumers=[resolve.consumer(facts, consumer) for consumer in file.consumers],
        events=[resolve.event(facts, event) for event in file.events],
        expect=list(file.expect),
        report=ReportSpec(file.report.unavailability_threshold, file.report.interval),
        warnings=list(report.warnings),
        overrides=list(overrides),
        root=root,
    )
