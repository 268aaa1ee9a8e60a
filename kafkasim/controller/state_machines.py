"""Partitions and replicas change their state.

Stands for ``ZkPartitionStateMachine`` (online, offline, new partitions; elections) and ``ZkReplicaStateMachine``
(online and offline replicas; removal from the ISR).  States are read from ZooKeeper, never taken from memory,
and written on condition of the version that was read; whoever lost a race is read and tried again.  One call makes one
batch of requests, sent when all its partitions are done.

Left out: leader recovery state.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

import simpy

from kafkasim.controller import leader_selection
from kafkasim.controller.leader_selection import Election
from kafkasim.controller.request_batch import RequestBatch
from kafkasim.controller.services import Services
from kafkasim.controller.store import Steps, state_path, topic_config_path
from kafkasim.messages import NO_LEADER, PartitionState
from kafkasim.zookeeper.operations import Create, GetData

OFFLINE: Final = "offline"
PREFERRED: Final = "preferred"
UNCLEAN: Final = "unclean"
CONTROLLED_SHUTDOWN: Final = "controlled shutdown"
REASSIGN: Final = "reassign"

_UNCLEAN: Final = "unclean.leader.election.enable"


class StateMachines:
    """The transitions of partitions and replicas, for the event thread."""

    def __init__(self, services: Services) -> None:
        self.unclean_elections: int = 0
        self._services = services

    # partitions

    def mark_offline(self, indexes: Sequence[int]) -> None:
        """Online or new → Offline: in memory only."""
        context = self._services.context
        for index in indexes:
            context.new.pop(index, None)
            context.offline[index] = None

    def bring_online(self, cause: int) -> Generator[simpy.Event, Any, list[int]]:
        """Offline and new partitions → Online, where a leader can be found; returns those that have one now."""
        services = self._services
        context = services.context
        indexes = context.to_bring_online()
        if not indexes:
            return []
        batch = services.batch()
        fresh = [index for index in indexes if index in context.new]
        known = [index for index in indexes if index in context.offline]
        online = yield from self._initialise(fresh, batch, cause)
        online += yield from self._elect(known, OFFLINE, batch, cause)
        yield from services.send(batch, cause)
        return online

    def elect(self, indexes: Sequence[int], strategy: str, cause: int) -> Generator[simpy.Event, Any, list[int]]:
        """Elect leaders for online partitions; returns those for which it succeeded."""
        if not indexes:
            return []
        services = self._services
        batch = services.batch()
        elected = yield from self._elect(indexes, strategy, batch, cause)
        yield from services.send(batch, cause)
        return elected

    def create(self, indexes: Sequence[int], cause: int) -> Steps:
        """New partitions (known in memory) → Online."""
        batch = self._services.batch()
        yield from self._initialise(list(indexes), batch, cause)
        yield from self._services.send(batch, cause)

    # replicas

    def replicas_online(self, brokers: Sequence[int], cause: int) -> Steps:
        """All replicas on ``brokers`` → Online: they are sent the state of their partitions."""
        services = self._services
        context = services.context
        batch = services.batch()
        for broker, indexes in context.hosted_on(brokers).items():
            for index in indexes:
                state = context.states.get(index)
                if state is not None and not self._deleted(index):
                    batch.add_leader_and_isr((broker,), state)
        yield from services.send(batch, cause)

    def replicas_offline(self, brokers: Sequence[int], cause: int) -> Steps:
        """All replicas on ``brokers`` → Offline, but those of topics that are being deleted."""
        hosted = self._services.context.hosted_on(brokers)
        if self._services.context.to_delete:
            hosted = {broker: [i for i in indexes if not self._deleted(i)] for broker, indexes in hosted.items()}
        yield from self.take_offline(hosted, cause)

    def take_offline(self, replicas: Mapping[int, Sequence[int]], cause: int) -> Steps:
        """Replicas (by broker) → Offline: stopped, out of the ISR, with a new leader epoch; the others are told."""
        services = self._services
        context = services.context
        batch = services.batch()
        for broker, indexes in replicas.items():
            if broker in context.live:
                for index in indexes:
                    batch.add_stop_replica(broker, index, delete=False)
            known = [index for index in indexes if index in context.states]
            for state in (yield from self._remove_from_isr(broker, known, batch, cause)):
                if not self._deleted(state.tp.index):
                    others = [replica for replica in state.replicas if replica != broker]
                    batch.add_leader_and_isr(others, state)
        yield from services.send(batch, cause)

    def stop_replicas(self, replicas: Mapping[int, Sequence[int]], delete: bool, cause: int) -> Steps:
        """StopReplica by itself (``delete``: ReplicaDeletionStarted)."""
        batch = self._services.batch()
        for broker, indexes in replicas.items():
            for index in indexes:
                batch.add_stop_replica(broker, index, delete)
        yield from self._services.send(batch, cause)

    def raise_epoch(self, index: int, cause: int) -> Generator[simpy.Event, Any, PartitionState | None]:
        """The next leader epoch with leader and ISR as they are (updateLeaderEpoch); None if there is no state."""
        services = self._services
        context = services.context
        while True:
            state = (yield from services.store.states([index])).get(index)
            if state is None or state.controller_epoch > context.epoch:
                return None
            yield from services.compute(services.costs.state_s)
            written, changed = yield from services.store.update(
                [_changed(state, state.leader, state.isr, context.epoch)]
            )
            if written:
                context.put_state(written[0])
                return written[0]
            if not changed:
                return None

    # inside

    def _deleted(self, index: int) -> bool:
        context = self._services.context
        return bool(context.to_delete) and context.partitions[index].topic in context.to_delete

    def _initialise(
        self, indexes: list[int], batch: RequestBatch, cause: int
    ) -> Generator[simpy.Event, Any, list[int]]:
        services = self._services
        context = services.context
        proposed: list[PartitionState] = []
        for index in indexes:
            choice = leader_selection.new_partition(context.live_replicas(index))
            if choice is not None:
                proposed.append(
                    PartitionState(
                        context.partitions[index], choice.leader, 0, choice.isr, 0, context.assignment[index],
                        context.epoch, context.adding.get(index, ()),
                    )
                )  # fmt: skip
        if not proposed:
            return []
        yield from services.compute(len(proposed) * services.costs.state_s)
        topics: dict[str, None] = {}
        for state in proposed:
            topics[state.tp.topic] = None
        yield from services.store.write([Create(f"/brokers/topics/{topic}/partitions", None) for topic in topics])
        yield from services.store.write(
            [Create(f"/brokers/topics/{state.tp.topic}/partitions/{state.tp.partition}", None) for state in proposed]
        )
        outcomes = yield from services.store.write(
            [
                Create(state_path(state.tp), (state.leader, state.leader_epoch, state.isr, state.controller_epoch))
                for state in proposed
            ]
        )
        created = [state for state, outcome in zip(proposed, outcomes, strict=True) if outcome.error is None]
        for state in created:
            context.put_state(state)
            context.new.pop(state.tp.index, None)
            batch.add_leader_and_isr(state.isr, state)
        rows = services.note_changes(
            "leader_elected", [(None, state) for state in created], {state.tp.index: cause for state in created}
        )
        batch.causes.update(rows)
        return [state.tp.index for state in created]

    def _elect(
        self, indexes: Sequence[int], strategy: str, batch: RequestBatch, cause: int
    ) -> Generator[simpy.Event, Any, list[int]]:
        services = self._services
        context = services.context
        elected: list[int] = []
        remaining = list(indexes)
        while remaining:
            states = yield from services.store.states(remaining)
            yield from services.compute(len(remaining) * services.costs.state_s)
            # a newer controller has written there: this one has been succeeded and will learn of it
            valid = {index: state for index, state in states.items() if state.controller_epoch <= context.epoch}
            unclean = yield from self._unclean_topics(valid, strategy)
            choices: dict[int, Election] = {}
            for index, state in valid.items():
                choice = self._choose(state, strategy, state.tp.topic in unclean)
                if choice is not None:
                    choices[index] = choice
            written, remaining = yield from services.store.update(
                [_elected(valid[index], choice, context.epoch) for index, choice in choices.items()]
            )
            changes: list[tuple[PartitionState | None, PartitionState]] = []
            for state in written:
                index = state.tp.index
                changes.append((valid[index], state))
                context.put_state(state)
                context.offline.pop(index, None)
                batch.add_leader_and_isr(choices[index].recipients, state)
                elected.append(index)
                if state.leader not in valid[index].isr:
                    self.unclean_elections += 1
            rows = services.note_changes("leader_elected", changes, {state.tp.index: cause for state in written})
            batch.causes.update(rows)
        return elected

    def _choose(self, state: PartitionState, strategy: str, unclean: bool) -> Election | None:
        context = self._services.context
        if strategy == CONTROLLED_SHUTDOWN:
            registered = [broker for broker in state.replicas if broker in context.live]
            return leader_selection.controlled_shutdown(state, registered, context.shutting_down)
        live = context.live_replicas(state.tp.index)
        if strategy == PREFERRED:
            return leader_selection.preferred(state, live)
        if strategy == REASSIGN:
            return leader_selection.reassign(state, context.full_assignment(state.tp.index).target, live)
        return leader_selection.offline(state, live, unclean or strategy == UNCLEAN)

    def _unclean_topics(
        self, states: dict[int, PartitionState], strategy: str
    ) -> Generator[simpy.Event, Any, dict[str, None]]:
        """The topics that allow an unclean election: asked for only where no member of the ISR is live."""
        if strategy != OFFLINE:
            return {}
        services = self._services
        context = services.context
        topics: dict[str, None] = {}
        for state in states.values():
            if not any(context.is_live(member) for member in state.isr):
                topics[state.tp.topic] = None
        if not topics:
            return {}
        outcomes = yield from services.store.read([GetData(topic_config_path(topic), False) for topic in topics])
        default = services.config.get(_UNCLEAN, False)
        allowed: dict[str, None] = {}
        for topic, outcome in zip(topics, outcomes, strict=True):
            overrides = outcome.data if outcome.error is None and outcome.data else services.topics.config(topic)
            if overrides.get(_UNCLEAN, default):
                allowed[topic] = None
        return allowed

    def _remove_from_isr(
        self, broker: int, indexes: list[int], batch: RequestBatch, cause: int
    ) -> Generator[simpy.Event, Any, list[PartitionState]]:
        services = self._services
        context = services.context
        done: list[PartitionState] = []
        remaining = indexes
        while remaining:
            states = yield from services.store.states(remaining)
            yield from services.compute(len(remaining) * services.costs.state_s)
            proposed: list[PartitionState] = []
            for state in states.values():
                if state.controller_epoch > context.epoch:
                    continue
                if broker in state.isr:
                    leader, isr = leader_selection.without_replica(state, broker)
                    proposed.append(_changed(state, leader, isr, context.epoch))
                else:
                    context.put_state(state)
                    done.append(state)
            written, remaining = yield from services.store.update(proposed)
            offline: list[tuple[PartitionState | None, PartitionState]] = []
            shrunk: list[tuple[PartitionState | None, PartitionState]] = []
            for state in written:
                context.put_state(state)
                done.append(state)
                before = states[state.tp.index]
                (offline if state.leader == NO_LEADER else shrunk).append((before, state))
            causes = {state.tp.index: cause for state in written}
            batch.causes.update(services.note_changes("partition_offline", offline, causes))
            batch.causes.update(services.note_changes("isr_changed", shrunk, causes))
        return done


def _changed(state: PartitionState, leader: int, isr: tuple[int, ...], controller_epoch: int) -> PartitionState:
    """The proposal: the next leader epoch, on condition of the partition epoch that was read."""
    return PartitionState(
        state.tp, leader, state.leader_epoch + 1, isr, state.partition_epoch, state.replicas, controller_epoch,
        state.adding,
    )  # fmt: skip


def _elected(state: PartitionState, choice: Election, controller_epoch: int) -> PartitionState:
    return _changed(state, choice.leader, choice.isr, controller_epoch)
