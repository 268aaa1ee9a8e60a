"""A member's session with its group coordinator: generation, heartbeats, requests.

Stands for the parts of ``AbstractCoordinator`` and ``Heartbeat`` that do not depend on a rebalance.
The heartbeat thread is off between sending JoinGroup and its answer; it looks every
``retry.backoff.ms`` and is woken by a poll that finds a heartbeat due, so that a member that
waits in ``poll()`` beats on time and one that processes for long on a 100 ms grid.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Final

from kafkasim.clients.consumer_network import ConsumerNetwork
from kafkasim.clients.consumer_settings import ConsumerSettings
from kafkasim.clients.coordinator_finder import CoordinatorFinder
from kafkasim.clients.monitor import ClientMonitor
from kafkasim.clients.positions import ConsumerOwner
from kafkasim.clients.settings import Backoff
from kafkasim.group_sizes import heartbeat_request_bytes
from kafkasim.kernel.clock import Clock
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.messages import HeartbeatBody
from kafkasim.protocol import (
    COORDINATOR_NOT_AVAILABLE,
    HEARTBEAT,
    ILLEGAL_GENERATION,
    JOIN_GROUP,
    LEAVE_GROUP,
    NONE,
    NOT_COORDINATOR,
    REBALANCE_IN_PROGRESS,
    UNKNOWN_MEMBER_ID,
    Request,
)

UNJOINED: Final = 0
PREPARING: Final = 1
COMPLETING: Final = 2
STABLE: Final = 3


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


class GroupSession:
    """One member as the group's coordinator knows it.

    ``tick_s`` is the period of the heartbeat thread's looks.
    """

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
        backoff: Backoff,
        tick_s: float,
    ) -> None:
        self.finder = CoordinatorFinder(scheduler, network, group, backoff, settings.request_timeout_s)
        self.state: int = UNJOINED
        self.generation: int = -1
        self.member_id: str = ""
        self.protocol: str = ""
        self.rejoin_needed: bool = True
        self.heartbeat_due_ms: int = 0
        self._scheduler = scheduler
        self._network = network
        self._clock = clock
        self._monitor = monitor
        self._client = client
        self._owner = owner
        self._settings = settings
        self._group = group
        self._backoff = backoff
        self._tick_s: float = tick_s
        self._needs_prepare: bool = True
        self._heartbeat_on: bool = False
        self._anchor: float = 0.0
        self._session_due_ms: int = 0
        self._poll_due_ms: int = 0
        self._heartbeat_attempts: int = 0

    def poll_heartbeat(self, now: float) -> None:
        """``poll()`` is called: the poll timer starts anew, and a heartbeat that is due goes out."""
        if self._heartbeat_on:
            now_ms = self._clock.ms(now)
            self._poll_due_ms = now_ms + self._settings.max_poll_interval_ms
            if now_ms >= self.heartbeat_due_ms and not self.finder.searching and self.finder.known(now):
                self.heartbeat_thread(now)

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
        if error in (NONE, REBALANCE_IN_PROGRESS):
            self._heartbeat_attempts = 0
            self._session_due_ms = self._clock.ms(now) + self._settings.session_timeout_ms
            if error == REBALANCE_IN_PROGRESS and self.state == STABLE:
                self._rejoin()
            return
        if error in (UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION):
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
        if error != NONE:
            self._monitor.told(self._client, error, self._scheduler.now)
        if request.failed != NONE and request.failed != COORDINATOR_NOT_AVAILABLE:
            self.finder.forget(False)
            self._owner.stir()
        elif request.failed == NONE and (error in (COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR)):
            self.finder.forget(True)
        return error

    def _unchanged(self, request: GroupRequest) -> bool:
        return request.sent_generation == self.generation and request.sent_member_id == self.member_id
