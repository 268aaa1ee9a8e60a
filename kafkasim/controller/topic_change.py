"""Topics and partitions that appear in ZooKeeper get their leaders.

Stands for ``processTopicChange``, ``processPartitionModifications`` and ``onNewPartitionCreation``: the znodes of a new
topic's partitions are made in three pipelined rounds (``partitions``, ``P``, ``P/state``), then the brokers are told.

Left out: topic ids, partitions added to a topic that is being deleted.
"""

from __future__ import annotations

from kafkasim.controller.assignment import Assignment, decode
from kafkasim.controller.services import Services
from kafkasim.controller.state_machines import StateMachines
from kafkasim.controller.store import TOPICS, Steps, topic_path
from kafkasim.zookeeper.operations import GetChildren, GetData


def topics_changed(services: Services, machines: StateMachines, cause: int) -> Steps:
    """``/brokers/topics`` has other children: read the new ones and create their partitions."""
    context = services.context
    listed = yield from services.store.read_one(GetChildren(TOPICS, True))
    new = sorted(name for name in listed.children if name not in context.topics and services.topics.has(name))
    if not new:
        return
    outcomes = yield from services.store.read([GetData(topic_path(name), True) for name in new])
    fresh: list[int] = []
    for name, outcome in zip(new, outcomes, strict=True):
        context.topics.setdefault(name, {})
        if outcome.error is None:
            fresh += _take(services, name, {number: decode(data) for number, data in outcome.data.items()})
    row = services.note("topic_created", f"{', '.join(new)}: {len(fresh)} partitions", cause)
    yield from machines.create(fresh, row)


def partitions_changed(services: Services, machines: StateMachines, topic: str, cause: int) -> Steps:
    """A topic's znode has been written: partitions that were not there before are created."""
    context = services.context
    outcome = yield from services.store.read_one(GetData(topic_path(topic), True))
    if outcome.error is not None or topic in context.to_delete or topic not in context.topics:
        return
    known = {context.partitions[index].partition for index in context.topics[topic]}
    added = {number: decode(data) for number, data in outcome.data.items() if number not in known}
    if added:
        row = services.note("partitions_added", f"{topic}: {min(added)} to {max(added)}", cause)
        yield from machines.create(_take(services, topic, added), row)


def _take(services: Services, topic: str, assignments: dict[int, Assignment]) -> list[int]:
    context = services.context
    fresh: list[int] = []
    for number in sorted(assignments):
        tp = services.topics.partition(topic, number)
        context.assign(tp, assignments[number])
        context.new[tp.index] = None
        fresh.append(tp.index)
    return fresh
