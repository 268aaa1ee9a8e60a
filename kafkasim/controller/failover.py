"""What a new controller does before it is ready.

Stands for ``KafkaController.onControllerFailover``: everything is read from ZooKeeper, about 2 × brokers + topics +
partitions reads; then the brokers get the whole state, replicas of dead brokers leave their ISRs, and partitions that
have no leader get one.  Until then no other event is processed.

Left out: creation of ``/feature``, topic ids written by the first 2.8 controller, delegation tokens.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import simpy

from kafkasim.controller.assignment import decode
from kafkasim.controller.reassignment import Reassignments
from kafkasim.controller.services import Services
from kafkasim.controller.state_machines import StateMachines
from kafkasim.controller.store import (
    DELETE_TOPICS,
    FEATURE,
    ISR_CHANGE_NOTIFICATION,
    LOG_DIR_EVENT_NOTIFICATION,
    PREFERRED_REPLICA_ELECTION,
    REASSIGN_PARTITIONS,
    TOPICS,
    Steps,
    broker_path,
    topic_path,
)
from kafkasim.controller.topic_deletion import TopicDeletion
from kafkasim.scenario.versions import Version
from kafkasim.zookeeper.operations import Delete, Exists, GetChildren, GetData

_FEATURES_SINCE: Final = Version(2, 7)
_LOG_DIRS_SINCE: Final = Version(1, 0)


def run(
    services: Services, machines: StateMachines, reassignments: Reassignments, deletion: TopicDeletion, cause: int
) -> Steps:
    """From the won election to "ready to serve as the new controller"."""
    store = services.store
    context = services.context
    if services.version >= _FEATURES_SINCE:
        yield from store.read_one(GetData(FEATURE, False))
    yield from store.read_one(Exists(PREFERRED_REPLICA_ELECTION, True))
    yield from store.read_one(Exists(REASSIGN_PARTITIONS, True))
    if services.version >= _LOG_DIRS_SINCE:
        yield from _delete_notifications(services, LOG_DIR_EVENT_NOTIFICATION)
    yield from _delete_notifications(services, ISR_CHANGE_NOTIFICATION)
    yield from _read_context(services)
    doomed = yield from store.read_one(GetChildren(DELETE_TOPICS, True))
    for name in sorted(doomed.children):
        if name in context.topics:
            context.to_delete[name] = None
    for index in (*context.adding, *context.removing):
        context.reassigning[index] = None
    brokers = context.brokers()
    yield from services.send_metadata(brokers, [], cause)
    # replicas: all that are online are sent their state, the dead brokers' ones leave the ISRs
    yield from machines.replicas_online(brokers, cause)
    dead = sorted(broker for broker in context.hosted if not context.is_live(broker))
    if dead:
        yield from machines.replicas_offline(dead, cause)
    # partitions
    context.initialise_phases()
    yield from machines.bring_online(cause)
    # what was left unfinished
    yield from store.read_one(Exists(REASSIGN_PARTITIONS, True))
    yield from reassignments.resume(cause)
    if context.to_delete:
        yield from deletion.resume(cause)
    yield from store.read_one(GetData(PREFERRED_REPLICA_ELECTION, False))
    yield from store.write([Delete(PREFERRED_REPLICA_ELECTION, -1)])


def _read_context(services: Services) -> Steps:
    store = services.store
    context = services.context
    for broker, (epoch, rack) in (yield from store.brokers({})).items():
        context.live[broker] = epoch
        context.racks[broker] = rack
    names = yield from _topics(services)
    outcomes = yield from store.read([GetData(topic_path(name), True) for name in names])
    for name, outcome in zip(names, outcomes, strict=True):
        if outcome.error is not None:
            continue
        for partition, replicas in outcome.data.items():
            context.assign(services.topics.partition(name, partition), decode(replicas))
    for broker in context.brokers():
        yield from store.read_one(Exists(broker_path(broker), True))
    indexes = sorted(context.assignment)
    states = yield from store.states(indexes)
    yield from services.compute(len(indexes) * services.costs.state_s)
    for state in states.values():
        context.put_state(state)
    for broker in context.brokers():
        services.channels.add(broker)


def _topics(services: Services) -> Generator[simpy.Event, Any, list[str]]:
    listed = yield from services.store.read_one(GetChildren(TOPICS, True))
    return sorted(name for name in listed.children if services.topics.has(name))


def _delete_notifications(services: Services, path: str) -> Steps:
    listed = yield from services.store.read_one(GetChildren(path, True))
    if listed.error is None and listed.children:
        yield from services.store.write([Delete(f"{path}/{name}", -1) for name in sorted(listed.children)])
