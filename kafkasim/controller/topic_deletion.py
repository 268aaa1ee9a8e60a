"""Topics are deleted: first their replicas, broker by broker, then their znodes, one by one.

Stands for ``TopicDeletionManager``.  ``/admin/delete_topics/T`` → UpdateMetadata with leader -2 → replicas offline
(StopReplica; out of the ISR) → StopReplica with deletion → when every replica is gone the znodes are removed in
sequential calls on the event thread.  With a dead replica the live ones are deleted at once and the znodes wait for its
return; while a partition of the topic is being reassigned nothing starts.

Left out: ``delete.topic.enable=false``, topic ids.
"""

from __future__ import annotations

from typing import Final

from kafkasim.controller.services import Services
from kafkasim.controller.state_machines import StateMachines
from kafkasim.controller.store import DELETE_TOPICS, Steps, topic_config_path, topic_path
from kafkasim.messages import LEADER_DURING_DELETE, PartitionState
from kafkasim.zookeeper.operations import Delete, GetChildren

STARTED: Final = "started"
SUCCESSFUL: Final = "successful"
INELIGIBLE: Final = "ineligible"


class TopicDeletion:
    """The deletions of one active controller."""

    def __init__(self, services: Services, machines: StateMachines) -> None:
        self._services = services
        self._machines = machines

    def asked(self, cause: int) -> Steps:
        """``/admin/delete_topics`` has other children."""
        services = self._services
        context = services.context
        listed = yield from services.store.read_one(GetChildren(DELETE_TOPICS, True))
        unknown = sorted(name for name in listed.children if name not in context.topics)
        if unknown:
            yield from services.store.write([Delete(f"{DELETE_TOPICS}/{name}", -1) for name in unknown])
        for name in sorted(listed.children):
            if name in context.topics and name not in context.to_delete:
                context.to_delete[name] = None
                services.note("topic_deletion", f"{name}: {len(context.topics[name])} partitions", cause)
        yield from self.resume(cause)

    def resume(self, cause: int) -> Steps:
        """Begin or complete what can be begun or completed."""
        context = self._services.context
        eligible: list[str] = []
        for topic in list(context.to_delete):
            states = context.deletions.get(topic)
            if states is not None and all(state == SUCCESSFUL for state in states.values()):
                yield from self._complete(topic, cause)
            elif states is None or ("" in states.values() and STARTED not in states.values()):
                if not any(index in context.reassigning for index in context.topics[topic]):
                    eligible.append(topic)
        if eligible:
            yield from self._begin(eligible, cause)

    def returned(self, brokers: list[int], cause: int) -> Steps:
        """Brokers are back: what waited for their replicas goes on."""
        context = self._services.context
        concerned = False
        for states in context.deletions.values():
            for (index, broker), state in states.items():
                if broker in brokers and state == INELIGIBLE:
                    states[index, broker] = ""
                    concerned = True
        if concerned:
            yield from self.resume(cause)

    def failed(self, brokers: list[int]) -> None:
        """Brokers have died: their replicas cannot be deleted now."""
        for states in self._services.context.deletions.values():
            for (index, broker), state in states.items():
                if broker in brokers and state != SUCCESSFUL:
                    states[index, broker] = INELIGIBLE

    def stopped(self, broker: int, indexes: list[int], cause: int) -> Steps:
        """A broker has deleted its replicas of some partitions."""
        context = self._services.context
        done = False
        for index in indexes:
            tp = context.partitions.get(index)
            states = None if tp is None else context.deletions.get(tp.topic)
            if states is not None and states.get((index, broker)) == STARTED:
                states[index, broker] = SUCCESSFUL
                done = True
        if done:
            yield from self.resume(cause)

    def _begin(self, topics: list[str], cause: int) -> Steps:
        services = self._services
        context = services.context
        gone: list[PartitionState] = []
        for topic in topics:
            states = context.deletions.get(topic)
            if states is None:
                states = context.deletions[topic] = {}
                for index in context.topics[topic]:
                    context.offline.pop(index, None)
                    context.new.pop(index, None)
                    for broker in context.assignment[index]:
                        states[index, broker] = ""
            for index in context.topics[topic]:
                known = context.states.get(index)
                epoch = -1 if known is None else known.leader_epoch
                gone.append(
                    PartitionState(
                        context.partitions[index], LEADER_DURING_DELETE, epoch, (), -1, context.assignment[index],
                        context.epoch,
                    )
                )  # fmt: skip
        yield from services.send_metadata(context.brokers(), gone, cause)
        replicas: dict[int, list[int]] = {}
        for topic in topics:
            states = context.deletions[topic]
            for (index, broker), state in states.items():
                if broker not in context.live:
                    states[index, broker] = INELIGIBLE
                elif state != SUCCESSFUL:
                    replicas.setdefault(broker, []).append(index)
                    states[index, broker] = STARTED
        yield from self._machines.take_offline(replicas, cause)
        yield from self._machines.stop_replicas(replicas, True, cause)

    def _complete(self, topic: str, cause: int) -> Steps:
        services = self._services
        context = services.context
        context.deletions.pop(topic)
        yield from services.store.delete_recursively(topic_path(topic))
        yield from services.store.delete_recursively(topic_config_path(topic))
        yield from services.store.write([Delete(f"{DELETE_TOPICS}/{topic}", -1)])
        for index in list(context.topics[topic]):
            context.forget_partition(index)
        context.topics.pop(topic)
        context.to_delete.pop(topic)
        services.note("topic_deleted", topic, cause)
