"""Finding the group coordinator, as a classic consumer's ``poll()`` does: it blocks on it.

Stands for ``AbstractCoordinator.ensureCoordinatorReady`` and ``lookupCoordinator``.  While the
coordinator is unknown a poll does nothing else until its time-out: it asks the least loaded
node, and after a failure sleeps, then waits for newer metadata.
"""

from __future__ import annotations

from typing import Final

from kafkasim.clients.consumer_network import ConsumerNetwork
from kafkasim.clients.network_client import NO_NODE
from kafkasim.clients.node_connection import COORDINATOR_IDS
from kafkasim.clients.settings import Backoff
from kafkasim.group_sizes import find_coordinator_request_bytes
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.messages import FindCoordinatorBody
from kafkasim.protocol import FIND_COORDINATOR, NONE, Request

IDLE: Final = 0
FINDING: Final = 1
SLEEPING: Final = 2
AWAIT_METADATA: Final = 3

UNKNOWN: Final = -1
"""No coordinator is known."""


class CoordinatorFinder:
    """The coordinator's connection id, and the search for it.

    ``resume_at`` (s) ends the sleep of the thread while ``asleep``; ``found_at`` is the time
    of the last success.
    """

    def __init__(
        self, scheduler: Scheduler, network: ConsumerNetwork, group: str, backoff: Backoff, request_timeout_s: float
    ) -> None:
        self.node: int = UNKNOWN
        self.resume_at: float = 0.0
        self.found_at: float = 0.0
        self._scheduler = scheduler
        self._network = network
        self._group = group
        self._backoff = backoff
        self._request_timeout_s = request_timeout_s
        self._phase: int = IDLE
        self._request: Request | None = None
        self._failed = False
        self._attempts: int = 0
        self._awaited_version: int = 0

    @property
    def asleep(self) -> bool:
        """Whether the application thread sleeps between two look-ups."""
        return self._phase == SLEEPING

    @property
    def searching(self) -> bool:
        """Whether a poll is in the middle of the search."""
        return self._phase != IDLE

    def known(self, now: float) -> bool:
        """Whether the coordinator is known and its connection has not just failed."""
        if self.node == UNKNOWN:
            return False
        if self._network.unavailable(self.node, now):
            self.forget(False)
            return False
        return True

    def forget(self, disconnect: bool) -> None:
        """The coordinator is not (or no longer) there; unless its connection broke, it is closed now."""
        node = self.node
        self.node = UNKNOWN
        if node != UNKNOWN and disconnect:
            self._network.disconnect(node)

    def look_up(self, now: float) -> bool:
        """Ask the least loaded node, unless a request is under way; False when no node can be asked."""
        if self._request is not None:
            return True
        node = self._network.network.least_loaded_node(now)
        if node == NO_NODE:
            return False
        self._failed = False
        request = Request(
            FIND_COORDINATOR, find_coordinator_request_bytes(self._group), FindCoordinatorBody(self._group)
        )
        request.timeout_s = self._request_timeout_s
        request.done = self._answered
        self._request = request
        self._network.send(node, request, now, now)
        return True

    def seek(self, now: float, deadline: float) -> bool:
        """One pass of the blocking search of a poll that ends at ``deadline``; True once it is known."""
        metadata = self._network.network.metadata
        while True:
            if self._phase == IDLE and self.known(now):
                self._attempts = 0
                return True
            if self._phase == IDLE:
                self._phase = FINDING
                if not self.look_up(now):
                    self._sleep(now, deadline)
                    return False
            if self._phase == FINDING:
                if self._request is not None:
                    if now >= deadline:
                        self._give_up()
                    return False
                self._phase = IDLE
                if self._failed or not self._reachable(now):
                    self._sleep(now, deadline)
                    return False
                continue
            if self._phase == SLEEPING:
                if now < self.resume_at:
                    return False
                metadata.request_update(now)
                self._awaited_version = metadata.version
                self._phase = AWAIT_METADATA
                self._network.network.update_metadata(now)
            if metadata.version == self._awaited_version and now < deadline:
                return False
            self._phase = IDLE
            if now >= deadline:
                self._give_up()
                return self.known(now)

    def _reachable(self, now: float) -> bool:
        if self.node == UNKNOWN:
            return False
        if self._network.unavailable(self.node, now):
            self.forget(True)
            return False
        return True

    def _give_up(self) -> None:
        """The poll's time is over; the next one starts counting anew (a request under way is kept)."""
        self._attempts = 0
        self._phase = IDLE

    def _sleep(self, now: float, deadline: float) -> None:
        self._phase = SLEEPING
        self.resume_at = min(now + self._backoff.draw_ms(self._attempts) / 1000.0, max(deadline, now))
        self._attempts += 1

    def _answered(self, request: Request) -> None:
        self._request = None
        now = self._scheduler.now
        if request.failed != NONE or request.error != NONE:
            self._failed = True
            return
        broker: int = request.reply
        self.node = COORDINATOR_IDS - broker
        self.found_at = now
        self._network.network.ready(self.node, now)  # begins to connect
