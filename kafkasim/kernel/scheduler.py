"""The scheduler: simulated time, a sequence number and one heap of callbacks.

This is the native half of the kernel: mypyc compiles it as it stands.  SimPy's
events and the data path's plain callbacks live side by side in one heap whose
entries are ``(time, priority, sequence, function, argument)``, so that ties are
resolved by priority and then by the order in which they were planned, never by
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


class EndOfRun(Exception):
    """The mark at the end of a run has come up."""


class Scheduler:
    """Time and the order of what happens.

    ``now`` is in seconds.
    """

    def __init__(self, initial_time: float = 0.0) -> None:
        self.now: float = initial_time
        self._sequence: int = 0
        self._heap: list[tuple[float, int, int, Callback, Any]] = []

    @property
    def events(self) -> int:
        """Executed entries (benchmarks divide by it): what was planned and is planned no more."""
        return self._sequence - len(self._heap)

    def call_at(self, time: float, function: Callback, argument: Any) -> None:
        """Call ``function(argument)`` at ``time`` (s), at normal priority.

        A time before ``now`` is a programming error and raises ``ValueError``.
        """
        if time < self.now:
            raise ValueError(f"cannot plan at {time!r}: it is {self.now!r} already")
        sequence = self._sequence
        self._sequence = sequence + 1
        heappush(self._heap, (time, NORMAL, sequence, function, argument))

    def push(self, time: float, priority: int, function: Callback, argument: Any) -> None:
        """Like :meth:`call_at` with an explicit priority."""
        if time < self.now:
            raise ValueError(f"cannot plan at {time!r}: it is {self.now!r} already")
        sequence = self._sequence
        self._sequence = sequence + 1
        heappush(self._heap, (time, priority, sequence, function, argument))

    def peek(self) -> float:
        """Time of the next entry, infinity when there is none."""
        return self._heap[0][0] if self._heap else float("inf")

    def pending(self) -> int:
        """Number of planned entries."""
        return len(self._heap)

    def step(self) -> None:
        """Execute the next entry; ``IndexError`` when there is none."""
        time, _, _, function, argument = heappop(self._heap)
        self.now = time
        function(argument)

    def run_until(self, time: float) -> None:
        """Execute every entry strictly before ``time``, and urgent ones at it; then it is ``time``."""
        heap = self._heap
        # A mark in the heap ends the run, so that no entry has to be compared with ``time``: no entry at
        # ``time`` but the urgent ones sorts before it.
        mark = (time, NORMAL, -1, _end, None)
        heappush(heap, mark)
        try:
            while True:
                self.now, _, _, function, argument = heappop(heap)
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
