"""The life of a process: everything that it has planned dies with it.

A server or a client plans through its :class:`Life`, so that a crash needs no search in
the heap: what was planned in an earlier life is dropped when it fires.  It is also the one
place that a freeze has to know.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from kafkasim.kernel.scheduler import Scheduler


class Life:
    """The present life of one process."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.generation: int = 0

    def plan(self, at: float, function: Callable[[Any], None], argument: Any = None) -> None:
        """Call ``function(argument)`` at ``at`` (s) if the process still lives this life."""
        self.scheduler.call_at(at, self._fire, (self.generation, function, argument))

    def end(self) -> None:
        """The process is gone, and all it had planned."""
        self.generation += 1

    def _fire(self, planned: tuple[int, Callable[[Any], None], Any]) -> None:
        generation, function, argument = planned
        if generation == self.generation:
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
        if self.due <= planned:
            self.due = inf
            self._missed()
        elif self._planned == inf:
            self.move(self.due)
