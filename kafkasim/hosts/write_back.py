"""The page cache's write-back: what is dirty, when the system writes it, when it makes writers wait.

Stands for Linux's flusher threads and ``balance_dirty_pages``: a page that has been dirty for 30 s is written at the
flusher's next round (every 5 s); above 10 % of the memory it writes all the time, above 20 % whoever makes pages dirty
waits until there is room.

Approximations: bytes are written in the order in which they were made dirty, whatever their file; a writer that is held
back waits for all its room at once (the kernel slows it down step by step); the memory counts as a whole, though JVM
and others use a part of it; a flush that a process asks for does not make room here.
"""

from __future__ import annotations

from bisect import bisect_right
from math import floor
from typing import Final

WRITE_BACK_AGE_S: Final = 30.0
"""Linux ``vm.dirty_expire_centisecs``: a dirty page so old is written back."""
WRITE_BACK_EVERY_S: Final = 5.0
"""Linux ``vm.dirty_writeback_centisecs``: how often the flusher looks."""
BACKGROUND_SHARE: Final = 0.10
"""Linux ``vm.dirty_background_ratio``."""
LIMIT_SHARE: Final = 0.20
"""Linux ``vm.dirty_ratio``."""
STEP_S: Final = 0.05
"""The history of what was made dirty when is kept in steps of this length."""


class WriteBack:
    """The dirty pages of one disk: a fluid that is written at the disk's rate (bytes/s)."""

    def __init__(self, memory_bytes: int, rate_bytes_per_s: float, phase_s: float) -> None:
        self.background_bytes: float = BACKGROUND_SHARE * memory_bytes
        self.limit_bytes: float = LIMIT_SHARE * memory_bytes
        self.dirtied: float = 0.0
        self.written: float = 0.0
        self.held_s: float = 0.0
        self._rate: float = rate_bytes_per_s
        self._phase_s: float = phase_s
        self._now: float = 0.0
        self._due: float = 0.0
        self._times: list[float] = []
        self._totals: list[float] = []

    def admit(self, now: float, size_bytes: int) -> float:
        """``size_bytes`` are made dirty; returns for how long (s) their writer has to wait first."""
        self._advance(now)
        self.dirtied += size_bytes
        if self._times and now - self._times[-1] < STEP_S:
            self._totals[-1] = self.dirtied
        else:
            self._times.append(now)
            self._totals.append(self.dirtied)
        over = self.dirtied - self.written - self.limit_bytes
        if over <= 0.0:
            return 0.0
        wait_s = over / self._rate
        self.held_s += wait_s
        return wait_s

    def set_rate(self, rate_bytes_per_s: float, now: float) -> None:
        """The disk writes at another rate from ``now`` on."""
        self._advance(now)
        self._rate = rate_bytes_per_s

    def written_back_at(self, now: float) -> float:
        """All that was made dirty up to then (s) is on the device."""
        self._advance(now)
        index = bisect_right(self._totals, self.written)
        if index == len(self._totals):
            return now
        # A step lasts STEP_S at most: what was made dirty before it began is written.
        return self._times[index] - 1e-9

    def lose(self, now: float) -> None:
        """The machine has lost its power: nothing is dirty any more."""
        self._advance(now)
        self.written = self.dirtied
        self._times.clear()
        self._totals.clear()

    def _advance(self, now: float) -> None:
        at = self._now
        while at < now:
            tick = (floor((at - self._phase_s) / WRITE_BACK_EVERY_S + 1e-9) + 1) * WRITE_BACK_EVERY_S + self._phase_s
            until = tick if tick < now else now
            goal = max(self._due, self.dirtied - self.background_bytes)
            if self.written < goal:
                self.written = min(goal, self.written + self._rate * (until - at))
            at = until
            if at >= tick:
                self._look(tick)
        self._now = now

    def _look(self, tick: float) -> None:
        """A round of the flusher: what is old enough is to be written."""
        old = bisect_right(self._times, tick - WRITE_BACK_AGE_S) - 1
        if old >= 0 and self._totals[old] > self._due:
            self._due = self._totals[old]
        done = bisect_right(self._totals, min(self.written, self._due)) - 1
        if done > 256:
            del self._times[:done]
            del self._totals[:done]
