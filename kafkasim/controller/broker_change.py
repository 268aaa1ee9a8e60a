"""Brokers come and go.

Stands for ``KafkaController.processBrokerChange``, ``onBrokerStartup`` and ``onBrokerFailure``: new brokers first, then
bounced ones (failure, then start-up), then dead ones.

Left out: feature compatibility.
"""

from __future__ import annotations

from kafkasim.controller.reassignment import Reassignments
from kafkasim.controller.services import BROKER_EPOCHS_SINCE, Services
from kafkasim.controller.state_machines import StateMachines
from kafkasim.controller.store import Steps, broker_path
from kafkasim.controller.topic_deletion import TopicDeletion
from kafkasim.zookeeper.operations import Exists


def process(
    services: Services, machines: StateMachines, reassignments: Reassignments, deletion: TopicDeletion, cause: int
) -> Steps:
    """Compare ``/brokers/ids`` with what is known, and act."""
    context = services.context
    store = services.store
    reads, state_reads, state_writes = store.reads, store.state_reads, store.state_writes
    current = yield from store.brokers(context.live)
    known = dict(context.live)
    new = sorted(broker for broker in current if broker not in known)
    dead = sorted(broker for broker in known if broker not in current)
    bounced = sorted(broker for broker in current if broker in known and current[broker][0] > known[broker])
    if services.version < BROKER_EPOCHS_SINCE:
        bounced = []  # who was away for shorter than it took to look has never been away
    row = 0
    if new or dead or bounced:
        parts = [f"{word} {_ids(ids)}" for word, ids in (("new", new), ("bounced", bounced), ("dead", dead)) if ids]
        row = services.note("broker_change", ", ".join([*parts, f"live {_ids(sorted(current))}"]), cause)
    for broker in new:
        services.channels.add(broker)
    for broker in bounced:
        services.channels.remove(broker)
        services.channels.add(broker)
    for broker in dead:
        services.channels.remove(broker)
    if new:
        _register(services, new, current, row)
        yield from started(services, machines, reassignments, deletion, new, row)
    if bounced:
        _forget(services, bounced)
        yield from failed(services, machines, deletion, bounced, row)
        _register(services, bounced, current, row)
        yield from started(services, machines, reassignments, deletion, bounced, row)
    if dead:
        _forget(services, dead)
        yield from failed(services, machines, deletion, dead, row)
    if row:
        states, writes = store.state_reads - state_reads, store.state_writes - state_writes
        others = store.reads - reads - states
        services.complete(row, f"{writes} state writes, {states} state reads, {others} other reads")


def started(
    services: Services,
    machines: StateMachines,
    reassignments: Reassignments,
    deletion: TopicDeletion,
    brokers: list[int],
    cause: int,
) -> Steps:
    """Tell the others of the new brokers, the new ones of everything; then elect what waited for them."""
    context = services.context
    doomed = context.to_delete
    if services.version < BROKER_EPOCHS_SINCE:
        yield from services.send_metadata(context.brokers(), [], cause)
    else:
        others = [broker for broker in context.brokers() if broker not in brokers]
        yield from services.send_metadata(others, [], cause)
        everything = [
            state for index, state in sorted(context.states.items()) if not doomed or state.tp.topic not in doomed
        ]
        yield from services.send_metadata(brokers, everything, cause)
    yield from machines.replicas_online(brokers, cause)
    yield from machines.bring_online(cause)
    if context.reassigning:
        yield from reassignments.resume(cause, brokers)
    if doomed:
        yield from deletion.returned(brokers, cause)
    for broker in brokers:
        yield from services.store.read_one(Exists(broker_path(broker), True))


def failed(
    services: Services, machines: StateMachines, deletion: TopicDeletion, brokers: list[int], cause: int
) -> Steps:
    """New leaders for what the dead brokers led; then their replicas leave every ISR."""
    context = services.context
    for broker in brokers:
        context.shutting_down.pop(broker, None)
    deletion.failed(brokers)
    leaderless = context.with_offline_leader()
    if context.to_delete:
        leaderless = [index for index in leaderless if context.partitions[index].topic not in context.to_delete]
    machines.mark_offline(leaderless)
    elected = yield from machines.bring_online(cause)
    hosted = any(context.hosted.get(broker) for broker in brokers)
    if hosted:
        yield from machines.replicas_offline(brokers, cause)
    elif not elected:
        yield from services.send_metadata(context.brokers(), [], cause)


def _register(services: Services, brokers: list[int], current: dict[int, tuple[int, str | None]], row: int) -> None:
    for broker in brokers:
        epoch, rack = current[broker]
        services.context.live[broker] = epoch
        services.context.on_offline_dirs.pop(broker, None)
        services.context.racks[broker] = rack
        services.note("registered", f"broker {broker}, broker epoch {epoch}", row)


def _forget(services: Services, brokers: list[int]) -> None:
    for broker in brokers:
        services.context.live.pop(broker, None)


def _ids(ids: list[int]) -> str:
    return ", ".join(str(broker) for broker in ids)
