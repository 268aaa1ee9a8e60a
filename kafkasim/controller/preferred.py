"""Elections by request, and leadership that goes back to the preferred replicas by the balance task.

Stands for ``processReplicaLeaderElection`` (preferred and unclean elections of an admin client) and
``checkAndTriggerAutoLeaderRebalance``.

Left out: the wait of an admin client's request until the new leaders are known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kafkasim.controller.services import Services
from kafkasim.controller.sizes import elect_leaders_response_bytes
from kafkasim.controller.state_machines import PREFERRED, UNCLEAN, StateMachines
from kafkasim.controller.store import Steps
from kafkasim.messages import ElectLeadersBody
from kafkasim.protocol import (
    ELECTION_NOT_NEEDED,
    ELIGIBLE_LEADERS_NOT_AVAILABLE,
    NONE,
    NOT_CONTROLLER,
    PREFERRED_LEADER_NOT_AVAILABLE,
    UNKNOWN_TOPIC_OR_PARTITION,
    Request,
)
from kafkasim.scenario.versions import Version

_DESPITE_REASSIGNMENTS_SINCE: Final = Version(3, 4)
"""Until 3.3 the balance task moves nothing while any reassignment is running."""


def elect(services: Services, machines: StateMachines, request: Request, cause: int) -> Steps:
    """Elect what the request names; its reply maps a partition's number to its error."""
    body: ElectLeadersBody = request.body
    errors: dict[int, int] = {}
    wanted: list[int] = []
    for tp in body.partitions:
        state = services.context.states.get(tp.index)
        if state is None:
            errors[tp.index] = UNKNOWN_TOPIC_OR_PARTITION
        elif services.context.is_live(state.leader) if body.unclean else state.leader == state.replicas[0]:
            errors[tp.index] = ELECTION_NOT_NEEDED
        else:
            errors[tp.index] = ELIGIBLE_LEADERS_NOT_AVAILABLE if body.unclean else PREFERRED_LEADER_NOT_AVAILABLE
            wanted.append(tp.index)
    for index in (yield from machines.elect(wanted, UNCLEAN if body.unclean else PREFERRED, cause)):
        errors[index] = NONE
    _answer(request, errors)


def refuse(request: Request) -> None:
    """The answer of a broker that is not the controller."""
    body: ElectLeadersBody = request.body
    request.error = NOT_CONTROLLER
    _answer(request, {tp.index: NOT_CONTROLLER for tp in body.partitions})


def turn_away(argument: tuple[Request, Callable[[Request], None]]) -> None:
    """The same for an event that is dropped from the queue: (request, respond)."""
    request, respond = argument
    refuse(request)
    respond(request)


def balance(services: Services, machines: StateMachines, cause: int) -> Steps:
    """For each broker that leads too few of the partitions that prefer it: elect those where it can lead."""
    context = services.context
    if context.reassigning and services.version < _DESPITE_REASSIGNMENTS_SINCE:
        return
    limit = float(services.config.get("leader.imbalance.per.broker.percentage", 10)) / 100.0
    for broker in sorted(context.imbalanced):
        away = context.wants_preferred(broker)
        if not away or len(away) / context.preferring[broker] <= limit:
            continue
        able = [
            index
            for index in away
            if context.is_live(broker)
            and broker in context.states[index].isr
            and context.partitions[index].topic not in context.to_delete
        ]
        if able:
            detail = f"balance task: {len(away)} of {context.preferring[broker]} partitions that prefer broker {broker}"
            row = services.note("preferred_election", f"{detail} are led elsewhere, {len(able)} can return", cause)
            yield from machines.elect(able, PREFERRED, row)


def _answer(request: Request, errors: dict[int, int]) -> None:
    body: ElectLeadersBody = request.body
    request.reply = errors
    request.response_bytes = elect_leaders_response_bytes(len(errors), len({tp.topic: None for tp in body.partitions}))
