"""A consumer's membership in its group: join, sync, commit.

Stands for ``ConsumerCoordinator`` and the rebalance of ``AbstractCoordinator`` of the classic
consumer, eager protocol.  Join and sync advance only inside ``poll()``.  ``replica_racks`` are
the (broker, rack) of each partition's replicas by topic; a leader that has a rack assigns by
those of live brokers, and joins again when they change (3.5 and later).

Left out: static members, cooperative rebalances, commits by the application, a clean close.
"""

from __future__ import annotations

from typing import Final

from kafkasim.clients.assignors import MemberSubscription, assign
from kafkasim.clients.consumer_network import ConsumerNetwork
from kafkasim.clients.consumer_settings import ConsumerSettings
from kafkasim.clients.group_session import (
    COMPLETING,
    PREPARING,
    STABLE,
    GroupRequest,
    GroupSession,
)
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.positions import ConsumerOwner, Positions
from kafkasim.clients.settings import Backoff
from kafkasim.group_sizes import (
    assignment_bytes,
    join_group_request_bytes,
    offset_commit_request_bytes,
    offset_fetch_request_bytes,
    sync_group_request_bytes,
)
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.messages import (
    JoinGroupBody,
    JoinGroupReply,
    OffsetCommitBody,
    OffsetFetchBody,
    SyncGroupBody,
)
from kafkasim.protocol import (
    GROUP_MAX_SIZE_REACHED,
    ILLEGAL_GENERATION,
    INVALID_SESSION_TIMEOUT,
    JOIN_GROUP,
    MEMBER_ID_REQUIRED,
    NONE,
    OFFSET_COMMIT,
    OFFSET_FETCH,
    REBALANCE_IN_PROGRESS,
    REQUEST_TIMED_OUT,
    RETRIABLE,
    SYNC_GROUP,
    UNKNOWN_MEMBER_ID,
    Request,
    TopicPartition,
)

JOIN_TIMEOUT_LAPSE_MS: Final = 5000

_IMMEDIATE: Final = (UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS, MEMBER_ID_REQUIRED)


class Membership(GroupSession):
    """One member of one group."""

    def __init__(
        self,
        scheduler: Scheduler,
        network: ConsumerNetwork,
        clock: Clock,
        monitor: ClientMonitor,
        client: int,
        owner: ConsumerOwner,
        settings: ConsumerSettings,
        group: str,
        topics: dict[str, list[TopicPartition]],
        positions: Positions,
        backoff: Backoff,
        tick_s: float,
    ) -> None:
        super().__init__(scheduler, network, clock, monitor, client, owner, settings, group, backoff, tick_s)
        self.commit_due_ms: int = 0
        self.offsets_resume_at: float = 0.0
        self.replica_racks: dict[str, list[list[tuple[int, str]]]] = {}
        self._racks: dict[str, list[list[str]]] | None = None  # as this member assigned by them as leader
        self._prepare_resume_at: float = 0.0
        self._topics = topics
        self._positions = positions
        self._counts: dict[str, int] = {}  # partitions a topic, as this member assigned them as leader
        self._joining: bool = False
        self._join_error: int = NONE
        self._assignment: list[TopicPartition] | None = None
        self._leader_reply: JoinGroupReply | None = None
        self._join_cause: int = 0
        self._prepare_commit: GroupRequest | None = None
        self._prepare_deadline_ms: int = -1
        self._offsets_request: Request | None = None
        self._offsets_error: int = NONE
        self._offsets_attempts: int = 0

    # What a poll does, in this order

    def due_ms(self) -> int:
        """The clock's reading at which a waiting poll must look at its duties again."""
        due_ms = 1 << 62
        if self._settings.auto_commit and self.state == STABLE and not self.rejoin_needed:
            due_ms = self.commit_due_ms
        if self._heartbeat_on and self.state >= COMPLETING:
            due_ms = min(due_ms, self.heartbeat_due_ms)
        return due_ms

    @property
    def sleeps_until(self) -> float:
        """When the application thread's back-off inside the poll ends (s); 0 when it is not in one."""
        return self.finder.resume_at if self.finder.asleep else max(self.offsets_resume_at, self._prepare_resume_at)

    @property
    def blocks(self) -> bool:
        """Whether the poll is in the blocking commit before a join (up to 3.1): it does not return meanwhile."""
        return self._prepare_deadline_ms >= 0 and self._settings.blocks_in_prepare

    @property
    def commits_with_next_poll(self) -> bool:
        """Whether the commit before a join was refused and the next poll tries it again (3.2 and later)."""
        return self._prepare_deadline_ms >= 0 and self._prepare_commit is None

    def active(self, now: float) -> bool:
        """One pass of the join, without blocking; True while the member is in a stable generation."""
        if self._counts and not self.rejoin_needed and not self._joining:
            self._check_metadata()
        while self.rejoin_needed or self._joining:
            if not self.finder.known(now):
                return False
            if self._needs_prepare:
                if not self._prepare(now):
                    return False
                self._needs_prepare = False
            if not self._joining:
                self._send_join(now)
            if self._leader_reply is not None:
                self._lead(now)
            if self._assignment is not None:
                self._complete(now)
            elif self._join_error != NONE:
                error = self._join_error
                self._join_error = NONE
                self._joining = False
                if error != MEMBER_ID_REQUIRED:
                    self.rejoin_needed = True
                if error not in _IMMEDIATE:
                    return False
            else:
                return False
        return True

    def commit_if_due(self, now: float) -> None:
        """Auto-commit: everything that earlier polls returned, asynchronously."""
        if self._settings.auto_commit:
            now_ms = self._clock.ms(now)
            if now_ms >= self.commit_due_ms:
                self.commit_due_ms = now_ms + self._settings.auto_commit_interval_ms
                self._commit(now)

    def fetch_offsets(self, now: float, deadline: float) -> bool:
        """Look up committed offsets of new partitions; False while the poll must wait for the answer."""
        partitions = self._positions.initializing()
        if not partitions:
            return True
        if now < self.offsets_resume_at:
            return False
        if self._offsets_request is None:
            topics = len(dict.fromkeys(tp.topic for tp in partitions))
            size_bytes = offset_fetch_request_bytes(self._group, len(partitions), topics)
            request = GroupRequest(
                OFFSET_FETCH, size_bytes, OffsetFetchBody(self._group, partitions), self.generation, self.member_id
            )
            self._offsets_error = NONE
            self._offsets_request = request
            self._send(request, self._offsets_fetched, now)
        if self._offsets_error != NONE:
            self._offsets_error = NONE
            self.offsets_resume_at = min(now + self._backoff.draw_ms(self._offsets_attempts) / 1000.0, deadline)
            self._offsets_attempts += 1
            return False
        return not self._positions.initializing()

    # Joining

    def _prepare(self, now: float) -> bool:
        """Before the join: commit, waiting for the answer, then give up all partitions (eager)."""
        now_ms = self._clock.ms(now)
        if self._prepare_deadline_ms < 0:
            self._prepare_deadline_ms = now_ms + self._settings.max_poll_interval_ms
        if now < self._prepare_resume_at:
            return False
        if self._settings.auto_commit and self._positions.states and now_ms < self._prepare_deadline_ms:
            if self._prepare_commit is None:
                self._positions.mark_pending_revocation()
                self._prepare_commit = self._commit(now)
            request = self._prepare_commit
            if request is not None:
                if not request.answered:
                    return False
                self._prepare_commit = None
                if request.outcome in RETRIABLE:
                    if self._settings.blocks_in_prepare:
                        self._prepare_resume_at = now + self._settings.retry_backoff_ms / 1000.0
                    return False
        self._prepare_commit = None
        self._prepare_deadline_ms = -1
        self._positions.assign([])
        self._counts = {}
        return True

    def _send_join(self, now: float) -> None:
        settings = self._settings
        self.state = PREPARING
        self._heartbeat_on = False
        self._joining = True
        self._join_error = NONE
        self._assignment = None
        self._leader_reply = None
        topics = tuple(self._topics)
        body = JoinGroupBody(
            self._group,
            self.member_id,
            settings.client_id,
            settings.session_timeout_ms,
            settings.max_poll_interval_ms,
            settings.strategies,
            topics,
            self.generation if settings.tells_generation else -1,
            settings.rack,
        )
        size_bytes = join_group_request_bytes(self._group, self.member_id, settings.strategies, topics)
        request = GroupRequest(JOIN_GROUP, size_bytes, body, self.generation, self.member_id)
        request.timeout_s = max(
            settings.request_timeout_s, (settings.max_poll_interval_ms + JOIN_TIMEOUT_LAPSE_MS) / 1000.0
        )
        self._send(request, self._joined, now)

    def _joined(self, request: Request) -> None:
        assert isinstance(request, GroupRequest)
        error = self._coordinator_error(request)
        reply: JoinGroupReply = request.reply
        self._owner.stir()
        if error == INVALID_SESSION_TIMEOUT:
            self._owner.fatal("the coordinator does not allow this session.timeout.ms")
        elif error == GROUP_MAX_SIZE_REACHED:
            self._owner.fatal("the group has as many members as the brokers allow (group.max.size)")
        elif error == MEMBER_ID_REQUIRED:
            self.member_id = reply.member_id
            self.generation = -1
        elif error == UNKNOWN_MEMBER_ID and self._unchanged(request):
            self._lose_generation(error)
        elif error == NONE and self.state != PREPARING:
            error = UNKNOWN_MEMBER_ID
        self._join_error = error
        if error != NONE:
            return
        now = self._scheduler.now
        self.state = COMPLETING
        self.generation = reply.generation
        self.member_id = reply.member_id
        self.protocol = reply.protocol
        self._join_cause = request.cause
        self._enable_heartbeat(now)
        if reply.leader == reply.member_id:
            self._leader_reply = reply
            self._lead(now)
        else:
            self._send_sync({}, now)

    def _lead(self, now: float) -> None:
        """The leader assigns, with metadata that are not known to be stale."""
        reply = self._leader_reply
        metadata = self._network.network.metadata
        if reply is None or metadata.update_requested():
            return
        self._leader_reply = None
        counts = self._partition_counts()
        self._counts = counts
        self._racks = self._partition_racks()
        racks = reply.racks
        members = [
            MemberSubscription(member_id, topics, rack=racks.get(member_id)) for member_id, topics in reply.members
        ]
        named = assign(self.protocol, counts, members, self._known_racks() if racks else None)
        assignment = {
            member_id: [self._topics[topic][partition] for topic, partition in partitions]
            for member_id, partitions in named.items()
        }
        self._send_sync(assignment, now)

    def _partition_counts(self) -> dict[str, int]:
        metadata = self._network.network.metadata
        counts = {topic: len(metadata.partitions(topic)) for topic in self._topics}
        return {topic: count for topic, count in counts.items() if count > 0}

    def _check_metadata(self) -> None:
        """The leader has seen other partitions, or racks of theirs, than it assigned: it starts a rebalance."""
        if self._partition_counts() != self._counts or self._partition_racks() != self._racks:
            self._rejoin()

    def _known_racks(self) -> dict[str, list[list[str]]] | None:
        """The racks of each partition's replicas that are on live brokers; None before 3.5."""
        if self._settings.version < (3, 5, 0) or not self.replica_racks:
            return None
        nodes = self._network.network.metadata.nodes
        return {
            topic: [[rack for broker, rack in replicas if broker in nodes] for replicas in partitions]
            for topic, partitions in self.replica_racks.items()
        }

    def _partition_racks(self) -> dict[str, list[list[str]]] | None:
        """What a leader watches of the racks: nothing, if it has none itself."""
        return self._known_racks() if self._settings.rack else None

    def _send_sync(self, assignment: dict[str, list[TopicPartition]], now: float) -> None:
        size = 0
        for member_id, partitions in assignment.items():
            topics: dict[str, int] = {}
            for tp in partitions:
                topics[tp.topic] = topics.get(tp.topic, 0) + 1
            size += 4 + len(member_id) + assignment_bytes(list(topics.items()))
        body = SyncGroupBody(self._group, self.member_id, self.generation, assignment)
        size_bytes = sync_group_request_bytes(self._group, self.member_id, self.protocol, size)
        request = GroupRequest(SYNC_GROUP, size_bytes, body, self.generation, self.member_id)
        request.cause = self._join_cause
        self._send(request, self._synced, now)

    def _synced(self, request: Request) -> None:
        assert isinstance(request, GroupRequest)
        error = self._coordinator_error(request)
        self._owner.stir()
        if (error in (UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION)) and self._unchanged(request):
            self._lose_generation(error)
        elif error == NONE and (self.state != COMPLETING or self.generation < 0):
            error = ILLEGAL_GENERATION
        self._join_error = error
        if error == NONE:
            self.state = STABLE
            self.rejoin_needed = False
            self._assignment = request.reply

    def _complete(self, now: float) -> None:
        """The assignment is there: it is consumed from now on."""
        assignment = self._assignment or []
        self._assignment = None
        self._joining = False
        self._needs_prepare = True
        if self.state != STABLE:
            self._lose_generation(UNKNOWN_MEMBER_ID)
            return
        self.commit_due_ms = self._clock.ms(now) + self._settings.auto_commit_interval_ms
        self._offsets_request = None
        self._offsets_error = NONE
        self._offsets_attempts = 0
        self.offsets_resume_at = 0.0
        self._positions.assign(assignment)
        names = ", ".join(tp.name for tp in assignment) or "no partitions"
        detail = f"{self._group} generation {self.generation}: {names}"
        cause = self._monitor.note(self._client, "rebalanced", detail, self._join_cause, now)
        self._monitor.assigned(self._client, list(assignment), self.generation, now, cause)

    # Commits

    def _commit(self, now: float) -> GroupRequest | None:
        offsets = self._positions.consumed()
        if not offsets:
            return None
        body = OffsetCommitBody(self._group, self.member_id, self.generation, offsets)
        size_bytes = offset_commit_request_bytes(len(offsets))
        request = GroupRequest(OFFSET_COMMIT, size_bytes, body, self.generation, self.member_id)
        if self.state != STABLE:
            request.finish(UNKNOWN_MEMBER_ID)
            return request
        self._send(request, self._committed, now)
        return request

    def _committed(self, request: Request) -> None:
        assert isinstance(request, GroupRequest)
        error = self._coordinator_error(request)
        request.finish(error)
        self._owner.stir()
        if error == NONE:
            return
        if error == REQUEST_TIMED_OUT and request.failed == NONE:
            self.finder.forget(True)
        elif error == REBALANCE_IN_PROGRESS:
            self._rejoin()
        elif (error in (UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION)) and (
            self._unchanged(request) or self.state != PREPARING
        ):
            self._lose_generation(error)
        if error in RETRIABLE and request is not self._prepare_commit:
            self.commit_due_ms = self._clock.ms(self._scheduler.now) + self._settings.retry_backoff_ms

    def _offsets_fetched(self, request: Request) -> None:
        assert isinstance(request, GroupRequest)
        error = self._coordinator_error(request)
        self._owner.stir()
        if request is not self._offsets_request:
            return
        self._offsets_request = None
        self._offsets_error = error
        if error == NONE:
            self._offsets_attempts = 0
            self._positions.committed(request.reply, self._scheduler.now)
