"""What a process reads as a clock: whole milliseconds with an offset of its own."""

from __future__ import annotations

from math import floor
from typing import Final

_TOLERANCE_MS: Final = 1e-6  # one nanosecond: 1.001 s is 1001 ms although 1.001 * 1000 < 1001


def clock_ms(now: float, offset_ms: float = 0.0) -> int:
    """The integer clock (ms) of a process at simulated time ``now`` (s).

    Java's ``System.currentTimeMillis`` and ``nanoTime / 1_000_000`` cut; the fraction of
    ``offset_ms`` is what differs between processes.
    """
    return floor(now * 1000.0 + offset_ms + _TOLERANCE_MS)


class Clock:
    """The clock of one process, with its drawn offset (ms)."""

    def __init__(self, offset_ms: float = 0.0) -> None:
        self.offset_ms = offset_ms

    def ms(self, now: float) -> int:
        """Milliseconds read at simulated time ``now`` (s)."""
        return floor(now * 1000.0 + self.offset_ms + _TOLERANCE_MS)

    def time_of(self, ms: int) -> float:
        """The first simulated time (s) at which the clock reads ``ms``."""
        return (ms - self.offset_ms) / 1000.0
