"""Replicas move to other brokers.

Stands for ``KafkaController.onPartitionReassignment`` and what leads to it (AlterPartitionReassignments, 2.4 and
later).  A partition first has the replicas of both sides; when all new ones are in the ISR the old ones are stopped and
deleted.
Each partition is handled by itself, one after the other, on the event thread.

Left out: reassignment through ``/admin/reassign_partitions``, throttles, cancelling, retries of a failed deletion.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, Final

import simpy

from kafkasim.controller.assignment import Assignment
from kafkasim.controller.services import Services
from kafkasim.controller.state_machines import REASSIGN, StateMachines
from kafkasim.controller.store import Steps, state_path, topic_path
from kafkasim.messages import AlterReassignmentsBody
from kafkasim.protocol import NONE, NOT_CONTROLLER, UNKNOWN_SERVER_ERROR, UNKNOWN_TOPIC_OR_PARTITION, Request
from kafkasim.scenario.versions import Version
from kafkasim.zookeeper.operations import Exists, SetData

_TOLD_SINCE: Final = Version(2, 7)
"""Before, the controller watches the states of what it reassigns: it is not asked when an ISR changes."""


class Reassignments:
    """The unfinished reassignments of one active controller."""

    def __init__(self, services: Services, machines: StateMachines) -> None:
        self._services = services
        self._machines = machines

    def request(
        self, targets: Mapping[int, tuple[int, ...]], cause: int
    ) -> Generator[simpy.Event, Any, dict[int, int]]:
        """Start them; returns the error of each partition."""
        services = self._services
        context = services.context
        row = services.note("reassignment", f"{len(targets)} partitions are asked to move", cause)
        errors: dict[int, int] = {}
        begun = 0
        for index in sorted(targets):
            tp = context.partitions.get(index)
            if tp is None or tp.topic in context.to_delete:
                errors[index] = UNKNOWN_TOPIC_OR_PARTITION
            elif any(broker not in context.live for broker in targets[index]):
                errors[index] = UNKNOWN_SERVER_ERROR
            else:
                errors[index] = NONE
                assignment = context.full_assignment(index).reassigned(targets[index])
                begun += assignment.unfinished
                yield from self._proceed(index, assignment, row)
        services.complete(row, f"{begun} begun")
        return errors

    def isr_changed(self, index: int, cause: int) -> Steps:
        """A leader's ISR is another one: complete the reassignment if it has what it waits for."""
        context = self._services.context
        if index in context.reassigning:
            assignment = context.full_assignment(index)
            if (yield from self._complete(index, assignment)):
                yield from self._proceed(index, assignment, cause)

    def resume(self, cause: int, brokers: list[int] | None = None) -> Steps:
        """Go on with the unfinished ones (a new controller), or with those to ``brokers`` that have returned."""
        context = self._services.context
        for index in sorted({**context.adding, **context.removing}):
            assignment = context.full_assignment(index)
            if brokers is None or any(broker in brokers for broker in assignment.target):
                yield from self._proceed(index, assignment, cause)

    def _proceed(self, index: int, assignment: Assignment, cause: int) -> Steps:
        services = self._services
        machines = self._machines
        context = services.context
        tp = context.partitions[index]
        current = context.full_assignment(index)
        if current != assignment:
            yield from self._write(index, assignment)
            context.assign(tp, assignment)
            unneeded = [broker for broker in current.replicas if broker not in assignment.replicas]
            if unneeded:
                yield from self._remove(index, unneeded, cause)
        context.reassigning[index] = None
        if not (yield from self._complete(index, assignment)):
            state = yield from machines.raise_epoch(index, cause)
            if state is not None:
                batch = services.batch()
                batch.add_leader_and_isr((*assignment.origin, *assignment.adding), state)
                yield from services.send(batch, cause)
                if assignment.adding:
                    batch = services.batch()
                    batch.add_leader_and_isr(assignment.adding, state)
                    yield from services.send(batch, cause)
            return
        final = Assignment(assignment.target)
        context.assign(tp, final)
        yield from self._move_leader(index, final, cause)
        if assignment.removing:
            yield from self._remove(index, list(assignment.removing), cause)
        if assignment != final or current != assignment:
            services.note(
                "reassigned", f"{tp.name}: replicas {_ids(assignment.origin)} -> {_ids(final.replicas)}", cause
            )
        yield from self._write(index, final)
        context.reassigning.pop(index, None)
        states = [context.states[index]] if index in context.states else []
        yield from services.send_metadata(context.brokers(), states, cause)

    def _complete(self, index: int, assignment: Assignment) -> Generator[simpy.Event, Any, bool]:
        if not assignment.unfinished:
            return True
        services = self._services
        if services.version < _TOLD_SINCE:
            yield from services.store.read_one(Exists(state_path(services.context.partitions[index]), True))
        state = (yield from self._services.store.states([index])).get(index)
        return state is not None and all(broker in state.isr for broker in assignment.target)

    def _move_leader(self, index: int, final: Assignment, cause: int) -> Steps:
        services = self._services
        leader = services.context.states[index].leader
        if leader not in final.replicas or not services.context.is_live(leader):
            yield from self._machines.elect([index], REASSIGN, cause)
            return
        state = yield from self._machines.raise_epoch(index, cause)
        if state is not None:
            batch = services.batch()
            batch.add_leader_and_isr(final.replicas, state)
            yield from services.send(batch, cause)

    def _remove(self, index: int, brokers: list[int], cause: int) -> Steps:
        replicas = {broker: [index] for broker in brokers}
        yield from self._machines.take_offline(replicas, cause)
        yield from self._machines.stop_replicas(replicas, True, cause)

    def _write(self, index: int, assignment: Assignment) -> Steps:
        """The whole topic's assignment is written again, as Kafka does for each of its partitions."""
        context = self._services.context
        topic = context.partitions[index].topic
        data = {
            context.partitions[other].partition: context.full_assignment(other).data()
            for other in context.topics[topic]
        }
        data[context.partitions[index].partition] = assignment.data()
        yield from self._services.store.write([SetData(topic_path(topic), data, -1)])


def _ids(brokers: tuple[int, ...]) -> str:
    return f"[{', '.join(str(broker) for broker in brokers)}]"


def turn_away(argument: tuple[Request, Callable[[Request], None]]) -> None:
    """The answer of a broker that is not the controller (any more): (request, respond)."""
    request, respond = argument
    body: AlterReassignmentsBody = request.body
    request.error = NOT_CONTROLLER
    request.reply = dict.fromkeys(body.targets, NOT_CONTROLLER)
    respond(request)
