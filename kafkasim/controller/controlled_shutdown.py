"""A broker says that it wants to stop: its leaderships go elsewhere, its replicas leave the ISRs.

Stands for ``KafkaController.processControlledShutdown``.  The broker counts as shutting down from the first request on,
until its znode is gone; partitions with one replica stay with it and are offline while it is away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kafkasim.controller.services import BROKER_EPOCHS_SINCE, Services
from kafkasim.controller.sizes import controlled_shutdown_response_bytes
from kafkasim.controller.state_machines import CONTROLLED_SHUTDOWN, StateMachines
from kafkasim.controller.store import Steps
from kafkasim.messages import ControlledShutdownBody
from kafkasim.protocol import (
    BROKER_NOT_AVAILABLE,
    NONE,
    STALE_BROKER_EPOCH,
    STALE_CONTROLLER_EPOCH,
    Request,
    TopicPartition,
)
from kafkasim.scenario.versions import Version

_BATCHED_SINCE: Final = Version(1, 1)


def process(services: Services, machines: StateMachines, request: Request, cause: int) -> Steps:
    """Move what can be moved; the reply lists what the broker still leads."""
    context = services.context
    body: ControlledShutdownBody = request.body
    broker = body.broker_id
    if broker not in context.live:
        answer(request, BROKER_NOT_AVAILABLE, [])
        return
    if body.broker_epoch < context.live[broker] and services.version >= BROKER_EPOCHS_SINCE:
        answer(request, STALE_BROKER_EPOCH, [])
        return
    context.shutting_down[broker] = None
    led: list[int] = []
    followed: list[int] = []
    for index in sorted(context.hosted.get(broker, {})):
        state = context.states.get(index)
        if state is None or len(context.assignment[index]) <= 1 or _deleted(services, index):
            continue
        (led if state.leader == broker else followed).append(index)
    row = services.note("controlled_shutdown", f"broker {broker}: leads {len(led)}, follows {len(followed)}", cause)
    # Before 1.1 one partition after the other, each with requests of its own.
    together = services.version >= _BATCHED_SINCE
    for indexes in [led] if together else [[index] for index in led]:
        yield from machines.elect(indexes, CONTROLLED_SHUTDOWN, row)
    for indexes in [followed] if together else [[index] for index in followed]:
        if indexes:
            yield from machines.stop_replicas({broker: indexes}, False, row)
            yield from machines.take_offline({broker: indexes}, row)
    left = [
        context.partitions[index]
        for index in sorted(context.led.get(broker, {}))
        if len(context.assignment[index]) > 1 and not _deleted(services, index)
    ]
    services.complete(row, f"{len(left)} left with it" if left else "all moved")
    answer(request, NONE, left)


def refuse(request: Request) -> None:
    """The answer of a broker that is not the controller (any more)."""
    answer(request, STALE_CONTROLLER_EPOCH, [])


def turn_away(argument: tuple[Request, Callable[[Request], None]]) -> None:
    """The same for an event that is dropped from the queue: (request, respond)."""
    request, respond = argument
    refuse(request)
    respond(request)


def answer(request: Request, error: int, left: list[TopicPartition]) -> None:
    """Fill in the answer."""
    request.error = error
    request.reply = left
    request.response_bytes = controlled_shutdown_response_bytes([tp.topic for tp in left])


def _deleted(services: Services, index: int) -> bool:
    context = services.context
    return bool(context.to_delete) and context.partitions[index].topic in context.to_delete
