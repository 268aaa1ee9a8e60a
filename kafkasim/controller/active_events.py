"""What only the active controller does: one method an event, for the event thread.

Stands for the ``process…`` methods of ``KafkaController`` that begin with ``if (!isActive) return``.
"""

from __future__ import annotations

from collections.abc import Callable

from kafkasim.controller import (
    alter_partition,
    broker_change,
    controlled_shutdown,
    isr_notifications,
    log_dir_events,
    preferred,
    reassignment,
    topic_change,
)
from kafkasim.controller import event_queue as events
from kafkasim.controller.event_queue import ControllerEvent
from kafkasim.controller.reassignment import Reassignments
from kafkasim.controller.services import Services
from kafkasim.controller.state_machines import StateMachines
from kafkasim.controller.store import (
    PREFERRED_REPLICA_ELECTION,
    ControllerMoved,
    SessionExpired,
    Steps,
    broker_path,
)
from kafkasim.controller.topic_deletion import TopicDeletion
from kafkasim.messages import AlterPartitionBody, AlterReassignmentsBody, StopReplicaBody
from kafkasim.protocol import LEADER_AND_ISR, NONE, NOT_CONTROLLER, STOP_REPLICA, Request
from kafkasim.zookeeper.operations import Exists, GetData


class ActiveEvents:
    """The active controller's events; ``active`` says whether it (still) is."""

    def __init__(self, services: Services, machines: StateMachines, active: Callable[[], bool]) -> None:
        self.reassignments = Reassignments(services, machines)
        self.deletion = TopicDeletion(services, machines)
        self._services = services
        self._machines = machines
        self._active = active

    def broker_change(self, event: ControllerEvent) -> Steps:
        """``/brokers/ids`` has other children."""
        if self._active():
            yield from broker_change.process(
                self._services, self._machines, self.reassignments, self.deletion, event.cause
            )

    def broker_modifications(self, event: ControllerEvent) -> Steps:
        """A broker's znode has other data."""
        if not self._active():
            return
        outcome = yield from self._services.store.read_one(GetData(broker_path(event.argument), True))
        if outcome.error is None and event.argument in self._services.context.live:
            self._services.context.racks[event.argument] = outcome.data.get("rack")
            yield from self._services.send_metadata(self._services.context.brokers(), [], event.cause)

    def alter_partition(self, event: ControllerEvent) -> Steps:
        """A leader's broker proposes ISRs; what a wider ISR completes comes after the answer."""
        request, respond = event.argument
        if self._active():
            yield from alter_partition.process(self._services, request)
        else:
            alter_partition.answer(request, NOT_CONTROLLER)
        respond(request)
        if self._active() and self._services.context.reassigning and request.error == NONE:
            body: AlterPartitionBody = request.body
            for item in body.items:
                if item.error == NONE and item.state is not None:
                    yield from self.reassignments.isr_changed(item.tp.index, item.cause or event.cause)

    def controlled_shutdown(self, event: ControllerEvent) -> Steps:
        """A broker wants to stop."""
        request, respond = event.argument
        if not self._active():
            controlled_shutdown.turn_away(event.argument)
            return
        try:
            yield from controlled_shutdown.process(self._services, self._machines, request, event.cause)
        except (ControllerMoved, SessionExpired):
            # The failure is the answer: the controller does not resign for it.
            controlled_shutdown.refuse(request)
        respond(request)

    def topic_change(self, event: ControllerEvent) -> Steps:
        """``/brokers/topics`` has other children."""
        if self._active():
            yield from topic_change.topics_changed(self._services, self._machines, event.cause)

    def partition_modifications(self, event: ControllerEvent) -> Steps:
        """A topic's znode has other data."""
        if self._active():
            yield from topic_change.partitions_changed(self._services, self._machines, event.argument, event.cause)

    def topic_deletion(self, event: ControllerEvent) -> Steps:
        """``/admin/delete_topics`` has other children."""
        if self._active():
            yield from self.deletion.asked(event.cause)

    def replicas_deleted(self, event: ControllerEvent) -> Steps:
        """A broker has deleted replicas of a topic that goes."""
        if self._active():
            broker, indexes = event.argument
            yield from self.deletion.stopped(broker, indexes, event.cause)

    def isr_changes(self, event: ControllerEvent) -> Steps:
        """Leaders tell of ISRs that they have written (before 2.7)."""
        if self._active():
            yield from isr_notifications.process(self._services, event.cause)

    def reassigned_isr_changed(self, event: ControllerEvent) -> Steps:
        """The state of a partition that is being reassigned is another one (before 2.7)."""
        topic, partition = event.argument
        known = self._services.topics
        if self._active() and known.has(topic):
            yield from self.reassignments.isr_changed(known.partition(topic, partition).index, event.cause)

    def reassign(self, event: ControllerEvent) -> Steps:
        """An administrator wants replicas elsewhere."""
        request, respond = event.argument
        if not self._active():
            reassignment.turn_away(event.argument)
            return
        body: AlterReassignmentsBody = request.body
        try:
            request.reply = yield from self.reassignments.request(body.targets, event.cause)
        except (ControllerMoved, SessionExpired):
            reassignment.turn_away(event.argument)
            raise
        request.response_bytes = 20 + 10 * len(body.targets)
        respond(request)

    def elect_leaders(self, event: ControllerEvent) -> Steps:
        """An administrator wants preferred leaders."""
        request, respond = event.argument
        if not self._active():
            preferred.turn_away(event.argument)
            return
        yield from preferred.elect(self._services, self._machines, request, event.cause)
        respond(request)

    def elect_by_zookeeper(self, event: ControllerEvent) -> Steps:
        """Preferred elections asked for through a znode: the watch is set again (nothing else is modelled)."""
        if self._active():
            yield from self._services.store.read_one(Exists(PREFERRED_REPLICA_ELECTION, True))

    def log_dir_event(self, event: ControllerEvent) -> Steps:
        """``/log_dir_event_notification`` has other children."""
        if self._active():
            yield from log_dir_events.process(self._services, self._machines, event.cause)

    def leader_and_isr_response(self, event: ControllerEvent) -> Steps:
        """A broker has answered a LeaderAndIsr: some of its replicas may be offline."""
        broker, _, offline = event.argument
        if offline and self._active():
            yield from log_dir_events.answered(self._services, self._machines, broker, offline, event.cause)

    def response(self, broker_id: int, request: Request) -> ControllerEvent | None:
        """The event that a broker's answer makes."""
        if request.api == STOP_REPLICA:
            body: StopReplicaBody = request.body
            context = self._services.context
            deleted = [i.tp.index for i in body.partitions if i.delete and i.tp.topic in context.to_delete]
            if deleted and request.error == NONE:
                return ControllerEvent(events.STOP_REPLICA_RESPONSE, (broker_id, deleted), request.cause)
            return None
        if request.api != LEADER_AND_ISR:
            return ControllerEvent(events.UPDATE_METADATA_RESPONSE, (broker_id, request.error), request.cause)
        offline: list[int] = request.reply or []
        return ControllerEvent(events.LEADER_AND_ISR_RESPONSE, (broker_id, request.error, offline), request.cause)
