"""The purgatories: parked requests with a deadline, one kernel event for the earliest.

Stands for ``DelayedOperationPurgatory`` and its timing wheel.  Requests that may wait equally long reach
their deadlines in the order in which they were parked: one queue a waiting time.  What is completed
earlier leaves when it comes to the front of its queue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from kafkasim.hosts.life import Life
from kafkasim.kernel.scheduler import Scheduler
from kafkasim.protocol import Request


class Purgatory:
    """Requests parked until somebody completes them (sets ``parked_until`` to 0) or their deadline passes.

    ``expire(request)`` is called at the deadline of a request that is still parked by then.
    """

    def __init__(self, scheduler: Scheduler, expire: Callable[[Any], None], life: Life | None = None) -> None:
        self._scheduler = scheduler
        self._life = Life(scheduler) if life is None else life
        self._expire = expire
        self._queues: dict[float, deque[Request]] = {}
        self._armed_for: float = -1.0
        self._generation: int = 0

    def park(self, request: Request, now: float, wait_s: float) -> None:
        """Park ``request`` for up to ``wait_s`` seconds from ``now`` on."""
        deadline = now + wait_s
        request.parked_until = deadline
        queue = self._queues.get(wait_s)
        if queue is None:
            queue = self._queues[wait_s] = deque()
        while queue and queue[0].parked_until <= 0.0:
            queue.popleft()
        queue.append(request)
        if self._armed_for < 0.0 or deadline < self._armed_for:
            self._arm(deadline)

    def size(self) -> int:
        """Requests that still wait."""
        waiting = 0
        for queue in self._queues.values():
            for request in queue:
                if request.parked_until > 0.0:
                    waiting += 1
        return waiting

    def clear(self) -> None:
        """The process has died."""
        self._queues.clear()
        self._generation += 1
        self._armed_for = -1.0

    def _arm(self, deadline: float) -> None:
        self._armed_for = deadline
        self._generation += 1
        self._scheduler.call_at(deadline, self._fire, self._generation)

    def _fire(self, generation: int) -> None:
        if generation != self._generation or self._life.holds(self._fire, generation):
            return
        now = self._scheduler.now
        self._armed_for = -1.0
        queue = self._earliest()
        while queue is not None and queue[0].parked_until <= now:
            request = queue.popleft()
            request.parked_until = 0.0
            self._expire(request)
            queue = self._earliest()
        if queue is not None and (self._armed_for < 0.0 or queue[0].parked_until < self._armed_for):
            self._arm(queue[0].parked_until)

    def _earliest(self) -> deque[Request] | None:
        """The queue at whose front stands the earliest deadline of all that still wait."""
        earliest: deque[Request] | None = None
        for queue in self._queues.values():
            while queue and queue[0].parked_until <= 0.0:
                queue.popleft()
            if queue and (earliest is None or queue[0].parked_until < earliest[0].parked_until):
                earliest = queue
        return earliest
