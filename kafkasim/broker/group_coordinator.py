"""The group coordinator of one broker: membership, rebalances, committed offsets.

Stands for ``GroupCoordinator`` and ``GroupMetadataManager``.  A broker coordinates the groups
whose partition of ``__consumer_offsets`` it leads; all state is rebuilt from that partition's
log when leadership moves here (:mod:`kafkasim.broker.group_loader`).  Handlers take a request
and answer it through ``respond``, at once or later: a join waits for the other members, a
sync for the leader's assignment to be committed, a commit for its batch to be committed.

Left out: static members, transactional commits, expiry of offsets and of empty groups,
group.max.size, quotas of the coordinator.
"""

from __future__ import annotations

from typing import Any

from kafkasim.broker.group import (
    COMPLETING_REBALANCE,
    DEAD,
    EMPTY,
    PREPARING_REBALANCE,
    STABLE,
    Group,
    Respond,
    Waiting,
)
from kafkasim.broker.group_loader import LOADING, OWNED, GroupLoader, LoadTask
from kafkasim.broker.group_rebalance import GroupSettings, Rebalances, commit_error
from kafkasim.broker.offsets_store import OFFSET, OffsetsRecord, OffsetsStore
from kafkasim.clients.java_hash import string_hash
from kafkasim.group_sizes import (
    find_coordinator_response_bytes,
    heartbeat_response_bytes,
    offset_commit_response_bytes,
    offset_fetch_response_bytes,
)
from kafkasim.hosts.life import Life
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.kernel.streams import Streams
from kafkasim.messages import (
    FindCoordinatorBody,
    HeartbeatBody,
    JoinGroupBody,
    OffsetCommitBody,
    OffsetFetchBody,
    SyncGroupBody,
)
from kafkasim.protocol import (
    COORDINATOR_LOAD_IN_PROGRESS,
    COORDINATOR_NOT_AVAILABLE,
    GROUP_MAX_SIZE_REACHED,
    ILLEGAL_GENERATION,
    INVALID_SESSION_TIMEOUT,
    NONE,
    NOT_COORDINATOR,
    REBALANCE_IN_PROGRESS,
    UNKNOWN_MEMBER_ID,
    UNSTABLE_OFFSET_COMMIT,
    Request,
    TopicPartition,
)


def coordinator_partition(group: str, partitions: int) -> int:
    """The partition of ``__consumer_offsets`` that a group belongs to: abs(javaHash) mod n."""
    code = string_hash(group)
    signed = code - (1 << 32) if code >= 1 << 31 else code
    return 0 if signed == -(1 << 31) else abs(signed) % partitions


class _Commit:
    """An append of committed offsets that an OffsetCommit waits for."""

    def __init__(self, coordinator: GroupCoordinator, group: Group, request: Request, respond: Respond) -> None:
        self._coordinator = coordinator
        self._group = group
        self._request = request
        self._respond = respond

    def done(self, error: int) -> None:
        """The log has answered."""
        self._coordinator.committed(self._group, self._request, self._respond, error)


class GroupCoordinator(Rebalances):
    """All groups of one broker process: its request handlers.

    ``partitions`` are those of ``__consumer_offsets`` in order.  ``version`` is the broker's.
    """

    def __init__(
        self,
        scheduler: Scheduler | Life,
        streams: Streams,
        store: OffsetsStore,
        partitions: list[TopicPartition],
        settings: GroupSettings,
        version: Any,
        clock: Clock,
    ) -> None:
        super().__init__(scheduler, streams, store, settings, version, clock)
        self._partitions = partitions
        self._loader = GroupLoader(
            scheduler, store, self, settings.load_start_s, settings.load_bytes_per_s, settings.load_per_record_s
        )

    # Leadership of offsets partitions

    def elected(self, tp: TopicPartition, leader_epoch: int, cause: int = 0) -> None:
        """This broker has become leader of ``tp``: load its groups (after LeaderAndIsr has been applied)."""
        self._loader.submit(LoadTask(tp, leader_epoch, True, cause))

    def settle(self, tp: TopicPartition, leader_epoch: int) -> None:
        """This broker has led ``tp`` for long: its groups are there already (the settled start)."""
        self._loader.settle(tp, leader_epoch)

    def resigned(self, tp: TopicPartition, leader_epoch: int) -> None:
        """This broker is no longer leader of ``tp``: unload its groups."""
        self._loader.submit(LoadTask(tp, leader_epoch, False, 0))

    def close(self) -> None:
        """The process is gone: no timer of it does anything any more."""
        self._closed = True
        self._loader.close()
        self.groups.clear()

    def partition_of(self, group: str) -> TopicPartition:
        """The partition of ``__consumer_offsets`` that holds ``group``."""
        return self._partitions[coordinator_partition(group, len(self._partitions))]

    def loaded(self, tp: TopicPartition, groups: list[Group]) -> None:
        """Groups rebuilt from the log: every member gets a fresh session."""
        for group in groups:
            self.groups[group.name] = group
            for member in group.members.values():
                self._reset_session(group, member)

    def unloaded(self, tp: TopicPartition) -> None:
        """Groups of ``tp`` leave: whoever waits here is sent to look for the new coordinator."""
        for group in [group for group in self.groups.values() if group.tp is tp]:
            group.state = DEAD
            group.join_serial += 1
            group.sync_serial += 1
            del self.groups[group.name]
            for member in group.members.values():
                self._answer_join(group, member, NOT_COORDINATOR)
                self._answer_sync(group, member, NOT_COORDINATOR)

    def _status(self, name: str) -> int:
        state = self._loader.state(self.partition_of(name))
        if state == LOADING:
            return COORDINATOR_LOAD_IN_PROGRESS
        return NONE if state == OWNED else NOT_COORDINATOR

    # Requests

    def find_coordinator(self, request: Request, respond: Respond) -> None:
        """Any broker names the leader of the group's partition, as its metadata cache has it."""
        body: FindCoordinatorBody = request.body
        request.reply = self._store.leader_of(self.partition_of(body.group))
        request.error = NONE if request.reply >= 0 else COORDINATOR_NOT_AVAILABLE
        request.response_bytes = find_coordinator_response_bytes(body.group)
        respond(request)

    def join_group(self, request: Request, respond: Respond) -> None:
        """A member joins or re-joins; answered when the join phase ends."""
        body: JoinGroupBody = request.body
        error = self._status(body.group)
        settings = self.settings
        if error == NONE and not (
            settings.min_session_timeout_ms <= body.session_timeout_ms <= settings.max_session_timeout_ms
        ):
            error = INVALID_SESSION_TIMEOUT
        if error != NONE:
            self._refuse_join(request, respond, body.member_id, error)
            return
        group = self.groups.get(body.group)
        if group is None:
            if body.member_id:
                self._refuse_join(request, respond, body.member_id, UNKNOWN_MEMBER_ID)
                return
            group = self.groups[body.group] = Group(body.group, self.partition_of(body.group))
        if not group.accepts(body.member_id, settings.max_size):
            group.remove(body.member_id)
            self._refuse_join(request, respond, "", GROUP_MAX_SIZE_REACHED)
            return
        waiting = Waiting(request, respond)
        if not body.member_id:
            self._join_unknown(group, body, waiting)
        else:
            self._join_known(group, body, waiting)
        if group.state == PREPARING_REBALANCE:
            self._try_complete_join(group)

    def sync_group(self, request: Request, respond: Respond) -> None:
        """A member asks for its assignment; the leader brings everybody's."""
        body: SyncGroupBody = request.body
        error = self._status(body.group)
        if error == COORDINATOR_LOAD_IN_PROGRESS:
            error = REBALANCE_IN_PROGRESS  # the running rebalance is lost; older clients do not expect the other error
        group = self.groups.get(body.group)
        member = group.members.get(body.member_id) if group is not None else None
        if error == NONE:
            if group is None or member is None:
                error = UNKNOWN_MEMBER_ID
            elif body.generation != group.generation:
                error = ILLEGAL_GENERATION
            elif group.state == EMPTY:
                error = UNKNOWN_MEMBER_ID
            elif group.state == PREPARING_REBALANCE:
                error = REBALANCE_IN_PROGRESS
        if error != NONE or group is None or member is None:
            self._respond_sync("", [], Waiting(request, respond), error)
            return
        group.pending_sync.pop(body.member_id, None)
        if group.state == STABLE:
            self._respond_sync(group.protocol, member.assignment, Waiting(request, respond), NONE)
            self._reset_session(group, member)
            return
        member.sync = Waiting(request, respond)
        if group.leader == body.member_id:
            assignment = {name: list(body.assignment.get(name, ())) for name in group.members}
            self._store_group(group, assignment, request.cause)

    def heartbeat(self, request: Request, respond: Respond) -> None:
        """A member is alive; the answer tells it of a rebalance."""
        body: HeartbeatBody = request.body
        request.error = self._heartbeat(body)
        request.response_bytes = heartbeat_response_bytes()
        respond(request)

    def leave_group(self, request: Request, respond: Respond) -> None:
        """A member goes by itself: the others are rebalanced at once."""
        body: HeartbeatBody = request.body
        error = self._status(body.group)
        group = self.groups.get(body.group)
        if error == NONE:
            if group is None:
                error = UNKNOWN_MEMBER_ID
            elif body.member_id in group.pending_members:
                group.remove(body.member_id)
                if group.state == PREPARING_REBALANCE:
                    self._try_complete_join(group)
            elif body.member_id in group.members:
                self._remove_member(group, group.members[body.member_id], request.cause)
            else:
                error = UNKNOWN_MEMBER_ID
        request.error = error
        request.response_bytes = heartbeat_response_bytes()
        respond(request)

    def offset_commit(self, request: Request, respond: Respond) -> None:
        """Committed offsets: appended with acks=all, answered when committed; counts as a heartbeat."""
        body: OffsetCommitBody = request.body
        error = self._status(body.group)
        group = self.groups.get(body.group)
        if error == NONE:
            if group is None and body.generation < 0:
                group = self.groups[body.group] = Group(body.group, self.partition_of(body.group))
            error = self._check_commit(group, body)
        if error != NONE or group is None:
            self._respond_commit(request, respond, error)
            return
        member = group.members.get(body.member_id)
        if member is not None:
            self._reset_session(group, member)
        group.begin_commit(body.offsets)
        records: list[OffsetsRecord] = [(OFFSET, group.name, tp, offset, epoch) for tp, offset, epoch in body.offsets]
        self._append(group, records, _Commit(self, group, request, respond).done, request.cause)

    def offset_fetch(self, request: Request, respond: Respond) -> None:
        """What has been committed; UNSTABLE_OFFSET_COMMIT while a commit of a partition is under way (2.5+)."""
        body: OffsetFetchBody = request.body
        error = self._status(body.group)
        found: dict[int, tuple[int, int]] = {}
        group = self.groups.get(body.group)
        if error == NONE and group is not None:
            for tp in body.partitions:
                if self._stable_offsets and tp.index in group.pending:
                    error = UNSTABLE_OFFSET_COMMIT
                elif tp.index in group.offsets:
                    found[tp.index] = group.offsets[tp.index]
        request.error = error
        request.reply = found
        topics = len(dict.fromkeys(tp.topic for tp in body.partitions))
        request.response_bytes = offset_fetch_response_bytes(body.group, len(body.partitions), topics)
        respond(request)

    # Offsets

    def _check_commit(self, group: Group | None, body: OffsetCommitBody) -> int:
        if group is None:
            return ILLEGAL_GENERATION
        if body.generation < 0 and not body.member_id:
            return NONE if group.state == EMPTY else UNKNOWN_MEMBER_ID
        if body.member_id not in group.members:
            return UNKNOWN_MEMBER_ID
        if body.generation != group.generation:
            return ILLEGAL_GENERATION
        return REBALANCE_IN_PROGRESS if group.state == COMPLETING_REBALANCE else NONE

    def committed(self, group: Group, request: Request, respond: Respond, error: int) -> None:
        """The commit's batch is committed, refused, or has run into its limit: then it stays in the log."""
        if self._closed:
            return
        body: OffsetCommitBody = request.body
        if group.state != DEAD:
            group.end_commit(body.offsets, error == NONE)
        self._respond_commit(request, respond, error if error == NONE else commit_error(error))

    # Sessions

    def _heartbeat(self, body: HeartbeatBody) -> int:
        error = self._status(body.group)
        if error != NONE:
            return NONE if error == COORDINATOR_LOAD_IN_PROGRESS else error  # loading: answered blindly
        group = self.groups.get(body.group)
        member = group.members.get(body.member_id) if group is not None else None
        if group is None or member is None or group.state == EMPTY:
            return UNKNOWN_MEMBER_ID
        if body.generation != group.generation:
            return ILLEGAL_GENERATION
        if group.state == COMPLETING_REBALANCE and not self._heartbeat_while_completing:
            return REBALANCE_IN_PROGRESS
        self._reset_session(group, member)
        return REBALANCE_IN_PROGRESS if group.state == PREPARING_REBALANCE else NONE

    def _respond_commit(self, request: Request, respond: Respond, error: int) -> None:
        body: OffsetCommitBody = request.body
        topics = len(dict.fromkeys(tp.topic for tp, _, _ in body.offsets))
        request.error = error
        request.response_bytes = offset_commit_response_bytes(len(body.offsets), topics)
        respond(request)
