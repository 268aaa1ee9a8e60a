"""A consumer's membership in its group: join, sync, heartbeat, commit.

Stands for ``AbstractCoordinator``, ``ConsumerCoordinator`` and ``Heartbeat`` of the classic
consumer, eager protocol.  Join and sync advance only inside ``poll()``; the heartbeat thread
(off between sending JoinGroup and its answer) looks every ``retry.backoff.ms`` and is woken
by a poll that finds a heartbeat due.

Left out: static members, cooperative rebalances, commits by the application, a clean close.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Final

from kafkasim.clients.assignors import MemberSubscription, assign
from kafkasim.clients.consumer_network import ConsumerNetwork
from kafkasim.clients.consumer_settings import ConsumerSettings
from kafkasim.clients.coordinator_finder import CoordinatorFinder
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.positions import ConsumerOwner, Positions
from kafkasim.clients.settings import Backoff
from kafkasim.group_sizes import (
    assignment_bytes,
    heartbeat_request_bytes,
    join_group_request_bytes,
    offset_commit_request_bytes,
    offset_fetch_request_bytes,
    sync_group_request_bytes,
)
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.messages import (
    HeartbeatBody,
    JoinGroupBody,
    JoinGroupReply,
    OffsetCommitBody,
    OffsetFetchBody,
    SyncGroupBody,
)
from kafkasim.protocol import (
    COORDINATOR_NOT_AVAILABLE,
    HEARTBEAT,
    ILLEGAL_GENERATION,
    INVALID_SESSION_TIMEOUT,
    JOIN_GROUP,
    LEAVE_GROUP,
    MEMBER_ID_REQUIRED,
    NONE,
    NOT_COORDINATOR,
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

UNJOINED: Final = 0
PREPARING: Final = 1
COMPLETING: Final = 2
STABLE: Final = 3

JOIN_TIMEOUT_LAPSE_MS: Final = 5000

_IMMEDIATE: Final = (UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS, MEMBER_ID_REQUIRED)


class GroupRequest(Request):
    """A request to the coordinator with the generation that it was sent in."""

    def __init__(self, api: int, size_bytes: int, body: object, generation: int, member_id: str) -> None:
        super().__init__(api, size_bytes, body)
        self.sent_generation = generation
        self.sent_member_id = member_id
        self.answered = False
        self.outcome: int = NONE

    def finish(self, outcome: int) -> None:
        """Note how it ended, for whoever waits for it."""
        self.answered = True
        self.outcome = outcome


class Membership:
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
        self.finder = CoordinatorFinder(scheduler, network, group, backoff, settings.request_timeout_s)
        self.state: int = UNJOINED
        self.generation: int = -1
        self.member_id: str = ""
        self.protocol: str = ""
        self.rejoin_needed: bool = True
        self.generations: int = 0
        self._scheduler = scheduler
        self._network = network
        self._clock = clock
        self._monitor = monitor
        self._client = client
        self._owner = owner
        self._settings = settings
        self._group = group
        self._topics = topics
        self._positions = positions
        self._backoff = backoff
        self._tick_s: float = tick_s
        self._counts: dict[str, int] = {}  # partitions a topic, as the leader assigned them
        # joining
        self._needs_prepare: bool = True
        self._joining: bool = False
        self._join_error: int = NONE
        self._assignment: list[TopicPartition] | None = None
        self._leader_reply: JoinGroupReply | None = None
        self._join_cause: int = 0
        self._prepare_commit: GroupRequest | None = None
        self._prepare_deadline_ms: int = -1
        # heartbeats
        self.heartbeat_due_ms: int = 0
        self._heartbeat_on: bool = False
        self._anchor: float = 0.0
        self._session_due_ms: int = 0
        self._poll_due_ms: int = 0
        self._heartbeat_attempts: int = 0
        # commits
        self.commit_due_ms: int = 0
        self._commit_interval_ms: int = settings.auto_commit_interval_ms
        # committed offsets
        self._offsets_request: Request | None = None
        self._offsets_error: int = NONE
        self._offsets_attempts: int = 0
        self.offsets_resume_at: float = 0.0

    # What a poll does, in this order

    def poll_heartbeat(self, now: float) -> None:
        """``poll()`` is called: the poll timer starts anew, and a heartbeat that is due goes out."""
        if self._heartbeat_on:
            now_ms = self._clock.ms(now)
            self._poll_due_ms = now_ms + self._settings.max_poll_interval_ms
            if now_ms >= self.heartbeat_due_ms and not self.finder.searching and self.finder.known(now):
                self.heartbeat_thread(now)

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
        return self.finder.resume_at if self.finder.asleep else self.offsets_resume_at

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
                self.commit_due_ms = now_ms + self._commit_interval_ms
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

    # The heartbeat thread

    def heartbeat_thread(self, now: float) -> None:
        """One round of the thread's loop."""
        if not self._heartbeat_on or self.state < COMPLETING:
            self._heartbeat_on = False
            return
        now_ms = self._clock.ms(now)
        found_ms = self._clock.ms(self.finder.found_at)
        self._session_due_ms = max(self._session_due_ms, found_ms + self._settings.session_timeout_ms)
        if self.finder.searching:
            self._anchor = now  # the application thread holds the lock
        elif not self.finder.known(now):
            self.finder.look_up(now)
            self._anchor = now
        elif now_ms >= self._session_due_ms:
            self.finder.forget(True)
            self._owner.stir()
        elif now_ms >= self._poll_due_ms:
            self._leave(now)
            return
        elif now_ms >= self.heartbeat_due_ms:
            self.heartbeat_due_ms = now_ms + self._settings.heartbeat_interval_ms
            self._anchor = now
            size_bytes = heartbeat_request_bytes(self._group, self.member_id)
            body = HeartbeatBody(self._group, self.member_id, self.generation)
            request = GroupRequest(HEARTBEAT, size_bytes, body, self.generation, self.member_id)
            self._send(request, self._heartbeat_answered, now)
        self.plan_heartbeat(now)

    def plan_heartbeat(self, now: float) -> None:
        """Plan the thread's next round that can matter: a tick of its grid at or after the next due time."""
        if self.finder.node < 0:
            due_ms = self._clock.ms(now)
        else:
            due_ms = min(self.heartbeat_due_ms, self._session_due_ms, self._poll_due_ms)
        self._owner.plan_heartbeat(self.tick_after(max(self._clock.time_of(due_ms), now)))

    def tick_after(self, time: float) -> float:
        """The first tick of the thread's grid after its last action and not before ``time``."""
        return self._anchor + max(1, ceil((time - self._anchor) / self._tick_s - 1e-9)) * self._tick_s

    @property
    def heartbeat_on(self) -> bool:
        """Whether the heartbeat thread is at work (it reads the sockets, too)."""
        return self._heartbeat_on

    def _enable_heartbeat(self, now: float) -> None:
        now_ms = self._clock.ms(now)
        self._heartbeat_on = True
        self._anchor = now
        self.heartbeat_due_ms = now_ms + self._settings.heartbeat_interval_ms
        self._session_due_ms = now_ms + self._settings.session_timeout_ms
        self._poll_due_ms = now_ms + self._settings.max_poll_interval_ms
        self.plan_heartbeat(now)

    def _heartbeat_answered(self, request: Request) -> None:
        assert isinstance(request, GroupRequest)
        now = self._scheduler.now
        error = self._coordinator_error(request)
        if error == NONE or error == REBALANCE_IN_PROGRESS:
            self._heartbeat_attempts = 0
            self._session_due_ms = self._clock.ms(now) + self._settings.session_timeout_ms
            if error == REBALANCE_IN_PROGRESS and self.state == STABLE:
                self._rejoin()
            return
        if error == UNKNOWN_MEMBER_ID or error == ILLEGAL_GENERATION:
            if not self._unchanged(request):
                return
            self._lose_generation(error)
        self.heartbeat_due_ms = self._clock.ms(now) + self._backoff.draw_ms(self._heartbeat_attempts)
        self._heartbeat_attempts += 1
        self._owner.stir()
        if self._heartbeat_on:
            self.plan_heartbeat(now)

    def _leave(self, now: float) -> None:
        """``max.poll.interval.ms`` is over without a poll: leave the group by itself."""
        if self.finder.known(now) and self.member_id:
            size_bytes = heartbeat_request_bytes(self._group, self.member_id)
            body = HeartbeatBody(self._group, self.member_id, self.generation)
            self._send(GroupRequest(LEAVE_GROUP, size_bytes, body, self.generation, self.member_id), None, now)
        self._monitor.note(self._client, "poll_interval_exceeded", self._group, 0, now)
        self._heartbeat_on = False
        self._lose_generation(UNKNOWN_MEMBER_ID)

    # Joining

    def _rejoin(self) -> None:
        self.rejoin_needed = True
        self._owner.stir()

    def _lose_generation(self, error: int) -> None:
        """The generation is void; so is the member id, except after ILLEGAL_GENERATION in 3.2 and later."""
        self.state = UNJOINED
        self.generation = -1
        self.protocol = ""
        if error != ILLEGAL_GENERATION or not self._settings.keeps_member_id:
            self.member_id = ""
        self._needs_prepare = True
        self._rejoin()

    def _prepare(self, now: float) -> bool:
        """Before the join: commit, waiting for the answer, then give up all partitions (eager)."""
        now_ms = self._clock.ms(now)
        if self._prepare_deadline_ms < 0:
            self._prepare_deadline_ms = now_ms + self._settings.max_poll_interval_ms
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
        members = [MemberSubscription(member_id, topics) for member_id, topics in reply.members]
        named = assign(self.protocol, counts, members)
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
        """The leader has seen other partitions than it assigned: it starts a rebalance."""
        if self._partition_counts() != self._counts:
            self._rejoin()

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
        if (error == UNKNOWN_MEMBER_ID or error == ILLEGAL_GENERATION) and self._unchanged(request):
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
        self.generations += 1
        self.commit_due_ms = self._clock.ms(now) + self._commit_interval_ms
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
        elif (error == UNKNOWN_MEMBER_ID or error == ILLEGAL_GENERATION) and (
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

    # Requests to the coordinator

    def _send(self, request: GroupRequest, done: Callable[[Request], None] | None, now: float) -> None:
        request.done = done
        if request.api != JOIN_GROUP:
            request.timeout_s = self._settings.request_timeout_s
        if self.finder.node < 0:
            request.failed = COORDINATOR_NOT_AVAILABLE
            if request.done is not None:
                request.done(request)
            return
        self._network.send(self.finder.node, request, now, now)

    def _coordinator_error(self, request: GroupRequest) -> int:
        """The error of an answer; whatever says that the coordinator is not there makes it unknown."""
        error = request.failed or request.error
        if request.failed != NONE and request.failed != COORDINATOR_NOT_AVAILABLE:
            self.finder.forget(False)
            self._owner.stir()
        elif request.failed == NONE and (error == COORDINATOR_NOT_AVAILABLE or error == NOT_COORDINATOR):
            self.finder.forget(True)
        return error

    def _unchanged(self, request: GroupRequest) -> bool:
        return request.sent_generation == self.generation and request.sent_member_id == self.member_id
