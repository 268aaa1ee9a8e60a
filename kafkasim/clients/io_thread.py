"""When a producer's I/O thread runs: its sleep in poll, what wakes it, and the event of its next pass.

Stands for the loop around ``Sender.runOnce`` and ``Selector.poll`` as far as time goes.  A pass is
one kernel event at LATE priority: it sees everything that has come by its instant.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf

from kafkasim.kernel.scheduler import LATE, Scheduler


class IoThread:
    """One thread that makes a pass, then sleeps ``in_poll`` until something happens.

    It has no time before ``busy_until``, and looks at nothing before ``asleep_until``.  Nothing wakes it
    while it is ``running``.  ``run(now)`` makes a pass; a thread that sleeps takes ``wake_up_s`` to wake.
    """

    def __init__(self, scheduler: Scheduler, wake_up_s: float, run: Callable[[float], None]) -> None:
        self.alive: bool = False
        self.running: bool = False
        self.in_poll: bool = False
        self.busy_until: float = 0.0
        self.asleep_until: float = 0.0
        self._scheduler = scheduler
        self._wake_up_s: float = wake_up_s
        self._run = run
        self._due: float = inf
        self._planned: list[float] = []
        self._on_time: Callable[[None], None] = self._fire  # a bound method is made once, not for every pass

    def wake(self) -> None:
        """Something has come on a connection, or the application thread calls."""
        if self.alive and not self.running:
            self.run_again(self._scheduler.now)

    def run_again(self, at: float) -> None:
        """Act on something that happens at ``at``: when the thread has time, and is awake."""
        if at < self.busy_until:
            at = self.busy_until
        elif self.in_poll:
            at += self._wake_up_s
        if at < self.asleep_until:
            at = self.asleep_until
        if at < self._due:  # plan, in line: everything that happens comes by here
            self._due = at
            planned = self._planned
            if not planned or at < planned[0]:
                heappush(planned, at)
                self._scheduler.push(at, LATE, self._on_time, None)

    def plan(self, at: float) -> None:
        """Make a pass at ``at``, or earlier if one is planned for then."""
        if at < self._due:
            self._due = at
            planned = self._planned
            if not planned or at < planned[0]:  # else an earlier event looks again
                heappush(planned, at)
                self._scheduler.push(at, LATE, self._on_time, None)

    def _fire(self, _: None) -> None:
        heappop(self._planned)
        if not self.alive:
            return
        now = self._scheduler.now
        due = self._due
        self._due = inf
        if due > now:
            self.plan(due)
            return
        run = self._run
        run(now)
