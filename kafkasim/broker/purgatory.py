"""The purgatories: parked requests with a deadline, one kernel event for the earliest.

Stands for ``DelayedOperationPurgatory`` and its timing wheel.  What is completed earlier is
simply found done when its deadline comes up.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from kafkasim.kernel.scheduler import Scheduler


class Parked:
    """One parked operation; ``item`` is whatever ``expire`` wants."""

    def __init__(self, deadline: float, item: Any) -> None:
        self.deadline: float = deadline
        self.item: Any = item
        self.done: bool = False


class Purgatory:
    """Operations parked until somebody completes them or their deadline passes.

    ``expire(item)`` is called at the deadline of an operation that is not done by then.
    """

    def __init__(self, scheduler: Scheduler, expire: Callable[[Any], None]) -> None:
        self._scheduler = scheduler
        self._expire = expire
        self._heap: list[tuple[float, int, Parked]] = []
        self._sequence: int = 0
        self._armed_for: float = -1.0
        self._generation: int = 0

    def park(self, deadline: float, item: Any) -> Parked:
        """Park ``item`` until ``deadline`` (s)."""
        parked = Parked(deadline, item)
        heap = self._heap
        while heap and heap[0][2].done:
            heappop(heap)
        self._sequence += 1
        heappush(heap, (deadline, self._sequence, parked))
        if self._armed_for < 0.0 or deadline < self._armed_for:
            self._arm(deadline)
        return parked

    def size(self) -> int:
        """Operations that still wait."""
        waiting = 0
        for entry in self._heap:
            if not entry[2].done:
                waiting += 1
        return waiting

    def clear(self) -> None:
        """The process has died."""
        self._heap.clear()
        self._generation += 1
        self._armed_for = -1.0

    def _arm(self, deadline: float) -> None:
        self._armed_for = deadline
        self._generation += 1
        self._scheduler.call_at(deadline, self._fire, self._generation)

    def _fire(self, generation: int) -> None:
        if generation != self._generation:
            return
        now = self._scheduler.now
        heap = self._heap
        self._armed_for = -1.0
        while heap and (heap[0][0] <= now or heap[0][2].done):
            parked = heappop(heap)[2]
            if not parked.done:
                parked.done = True
                self._expire(parked.item)
        if heap and (self._armed_for < 0.0 or heap[0][0] < self._armed_for):
            self._arm(heap[0][0])
