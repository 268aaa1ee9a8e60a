"""A leader asks for another ISR (AlterPartition; AlterIsr before 3.2).

Stands for ``KafkaController.processAlterPartition``: checks against what is in memory, conditional writes, a re-read of
what was written, UpdateMetadata to all brokers, only then the answer.

Left out: topic ids, the recovery state, ISR changes through ZooKeeper (before 2.7).  What a wider ISR completes
(reassignments) follows the answer: :mod:`kafkasim.controller.reassignment`.
"""

from __future__ import annotations

from typing import Final

from kafkasim.controller.services import Services
from kafkasim.controller.sizes import alter_partition_response_bytes
from kafkasim.controller.store import ControllerMoved, SessionExpired, Steps
from kafkasim.messages import AlterPartitionBody, AlterPartitionItem, PartitionState
from kafkasim.protocol import (
    FENCED_LEADER_EPOCH,
    INELIGIBLE_REPLICA,
    INVALID_UPDATE_VERSION,
    NONE,
    NOT_CONTROLLER,
    STALE_BROKER_EPOCH,
    UNKNOWN_SERVER_ERROR,
    UNKNOWN_TOPIC_OR_PARTITION,
    Request,
)
from kafkasim.scenario.versions import Version

_ELIGIBILITY_SINCE: Final = Version(3, 3)


def process(services: Services, request: Request) -> Steps:
    """Decide, write and tell everybody; ``request`` then holds the answer."""
    body: AlterPartitionBody = request.body
    context = services.context
    if context.live.get(body.broker_id) != body.broker_epoch:
        answer(request, STALE_BROKER_EPOCH)
        return
    try:
        yield from _change(services, body, request.cause)
    except (ControllerMoved, SessionExpired):
        answer(request, UNKNOWN_SERVER_ERROR)
        return
    answer(request, NONE)


def answer(request: Request, error: int) -> None:
    """Fill in the answer: the items as they are, or an error of the whole request."""
    body: AlterPartitionBody = request.body
    request.error = error
    request.reply = body.items
    items = [] if error != NONE else body.items
    topics = {item.tp.topic: None for item in items}
    request.response_bytes = alter_partition_response_bytes(
        [0 if item.state is None else len(item.state.isr) for item in items], len(topics)
    )


def check(services: Services, broker: int, item: AlterPartitionItem) -> int:
    """The error that a proposal gets, or NONE; one that is granted already gets its ``state``."""
    context = services.context
    current = context.states.get(item.tp.index)
    if current is None:
        return UNKNOWN_TOPIC_OR_PARTITION
    modern = services.version >= _ELIGIBILITY_SINCE
    if modern and (item.partition_epoch > current.partition_epoch or item.leader_epoch > current.leader_epoch):
        return NOT_CONTROLLER
    if item.leader_epoch < current.leader_epoch:
        return FENCED_LEADER_EPOCH
    if _granted(current, broker, item):
        item.state = current
        return NONE
    if not modern:
        return NONE
    if item.partition_epoch < current.partition_epoch:
        return INVALID_UPDATE_VERSION
    if not all(context.is_live(member) for member in item.new_isr):
        return INELIGIBLE_REPLICA
    return NONE


def _granted(current: PartitionState, broker: int, item: AlterPartitionItem) -> bool:
    return current.leader == broker and current.leader_epoch == item.leader_epoch and current.isr == item.new_isr


def _change(services: Services, body: AlterPartitionBody, cause: int) -> Steps:
    context = services.context
    yield from services.compute(len(body.items) * services.costs.state_s)
    items: dict[int, AlterPartitionItem] = {}
    proposed: list[PartitionState] = []
    before: dict[int, PartitionState] = {}
    for item in body.items:
        item.error = check(services, body.broker_id, item)
        if item.error != NONE or item.state is not None:
            continue
        index = item.tp.index
        items[index] = item
        before[index] = context.states[index]
        proposed.append(
            PartitionState(
                item.tp, body.broker_id, item.leader_epoch, item.new_isr, item.partition_epoch,
                context.assignment[index], context.epoch, context.adding.get(index, ()),
            )
        )  # fmt: skip
    written, changed = yield from services.store.update(proposed)
    for index in changed:
        items[index].error = INVALID_UPDATE_VERSION
    for item in items.values():
        if item.error == NONE:
            item.error = UNKNOWN_SERVER_ERROR
    for state in written:
        item = items[state.tp.index]
        item.error = NONE
        item.state = state
    rows = services.note_changes(
        "isr_changed",
        [(before[state.tp.index], state) for state in written],
        {index: item.cause or cause for index, item in items.items()},
    )
    again = yield from services.store.states([state.tp.index for state in written])
    for state in again.values():
        context.put_state(state)
    batch = services.batch()
    batch.causes.update(rows)
    batch.add_metadata(
        context.brokers(),
        [context.states[item.tp.index] for item in body.items if item.tp.index in context.states],
    )
    first = next(iter(rows.values()), cause)
    yield from services.send(batch, first)
