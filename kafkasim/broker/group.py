"""A consumer group as its coordinator keeps it: members, generation, offsets.

Stands for ``GroupMetadata`` and ``MemberMetadata``.  Pure state: who may do what, and when,
is the coordinator's business.  Members are walked in the order in which they joined (the
real broker follows a hash map).

Left out: static members (``group.instance.id``), transactional offset commits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kafkasim.broker.offsets_store import GROUP, OffsetsRecord
from kafkasim.protocol import Request, TopicPartition

EMPTY: Final = "Empty"
PREPARING_REBALANCE: Final = "PreparingRebalance"
COMPLETING_REBALANCE: Final = "CompletingRebalance"
STABLE: Final = "Stable"
DEAD: Final = "Dead"

Respond = Callable[[Request], None]

Metadata = tuple[tuple[str, ...], tuple[str, ...], int]
"""A member's protocols, topics and (3.4+ clients) generation: a change of it starts a rebalance."""


class Waiting:
    """A request that waits in the coordinator, and how to answer it."""

    def __init__(self, request: Request, respond: Respond) -> None:
        self.request = request
        self.respond = respond


class Member:
    """One member.

    ``expires_at`` (s) is when its session ends unless something resets it; ``armed_at`` is
    the time of the one planned look at it (infinity: none).
    """

    def __init__(
        self, member_id: str, client_id: str, session_timeout_ms: int, rebalance_timeout_ms: int, metadata: Metadata
    ) -> None:
        self.member_id = member_id
        self.client_id = client_id
        self.session_timeout_ms = session_timeout_ms
        self.rebalance_timeout_ms = rebalance_timeout_ms
        self.metadata = metadata
        self.rack = ""
        self.assignment: list[TopicPartition] = []
        self.join: Waiting | None = None
        self.sync: Waiting | None = None
        self.is_new = False
        self.expires_at: float = 0.0
        self.armed_at: float = float("inf")

    @property
    def protocols(self) -> tuple[str, ...]:
        """Names of the assignors that the member can run, best first."""
        return self.metadata[0]

    @property
    def topics(self) -> tuple[str, ...]:
        """Its subscription."""
        return self.metadata[1]

    def outlives_its_session(self) -> bool:
        """A member that waits in join or sync does not expire, unless it is new (its wait is cut)."""
        return not self.is_new and (self.join is not None or self.sync is not None)


class Group:
    """One group: state, members, and committed offsets.

    ``offsets`` maps a partition's index to (offset, leader epoch); ``pending`` holds commits
    that are appended but not yet committed, newest per partition.
    """

    def __init__(self, name: str, offsets_partition: TopicPartition) -> None:
        self.name = name
        self.tp = offsets_partition
        self.state = EMPTY
        self.generation = 0
        self.protocol = ""
        self.leader = ""
        self.members: dict[str, Member] = {}
        self.pending_members: dict[str, int] = {}
        self.pending_sync: dict[str, int] = {}
        self.new_member_added = False
        self.initial_join = False
        self.join_serial = 0
        self.sync_serial = 0
        self.cause = 0
        self.offsets: dict[int, tuple[int, int]] = {}
        self.pending: dict[int, tuple[int, int]] = {}

    def accepts(self, member_id: str, most: int) -> bool:
        """Whether a member may join a group of at most ``most`` (``GroupCoordinator.acceptJoiningMember``)."""
        if self.state == EMPTY:
            return True
        member = self.members.get(member_id)
        if self.state == PREPARING_REBALANCE:
            waiting = sum(known.join is not None for known in self.members.values())
            return (member is not None and member.join is not None) or waiting < most
        return member is not None or len(self.members) < most

    def add(self, member: Member) -> None:
        """A member joins; the first one is the leader."""
        if not self.leader:
            self.leader = member.member_id
        self.members[member.member_id] = member
        self.pending_members.pop(member.member_id, None)

    def remove(self, member_id: str) -> None:
        """A member, or an id that was only handed out, is gone."""
        self.members.pop(member_id, None)
        if self.leader == member_id:
            self.leader = next(iter(self.members), "")
        self.pending_members.pop(member_id, None)
        self.pending_sync.pop(member_id, None)

    def all_joined(self) -> bool:
        """Whether every known member waits in join and no handed-out id is awaited."""
        return not self.pending_members and all(member.join is not None for member in self.members.values())

    def elect_joined_leader(self) -> bool:
        """Keep the leader if it has re-joined, else take the first member that has; False when none has."""
        if not self.leader:
            return False
        if self.members[self.leader].join is None:
            for member in self.members.values():
                if member.join is not None:
                    self.leader = member.member_id
                    return True
            return False
        return True

    def can_rebalance(self) -> bool:
        """States from which a rebalance may start."""
        return self.state in (EMPTY, COMPLETING_REBALANCE, STABLE)

    def rebalance_timeout_ms(self) -> int:
        """The longest ``max.poll.interval.ms`` of the members."""
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    def next_generation(self) -> None:
        """The join phase has ended."""
        self.generation += 1
        self.pending_sync.clear()
        if self.members:
            self.protocol = self._select_protocol()
            self.state = COMPLETING_REBALANCE
        else:
            self.protocol = ""
            self.state = EMPTY

    def subscriptions(self) -> list[tuple[str, tuple[str, ...]]]:
        """What the leader is told: member ids and their topics."""
        return [(member.member_id, member.topics) for member in self.members.values()]

    def racks(self) -> dict[str, str]:
        """The racks of the members that told one."""
        return {member.member_id: member.rack for member in self.members.values() if member.rack}

    def record(self, assignment: dict[str, list[TopicPartition]]) -> OffsetsRecord:
        """The group's record for the log, with ``assignment``."""
        members = tuple(
            (
                member.member_id,
                member.client_id,
                member.session_timeout_ms,
                member.rebalance_timeout_ms,
                (self.protocol,),
                member.topics,
                member.metadata[2],
                tuple(assignment.get(member.member_id, ())),
            )
            for member in self.members.values()
        )
        return (GROUP, self.name, self.generation, self.protocol, self.leader, members)

    def restore(self, record: OffsetsRecord) -> None:
        """Take over what a record of the log says."""
        _, _, self.generation, self.protocol, self.leader, members = record
        for member_id, client_id, session_ms, rebalance_ms, protocols, topics, generation, assigned in members:
            member = Member(member_id, client_id, session_ms, rebalance_ms, (protocols, topics, generation))
            member.assignment = list(assigned)
            self.members[member_id] = member
        self.state = STABLE if self.members else EMPTY

    def begin_commit(self, offsets: list[tuple[TopicPartition, int, int]]) -> None:
        """A commit has been appended: not visible until it is committed."""
        for tp, offset, leader_epoch in offsets:
            self.pending[tp.index] = (offset, leader_epoch)

    def end_commit(self, offsets: list[tuple[TopicPartition, int, int]], succeeded: bool) -> None:
        """The log has answered."""
        for tp, offset, leader_epoch in offsets:
            if succeeded:
                self.offsets[tp.index] = (offset, leader_epoch)
            if self.pending.get(tp.index) == (offset, leader_epoch):
                del self.pending[tp.index]

    def _select_protocol(self) -> str:
        members = list(self.members.values())
        votes: dict[str, int] = {}
        for member in members:
            for protocol in member.protocols:
                if all(protocol in other.protocols for other in members):
                    votes[protocol] = votes.get(protocol, 0) + 1
                    break
        return max(votes, key=lambda protocol: votes[protocol]) if votes else ""
