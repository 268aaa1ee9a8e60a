"""The life of a process: everything that it has planned dies with it, and waits while it is stopped.

A server, a broker or a client plans through its :class:`Life`, so that a crash needs no search in the heap: what was
planned in an earlier life is dropped when it fires.  A stopped process (SIGSTOP, a long garbage collection) does
nothing: what comes up meanwhile, timers and what arrives in its sockets, happens when it goes on, in the order in which
it came up.  Its kernel goes on: it accepts connections and acknowledges what arrives.

Approximation: the sockets' buffers of a stopped process are not bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

from kafkasim.kernel.scheduler import Scheduler


class Life:
    """The present life of one process.  ``stopped_until`` (s) is when it goes on, if that lies ahead."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.generation: int = 0
        self.stopped_until: float = 0.0
        self._held: deque[tuple[Callable[[Any], None], Any]] = deque()
        self._resuming: bool = False

    @property
    def now(self) -> float:
        """Simulated time (s)."""
        return self.scheduler.now

    def plan(self, at: float, function: Callable[[Any], None], argument: Any = None) -> None:
        """Call ``function(argument)`` at ``at`` (s) if the process still lives this life (later, if it is stopped)."""
        self.scheduler.call_at(at, self._fire, (self.generation, function, argument))

    def call_at(self, at: float, function: Callable[[Any], None], argument: Any = None) -> None:
        """The same: a life may stand where a scheduler is expected."""
        self.scheduler.call_at(at, self._fire, (self.generation, function, argument))

    def end(self) -> None:
        """The process is gone, and all it had planned."""
        self.generation += 1
        self.stopped_until = 0.0
        self._held.clear()

    def stop(self, until: float) -> None:
        """Do nothing before ``until`` (s)."""
        if until > self.stopped_until:
            self.stopped_until = until
            self.scheduler.call_at(until, self._resume, self.generation)

    def holds(self, function: Callable[[Any], None], argument: Any) -> bool:
        """Whether the process is stopped: then ``function(argument)`` is called when it goes on, in its turn."""
        if self._resuming or (self.scheduler.now >= self.stopped_until and not self._held):
            return False
        self._held.append((function, argument))
        return True

    def _resume(self, generation: int) -> None:
        """The process goes on, unless it was stopped for longer, or killed, meanwhile."""
        if generation != self.generation or self.scheduler.now < self.stopped_until:
            return
        self._resuming = True
        try:
            while self._held:
                function, argument = self._held.popleft()
                function(argument)
        finally:
            self._resuming = False

    def _fire(self, planned: tuple[int, Callable[[Any], None], Any]) -> None:
        generation, function, argument = planned
        if generation == self.generation and not self.holds(self._fire, planned):
            function(argument)


class Deadline:
    """A moment that is usually put off before it comes: one event is planned, not one a move."""

    def __init__(self, life: Life, missed: Callable[[], None]) -> None:
        self.due: float = inf
        self._life = life
        self._missed = missed
        self._planned: float = inf

    def move(self, due: float) -> None:
        """Call at ``due`` (s) instead."""
        self.due = due
        if due < self._planned:
            self._planned = due
            self._life.plan(due, self._look, due)

    def stop(self) -> None:
        """Not any more."""
        self.due = inf

    def _look(self, planned: float) -> None:
        if planned != self._planned:
            return
        self._planned = inf
        if self.due == inf:
            return
        if self.due <= self._life.now:
            self.due = inf
            self._missed()
        elif self._planned == inf:
            self.move(self.due)
