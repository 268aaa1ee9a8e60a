"""What the active controller keeps in memory: live brokers, assignments, partition states.

Stands for ``ControllerContext``.  Everything that an event needs is indexed by broker, so that no event walks all
partitions: which partitions a broker hosts, which it leads, which have another leader than their preferred one, which a
topic has.

Left out: replicas on failed disks.
"""

from __future__ import annotations

from collections.abc import Iterable

from kafkasim.controller.assignment import Assignment
from kafkasim.messages import NO_LEADER, PartitionState
from kafkasim.protocol import TopicPartition

Data = tuple[int, int, tuple[int, ...], int]
"""What a partition's state znode holds: leader, leader epoch, ISR, controller epoch."""


class ControllerContext:
    """The controller's view; partitions are named by their number."""

    def __init__(self) -> None:
        self.epoch: int = 0
        self.epoch_version: int = 0
        self.live: dict[int, int] = {}
        self.racks: dict[int, str | None] = {}
        self.shutting_down: dict[int, None] = {}
        self.on_offline_dirs: dict[int, dict[int, None]] = {}
        """By broker: its replicas whose log directory has failed."""
        self.partitions: dict[int, TopicPartition] = {}
        self.assignment: dict[int, tuple[int, ...]] = {}
        self.states: dict[int, PartitionState] = {}
        self.offline: dict[int, None] = {}
        self.new: dict[int, None] = {}
        self.hosted: dict[int, dict[int, None]] = {}
        self.led: dict[int, dict[int, None]] = {}
        self.preferring: dict[int, int] = {}
        self.imbalanced: dict[int, dict[int, None]] = {}
        self.topics: dict[str, dict[int, None]] = {}
        """Every topic that ``/brokers/topics`` has, with its partitions."""
        self.adding: dict[int, tuple[int, ...]] = {}
        self.removing: dict[int, tuple[int, ...]] = {}
        self.reassigning: dict[int, None] = {}
        self.to_delete: dict[str, None] = {}
        """Topics whose deletion has been asked for."""
        self.deletions: dict[str, dict[tuple[int, int], str]] = {}
        """Of those whose deletion has begun: the state of each replica (partition, broker)."""

    # brokers

    def is_live(self, broker: int) -> bool:
        """Registered and not in controlled shutdown."""
        return broker in self.live and broker not in self.shutting_down

    def brokers(self) -> list[int]:
        """The ids of all registered brokers (those in controlled shutdown too), sorted."""
        return sorted(self.live)

    def live_replicas(self, index: int) -> tuple[int, ...]:
        """The live replicas of a partition, in the order of its assignment."""
        offline = self.on_offline_dirs
        return tuple(
            broker
            for broker in self.assignment[index]
            if self.is_live(broker) and (not offline or index not in offline.get(broker, ()))
        )

    # partitions

    def full_assignment(self, index: int) -> Assignment:
        """A partition's replicas, with what a reassignment adds and removes."""
        return Assignment(self.assignment[index], self.adding.get(index, ()), self.removing.get(index, ()))

    def assign(self, tp: TopicPartition, assigned: tuple[int, ...] | Assignment) -> None:
        """A partition's replicas, as the topic's znode has them."""
        index = tp.index
        if isinstance(assigned, Assignment):
            replicas = assigned.replicas
            _keep(self.adding, index, assigned.adding)
            _keep(self.removing, index, assigned.removing)
        else:
            replicas = assigned
            if self.adding:
                self.adding.pop(index, None)
            if self.removing:
                self.removing.pop(index, None)
        known = self.assignment.get(index)
        if known == replicas:
            return
        if known is not None:
            for broker in known:
                del self.hosted[broker][index]
            self.preferring[known[0]] -= 1
        self.partitions[index] = tp
        self.assignment[index] = replicas
        self.topics.setdefault(tp.topic, {})[index] = None
        for broker in replicas:
            self.hosted.setdefault(broker, {})[index] = None
        self.preferring[replicas[0]] = self.preferring.get(replicas[0], 0) + 1
        self._note_balance(index, self.states.get(index), -1 if known is None else known[0])

    def put_state(self, state: PartitionState) -> None:
        """A partition's leader and ISR, as ZooKeeper has them now."""
        index = state.tp.index
        before = self.states.get(index)
        self.states[index] = state
        if before is not None and before.leader == state.leader:
            return
        if before is not None:
            led = self.led.get(before.leader)
            if led is not None:
                led.pop(index, None)
        self.led.setdefault(state.leader, {})[index] = None
        self._note_balance(index, state, -1)

    def decode(self, index: int, data: Data, version: int) -> PartitionState:
        """A partition's state from its znode's data and version."""
        leader, leader_epoch, isr, controller_epoch = data
        return PartitionState(
            self.partitions[index], leader, leader_epoch, isr, version, self.assignment[index], controller_epoch,
            self.adding.get(index, ()),
        )  # fmt: skip

    def forget_partition(self, index: int) -> None:
        """A partition of a topic that has been deleted."""
        self.offline.pop(index, None)
        self.new.pop(index, None)
        self.reassigning.pop(index, None)
        self.adding.pop(index, None)
        self.removing.pop(index, None)
        state = self.states.pop(index, None)
        if state is not None:
            self.led.get(state.leader, {}).pop(index, None)
        replicas = self.assignment.pop(index)
        for broker in replicas:
            self.hosted[broker].pop(index, None)
        self.preferring[replicas[0]] -= 1
        self.imbalanced.get(replicas[0], {}).pop(index, None)
        self.topics[self.partitions.pop(index).topic].pop(index, None)

    def hosted_on(self, brokers: Iterable[int]) -> dict[int, list[int]]:
        """The partitions that each of ``brokers`` has a replica of, sorted."""
        return {broker: sorted(self.hosted.get(broker, {})) for broker in brokers}

    def with_offline_leader(self) -> list[int]:
        """The partitions whose leader is not live, sorted."""
        found: list[int] = []
        for broker, led in self.led.items():
            if led and (broker == NO_LEADER or not self.is_live(broker)):
                found.extend(led)
            elif led and broker in self.on_offline_dirs:
                failed = self.on_offline_dirs[broker]
                found.extend(index for index in led if index in failed)
        found.sort()
        return found

    def to_bring_online(self) -> list[int]:
        """The partitions that wait for a leader (offline or new), sorted."""
        return sorted([*self.offline, *self.new])

    def wants_preferred(self, broker: int) -> list[int]:
        """The partitions that prefer ``broker`` and are led elsewhere, sorted."""
        return sorted(self.imbalanced.get(broker, {}))

    def preferred_imbalance(self) -> int:
        """PreferredReplicaImbalanceCount."""
        return sum(len(indexes) for indexes in self.imbalanced.values())

    def initialise_phases(self) -> None:
        """Sort all partitions into online, offline and new, from their states and the live brokers."""
        self.offline.clear()
        self.new.clear()
        for index, tp in self.partitions.items():
            if self.to_delete and tp.topic in self.to_delete:
                continue
            state = self.states.get(index)
            if state is None:
                self.new[index] = None
            elif not self.is_live(state.leader):
                self.offline[index] = None

    def reset(self) -> None:
        """Resignation: forget everything."""
        self.epoch = 0
        self.epoch_version = 0
        for table in (
            self.live, self.racks, self.shutting_down, self.on_offline_dirs, self.partitions, self.assignment,
            self.states, self.offline,
            self.new, self.hosted, self.led, self.preferring, self.imbalanced, self.topics, self.adding,
            self.removing, self.reassigning, self.to_delete, self.deletions,
        ):  # fmt: skip
            table.clear()

    def _note_balance(self, index: int, state: PartitionState | None, old_preferred: int) -> None:
        if old_preferred >= 0:
            self.imbalanced.get(old_preferred, {}).pop(index, None)
        preferred = self.assignment[index][0]
        if state is not None and state.leader != preferred:
            self.imbalanced.setdefault(preferred, {})[index] = None
        else:
            known = self.imbalanced.get(preferred)
            if known is not None:
                known.pop(index, None)


def _keep(table: dict[int, tuple[int, ...]], index: int, brokers: tuple[int, ...]) -> None:
    if brokers:
        table[index] = brokers
    else:
        table.pop(index, None)
