"""The scheduler: simulated time, a sequence number and one heap of callbacks.

This is the native half of the kernel: mypyc compiles it as it stands.  SimPy's
events and the data path's plain callbacks live side by side in one heap whose
entries are ``(time, order, function, argument)``; ``order`` is one number made of the
priority and the sequence of planning, so that ties are resolved by these two, never by
anything that a hash or an address could change.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Final

URGENT: Final = 0
"""SimPy's priority for initialisations and interrupts."""
NORMAL: Final = 1
"""SimPy's priority for events, and ours for plain callbacks."""
LATE: Final = 2
"""After everything else of the same instant (a thread that looks at what has arrived)."""

Callback = Callable[[Any], None]

_A_PRIORITY: Final = 2.0**52
"""What one priority makes up in ``order``: more than a run has entries, and whole numbers stay exact."""


class EndOfRun(Exception):
    """The mark at the end of a run has come up."""


class Scheduler:
    """Time and the order of what happens.

    ``now`` is in seconds.
    """

    def __init__(self, initial_time: float = 0.0) -> None:
        self.now: float = initial_time
        self._planned: float = 0.0  # entries so far, and the order of the latest one at normal priority
        self._heap: list[tuple[float, float, Callback, Any]] = []

    @property
    def events(self) -> int:
        """Executed entries (benchmarks divide by it): what was planned and is planned no more."""
        return int(self._planned) - len(self._heap)

    def call_at(self, time: float, function: Callback, argument: Any) -> None:
        """Call ``function(argument)`` at ``time`` (s), at normal priority.

        A time before ``now`` is a programming error and raises ``ValueError``.
        """
        if time < self.now:
            raise ValueError(f"cannot plan at {time!r}: it is {self.now!r} already")
        order = self._planned + 1.0
        self._planned = order
        heappush(self._heap, (time, order, function, argument))

    def push(self, time: float, priority: int, function: Callback, argument: Any) -> None:
        """Like :meth:`call_at` with an explicit priority."""
        if time < self.now:
            raise ValueError(f"cannot plan at {time!r}: it is {self.now!r} already")
        order = self._planned + 1.0
        self._planned = order
        heappush(self._heap, (time, order + (priority - NORMAL) * _A_PRIORITY, function, argument))

    def peek(self) -> float:
        """Time of the next entry, infinity when there is none."""
        return self._heap[0][0] if self._heap else float("inf")

    def pending(self) -> int:
        """Number of planned entries."""
        return len(self._heap)

    def step(self) -> None:
        """Execute the next entry; ``IndexError`` when there is none."""
        time, _, function, argument = heappop(self._heap)
        self.now = time
        function(argument)

    def run_until(self, time: float) -> None:
        """Execute every entry strictly before ``time``, and urgent ones at it; then it is ``time``."""
        heap = self._heap
        # A mark in the heap ends the run, so that no entry has to be compared with ``time``: no entry at
        # ``time`` but the urgent ones sorts before it.
        mark = (time, 0.0, _end, None)
        heappush(heap, mark)
        try:
            while True:
                self.now, _, function, argument = heappop(heap)
                function(argument)
        except EndOfRun:
            return
        except BaseException:
            heap.remove(mark)
            heapify(heap)
            raise

    def drain(self) -> None:
        """Execute entries until none is left (or a callback raises)."""
        heap = self._heap
        while heap:
            self.step()


def _end(_: Any) -> None:
    """What the mark at the end of a run calls."""
    raise EndOfRun
