"""Rebalances of consumer groups: join phase, sync phase, sessions.

Stands for the half of ``GroupCoordinator`` that moves a group from state to state, with
``DelayedJoin``, ``InitialDelayedJoin``, ``DelayedSync`` and ``DelayedHeartbeat``; the requests
arrive in :mod:`kafkasim.broker.group_coordinator`.  Every timer is an entry of the scheduler
that finds out by a serial number, or a deadline, whether it still means anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kafkasim.broker.group import (
    COMPLETING_REBALANCE,
    DEAD,
    EMPTY,
    PREPARING_REBALANCE,
    STABLE,
    Group,
    Member,
    Respond,
    Waiting,
)
from kafkasim.broker.group_loader import GroupKeeper
from kafkasim.broker.offsets_store import OffsetsRecord, OffsetsStore, batch_bytes
from kafkasim.clients.settings import release
from kafkasim.group_sizes import assignment_bytes, join_group_response_bytes, sync_group_response_bytes
from kafkasim.hosts.life import Life
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.streams import Streams
from kafkasim.messages import JoinGroupBody, JoinGroupReply
from kafkasim.protocol import (
    COORDINATOR_NOT_AVAILABLE,
    MEMBER_ID_REQUIRED,
    NONE,
    NOT_COORDINATOR,
    NOT_ENOUGH_REPLICAS,
    NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    NOT_LEADER_OR_FOLLOWER,
    REBALANCE_IN_PROGRESS,
    REQUEST_TIMED_OUT,
    UNKNOWN_MEMBER_ID,
    UNKNOWN_TOPIC_OR_PARTITION,
    Request,
    TopicPartition,
)

AppendDone = Callable[[int], None]

NEW_MEMBER_JOIN_TIMEOUT_MS: Final = 300_000
"""A new member's wait in join is cut after this (``NewMemberJoinTimeoutMs``)."""


class GroupSettings:
    """The broker's configs for groups, and the loader's costs (*assumed*: a start of the thread 0.5 ms,
    200 MB/s and 2 µs a record from the page cache)."""

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        values: Mapping[str, Any] = config or {}
        self.initial_rebalance_delay_ms = int(values.get("group.initial.rebalance.delay.ms", 3000))
        self.min_session_timeout_ms = int(values.get("group.min.session.timeout.ms", 6000))
        self.max_session_timeout_ms = int(values.get("group.max.session.timeout.ms", 1_800_000))
        self.max_size = int(values.get("group.max.size", 2**31 - 1))
        self.offsets_commit_timeout_ms = int(values.get("offsets.commit.timeout.ms", 5000))
        self.load_start_s = 0.0005
        self.load_bytes_per_s = 200e6
        self.load_per_record_s = 2e-6


class _Store:
    """An append of the group's record that a SyncGroup (or an empty generation) waits for."""

    def __init__(self, coordinator: Rebalances, group: Group, assignment: dict[str, list[TopicPartition]]) -> None:
        self._coordinator = coordinator
        self._group = group
        self._generation = group.generation
        self._assignment = assignment

    def done(self, error: int) -> None:
        """The log has answered."""
        self._coordinator.stored(self._group, self._generation, self._assignment, error)


def commit_error(error: int) -> int:
    """What a client is told when an append of the coordinator fails."""
    if error in (UNKNOWN_TOPIC_OR_PARTITION, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND):
        return COORDINATOR_NOT_AVAILABLE
    if error == NOT_LEADER_OR_FOLLOWER:
        return NOT_COORDINATOR
    return error


class Rebalances(GroupKeeper):
    """The groups of one broker process and what moves them.

    ``version`` is the broker's release.
    """

    def __init__(
        self,
        scheduler: Scheduler | Life,
        streams: Streams,
        store: OffsetsStore,
        settings: GroupSettings,
        version: Any,
        clock: Clock,
    ) -> None:
        number = release(version)
        self.settings = settings
        self.groups: dict[str, Group] = {}
        self._scheduler = scheduler
        self._streams = streams
        self._store = store
        self._clock = clock
        self._closed = False
        self._member_id_required = number >= (2, 2, 0)
        self._delayed_sync = number >= (2, 8, 1)
        self._heartbeat_while_completing = number >= (2, 6, 1)
        self._stable_offsets = number >= (2, 5, 0)

    # Joining

    def _join_unknown(self, group: Group, body: JoinGroupBody, waiting: Waiting) -> None:
        member_id = f"{body.client_id}-{self._uuid(group)}"
        if not self._member_id_required:
            self._add_member(group, member_id, body, waiting)
            return
        expires_ms = self._clock.ms(self._scheduler.now) + body.session_timeout_ms
        group.pending_members[member_id] = expires_ms
        self._scheduler.call_at(self._time_of(expires_ms), self._expire_pending, (group, member_id))
        self._refuse_join(waiting.request, waiting.respond, member_id, MEMBER_ID_REQUIRED)

    def _join_known(self, group: Group, body: JoinGroupBody, waiting: Waiting) -> None:
        if body.member_id in group.pending_members:
            self._add_member(group, body.member_id, body, waiting)
            return
        member = group.members.get(body.member_id)
        if member is None or group.state == EMPTY:
            self._refuse_join(waiting.request, waiting.respond, body.member_id, UNKNOWN_MEMBER_ID)
            return
        unchanged = member.metadata == (body.protocols, body.topics, body.generation)
        completing = group.state == COMPLETING_REBALANCE and unchanged
        stable = group.state == STABLE and unchanged and group.leader != member.member_id
        if completing or stable:
            # It has missed the answer: it is told the current generation and goes on to sync.
            self._respond_join(group, member, waiting)
            return
        member.metadata = (body.protocols, body.topics, body.generation)
        member.rebalance_timeout_ms = body.rebalance_timeout_ms
        member.session_timeout_ms = body.session_timeout_ms
        member.rack = body.rack
        member.join = waiting
        self._maybe_prepare_rebalance(group, waiting.request.cause)

    def _add_member(self, group: Group, member_id: str, body: JoinGroupBody, waiting: Waiting) -> None:
        metadata = (body.protocols, body.topics, body.generation)
        member = Member(member_id, body.client_id, body.session_timeout_ms, body.rebalance_timeout_ms, metadata)
        member.is_new = True
        member.rack = body.rack
        member.join = waiting
        if group.state == PREPARING_REBALANCE and group.generation == 0:
            group.new_member_added = True
        group.add(member)
        self._reset_session(group, member, NEW_MEMBER_JOIN_TIMEOUT_MS)
        self._maybe_prepare_rebalance(group, waiting.request.cause)

    def _maybe_prepare_rebalance(self, group: Group, cause: int) -> None:
        if group.can_rebalance():
            self._prepare_rebalance(group, cause)

    def _prepare_rebalance(self, group: Group, cause: int) -> None:
        if group.state == COMPLETING_REBALANCE:
            self._refuse_syncs(group, REBALANCE_IN_PROGRESS)
        group.sync_serial += 1
        group.pending_sync.clear()
        group.cause = cause
        was_empty = group.state == EMPTY
        group.state = PREPARING_REBALANCE
        group.initial_join = was_empty
        if was_empty:
            delay_ms = self.settings.initial_rebalance_delay_ms
            self._delay_join(group, delay_ms, max(group.rebalance_timeout_ms() - delay_ms, 0))
        else:
            self._delay_join(group, group.rebalance_timeout_ms(), 0)
            self._try_complete_join(group)

    def _delay_join(self, group: Group, delay_ms: int, remaining_ms: int) -> None:
        group.join_serial += 1
        at = self._after_ms(delay_ms)
        self._scheduler.call_at(at, self._join_expired, (group, group.join_serial, delay_ms, remaining_ms))

    def _join_expired(self, planned: tuple[Group, int, int, int]) -> None:
        group, serial, delay_ms, remaining_ms = planned
        if self._closed or serial != group.join_serial or group.state != PREPARING_REBALANCE:
            return
        if group.initial_join and group.new_member_added and remaining_ms != 0:
            # Somebody new came during the wait: wait once more, as long as the rebalance timeout allows.
            group.new_member_added = False
            next_ms = min(self.settings.initial_rebalance_delay_ms, remaining_ms)
            self._delay_join(group, next_ms, max(remaining_ms - delay_ms, 0))
            return
        self._complete_join(group)

    def _try_complete_join(self, group: Group) -> None:
        if group.state == PREPARING_REBALANCE and not group.initial_join and group.all_joined():
            self._complete_join(group)

    def _complete_join(self, group: Group) -> None:
        group.join_serial += 1
        group.initial_join = False
        for member in [member for member in group.members.values() if member.join is None]:
            group.remove(member.member_id)
        if not group.elect_joined_leader() and group.members:
            self._delay_join(group, group.rebalance_timeout_ms(), 0)
            return
        group.next_generation()
        if group.state == EMPTY:
            self._store_group(group, {}, group.cause)
            return
        # All are answered at one instant: their heartbeats are in phase from here on.
        for member in list(group.members.values()):
            waiting = member.join
            member.join = None
            if waiting is not None:
                self._respond_join(group, member, waiting)
            self._reset_session(group, member)
            member.is_new = False
            group.pending_sync[member.member_id] = group.generation
        if self._delayed_sync:
            group.sync_serial += 1
            at = self._after_ms(group.rebalance_timeout_ms())
            self._scheduler.call_at(at, self._sync_expired, (group, group.sync_serial))

    def _sync_expired(self, planned: tuple[Group, int]) -> None:
        group, serial = planned
        if self._closed or serial != group.sync_serial or not group.pending_sync:
            return
        if group.state in (COMPLETING_REBALANCE, STABLE):
            for member_id in list(group.pending_sync):
                group.remove(member_id)
            self._prepare_rebalance(group, 0)

    # Storing the assignment

    def _store_group(self, group: Group, assignment: dict[str, list[TopicPartition]], cause: int) -> None:
        self._append(group, [group.record(assignment)], _Store(self, group, assignment).done, cause)

    def stored(self, group: Group, generation: int, assignment: dict[str, list[TopicPartition]], error: int) -> None:
        """The group's record is committed, or was refused: hand out the assignment, or start over."""
        if self._closed or group.state != COMPLETING_REBALANCE or generation != group.generation:
            return
        if error != NONE:
            error = REBALANCE_IN_PROGRESS if error == REQUEST_TIMED_OUT else commit_error(error)
            self._refuse_syncs(group, error)
            self._maybe_prepare_rebalance(group, 0)
            return
        group.state = STABLE
        for member in list(group.members.values()):
            member.assignment = assignment.get(member.member_id, [])
            if member.sync is not None:
                self._answer_sync(group, member, NONE)
                self._reset_session(group, member)

    def _refuse_syncs(self, group: Group, error: int) -> None:
        for member in list(group.members.values()):
            member.assignment = []
            if member.sync is not None:
                self._answer_sync(group, member, error)
                self._reset_session(group, member)

    def _append(self, group: Group, records: list[OffsetsRecord], done: AppendDone, cause: int) -> None:
        timeout_s = self.settings.offsets_commit_timeout_ms / 1000.0
        self._store.append(group.tp, records, batch_bytes(records), timeout_s, done, cause)

    # Sessions

    def _reset_session(self, group: Group, member: Member, timeout_ms: int = 0) -> None:
        at = self._after_ms(timeout_ms or member.session_timeout_ms)
        member.expires_at = at
        if at < member.armed_at:
            member.armed_at = at
            self._scheduler.call_at(at, self._session_due, (group, member))

    def _session_due(self, planned: tuple[Group, Member]) -> None:
        group, member = planned
        now = self._scheduler.now
        if self._closed or group.state == DEAD or now != member.armed_at:
            return
        member.armed_at = float("inf")
        if group.members.get(member.member_id) is not member:
            return
        if now < member.expires_at:
            member.armed_at = member.expires_at
            self._scheduler.call_at(member.expires_at, self._session_due, planned)
        elif not member.outlives_its_session():
            self._remove_member(group, member, 0)

    def _expire_pending(self, planned: tuple[Group, str]) -> None:
        group, member_id = planned
        if self._closed or group.state == DEAD or member_id not in group.pending_members:
            return
        group.remove(member_id)
        if group.state == PREPARING_REBALANCE:
            self._try_complete_join(group)

    def _remove_member(self, group: Group, member: Member, cause: int) -> None:
        self._answer_join(group, member, UNKNOWN_MEMBER_ID)
        group.remove(member.member_id)
        if group.state in (STABLE, COMPLETING_REBALANCE):
            self._maybe_prepare_rebalance(group, cause)
        elif group.state == PREPARING_REBALANCE:
            self._try_complete_join(group)

    # Answers

    def _refuse_join(self, request: Request, respond: Respond, member_id: str, error: int) -> None:
        request.error = error
        request.reply = JoinGroupReply(member_id)
        request.response_bytes = join_group_response_bytes(member_id, "", [])
        respond(request)

    def _respond_join(self, group: Group, member: Member, waiting: Waiting) -> None:
        leads = group.leader == member.member_id
        members = group.subscriptions() if leads else []
        request = waiting.request
        request.cause = group.cause
        request.error = NONE
        racks = group.racks() if leads else {}
        request.reply = JoinGroupReply(member.member_id, group.generation, group.protocol, group.leader, members, racks)
        request.response_bytes = join_group_response_bytes(member.member_id, group.protocol, members)
        waiting.respond(request)

    def _answer_join(self, group: Group, member: Member, error: int) -> None:
        waiting = member.join
        if waiting is not None:
            member.join = None
            self._refuse_join(waiting.request, waiting.respond, member.member_id, error)

    def _answer_sync(self, group: Group, member: Member, error: int) -> None:
        waiting = member.sync
        if waiting is not None:
            member.sync = None
            self._respond_sync(group.protocol, member.assignment if error == NONE else [], waiting, error)

    def _respond_sync(self, protocol: str, assignment: list[TopicPartition], waiting: Waiting, error: int) -> None:
        counts: dict[str, int] = {}
        for tp in assignment:
            counts[tp.topic] = counts.get(tp.topic, 0) + 1
        request = waiting.request
        request.error = error
        request.reply = list(assignment)
        request.response_bytes = sync_group_response_bytes(protocol, assignment_bytes(list(counts.items())))
        waiting.respond(request)

    # Time and names

    def _after_ms(self, delay_ms: int) -> float:
        return self._time_of(self._clock.ms(self._scheduler.now) + delay_ms)

    def _time_of(self, ms: int) -> float:
        at = self._clock.time_of(ms)
        return at if at > self._scheduler.now else self._scheduler.now

    def _uuid(self, group: Group) -> str:
        draws = self._streams.stream(f"group/{group.name}/member-ids")
        digits = "".join(f"{draws.integer(1 << 16):04x}" for _ in range(8))
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
