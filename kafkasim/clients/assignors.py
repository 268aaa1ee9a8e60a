"""Partition assignors: what the leader of a consumer group computes in its ``poll()``.

Stands for ``RangeAssignor`` of kafka-clients, with the rack-aware step that precedes the
plain ranges since 3.5 (KIP-881).  Partitions are ``(topic, partition)`` numbers here: an
assignor knows names only.

Left out: round robin, sticky and cooperative-sticky.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from kafkasim.clients.java_hash import hash_order, string_hash

PartitionName = tuple[str, int]
"""A topic's name and a partition's number."""

RANGE = "range"


def hash_map_order(names: Iterable[str]) -> list[str]:
    """The order in which a ``java.util.HashMap`` walks ``names``: the order of topics in an assignment.

    It decides the order of a member's list, never who gets what.
    """
    ordered = sorted(names)
    return [ordered[i] for i in hash_order([string_hash(name) for name in ordered])]


class MemberSubscription:
    """What the assignor knows of one member: its topics and, where set, instance id and rack."""

    def __init__(
        self, member_id: str, topics: Sequence[str], instance_id: str | None = None, rack: str | None = None
    ) -> None:
        self.member_id = member_id
        self.topics = tuple(topics)
        self.instance_id = instance_id
        self.rack = rack or None

    def sort_key(self) -> tuple[int, bytes]:
        """Static members by instance id before dynamic ones by member id (``MemberInfo.compareTo``)."""
        name = self.member_id if self.instance_id is None else self.instance_id
        # Java compares strings by their UTF-16 units.
        return (1 if self.instance_id is None else 0, name.encode("utf-16-be", "surrogatepass"))


class _TopicRanges:
    """The state of one topic's assignment (``RangeAssignor.TopicAssignmentState``)."""

    def __init__(
        self, topic: str, partitions: int, members: list[MemberSubscription], racks: Sequence[Sequence[str]] | None
    ) -> None:
        self.topic = topic
        self.partitions = partitions
        self.members = sorted(members, key=MemberSubscription.sort_key)
        self.consumers: tuple[tuple[str, str | None], ...] = tuple((m.member_id, m.rack) for m in self.members)
        self.assigned: dict[str, int] = {m.member_id: 0 for m in self.members}
        self.unassigned: dict[int, None] = dict.fromkeys(range(partitions))
        self.quota = partitions // len(members) if members else 0
        self.extra = partitions % len(members) if members else 0
        consumer_racks = {m.rack for m in self.members if m.rack is not None}
        self.racks: list[frozenset[str]] | None = None
        self.rack_aware = False
        if consumer_racks and racks is not None:
            self.racks = [frozenset(replicas) for replicas in racks]
            everywhere = frozenset().union(*self.racks) if self.racks else frozenset()
            self.rack_aware = not consumer_racks.isdisjoint(everywhere) and any(r != everywhere for r in self.racks)

    def matches(self, rack: str | None, partition: int) -> bool:
        """Whether a member in ``rack`` may read ``partition`` within its rack (always, when it has none)."""
        return rack is None or (self.racks is not None and rack in self.racks[partition])

    def assignable(self, member_id: str) -> int:
        """How many more partitions of this topic the member may get."""
        return max(0, self.quota + (1 if self.extra > 0 else 0) - self.assigned[member_id])

    def assign(self, member_id: str, partitions: Sequence[int], result: dict[str, list[PartitionName]]) -> None:
        """Give ``partitions`` to the member."""
        result[member_id].extend((self.topic, partition) for partition in partitions)
        self.assigned[member_id] += len(partitions)
        if self.assigned[member_id] > self.quota:
            self.extra -= 1
        for partition in partitions:
            del self.unassigned[partition]

    def assign_ranges(self, in_rack: bool, result: dict[str, list[PartitionName]]) -> None:
        """Contiguous ranges, member by member; only partitions of the member's rack when ``in_rack``."""
        for member_id, rack in self.consumers:
            if not self.unassigned:
                break
            limit = self.assignable(member_id)
            chosen: list[int] = []
            for partition in self.unassigned:
                if len(chosen) == limit:
                    break
                if not in_rack or self.matches(rack, partition):
                    chosen.append(partition)
            if chosen:
                self.assign(member_id, chosen, result)


def range_assignment(
    topics: Mapping[str, int],
    members: Sequence[MemberSubscription],
    replica_racks: Mapping[str, Sequence[Sequence[str]]] | None = None,
) -> dict[str, list[PartitionName]]:
    """The range assignment: member id → partitions.

    ``topics`` gives each topic's number of partitions; ``replica_racks`` the racks of each
    partition's replicas (None: racks play no part, as before 3.5).
    """
    result: dict[str, list[PartitionName]] = {member.member_id: [] for member in members}
    states: list[_TopicRanges] = []
    for topic in hash_map_order(topics):
        if topics[topic] > 0:
            racks = replica_racks.get(topic) if replica_racks is not None else None
            subscribers = [member for member in members if topic in member.topics]
            states.append(_TopicRanges(topic, topics[topic], subscribers, racks))
    rack_aware = any(state.rack_aware for state in states)
    if rack_aware:
        _assign_within_racks(states, result)
    for state in states:
        state.assign_ranges(False, result)
    if rack_aware:
        for partitions in result.values():
            partitions.sort()
    return result


def _assign_within_racks(states: list[_TopicRanges], result: dict[str, list[PartitionName]]) -> None:
    groups: dict[tuple[frozenset[tuple[str, str | None]], int], list[_TopicRanges]] = {}
    for state in states:
        partitions = state.partitions if state.racks is not None else 0
        groups.setdefault((frozenset(state.consumers), partitions), []).append(state)
    for (_, partitions), group in groups.items():
        if len(group) > 1:
            _assign_copartitioned(group, partitions, result)
        elif group[0].rack_aware:
            group[0].assign_ranges(True, result)


def _assign_copartitioned(group: list[_TopicRanges], partitions: int, result: dict[str, list[PartitionName]]) -> None:
    remaining = list(group[0].consumers)
    for partition in range(partitions):
        for consumer in remaining:
            member_id, rack = consumer
            if all(state.matches(rack, partition) and state.assignable(member_id) > 0 for state in group):
                for state in group:
                    state.assign(member_id, [partition], result)
                if all(state.assignable(member_id) == 0 for state in group):
                    remaining.remove(consumer)
                break
        if not remaining:
            break


def assign(
    strategy: str,
    topics: Mapping[str, int],
    members: Sequence[MemberSubscription],
    replica_racks: Mapping[str, Sequence[Sequence[str]]] | None = None,
) -> dict[str, list[PartitionName]]:
    """Run the assignor called ``strategy``; ``ValueError`` when the model has none of that name."""
    if strategy != RANGE:
        raise ValueError(f"no assignor called {strategy!r} (there is {RANGE!r})")
    return range_assignment(topics, members, replica_racks)
