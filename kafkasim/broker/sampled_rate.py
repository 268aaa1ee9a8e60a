"""How fast something has been going lately: the rates that quotas are held against.

Stands for ``Rate``, ``SimpleRate``, ``SampledStat`` and ``WindowedSum`` of Kafka's metrics: a sum over some windows
of fixed length, divided by the time since the oldest of them began.  What is added falls into the current window; one
that is complete makes way for the next, at the moment of the next addition.
"""

from __future__ import annotations

from kafkasim.scenario.versions import Version


class _Sample:
    """One window: its sum, when it began and (3.8 and later) when something was last added to it."""

    def __init__(self, now_ms: int) -> None:
        self.value: float = 0.0
        self.start_ms: int = now_ms
        self.last_event_ms: int = now_ms

    def reset(self, now_ms: int) -> None:
        self.value = 0.0
        self.start_ms = now_ms
        self.last_event_ms = now_ms


class SampledRate:
    """A rate a second over ``samples`` windows of ``window_ms``.

    ``padded`` (``Rate``, of client quotas): the elapsed time counts at least ``samples`` - 1 full windows, so that a
    burst after silence is not an excess.  Else (``SimpleRate``, of replication quotas) it counts at least one window.
    ``keeps_overlap`` (3.8 and later): a window is forgotten by its last addition, not by its beginning, so one more
    is kept: the span is 11 to 12 windows under steady traffic, 10 to 11 before.
    """

    def __init__(self, samples: int, window_ms: int, padded: bool, keeps_overlap: bool) -> None:
        self.window_ms: int = window_ms
        self._samples: int = samples
        self._padded: bool = padded
        self._keeps_overlap: bool = keeps_overlap
        self._slots: int = samples + 1 if keeps_overlap else samples
        self._windows: list[_Sample] = []
        self._current: int = 0

    def record(self, value: float, now_ms: int) -> None:
        """Add ``value`` (negative: take back) at ``now_ms`` of the process's clock."""
        windows = self._windows
        if not windows:
            windows.append(_Sample(now_ms))
        sample = windows[self._current]
        if now_ms - sample.start_ms >= self.window_ms:
            self._current = (self._current + 1) % self._slots
            if self._current >= len(windows):
                sample = _Sample(now_ms)
                windows.append(sample)
            else:
                sample = windows[self._current]
                sample.reset(now_ms)
        sample.value += value
        sample.last_event_ms = now_ms

    def per_s(self, now_ms: int) -> float:
        """The rate a second as it is measured at ``now_ms``."""
        span_ms = self.span_ms(now_ms)
        total = 0.0
        for sample in self._windows:
            total += sample.value
        return total / (span_ms / 1000.0)

    def span_ms(self, now_ms: int) -> int:
        """The time (ms) that the sum is divided by; windows that are too old are forgotten first."""
        age_ms = self._samples * self.window_ms
        windows = self._windows
        if not windows:
            windows.append(_Sample(now_ms))
        oldest_ms = now_ms
        for sample in windows:
            if now_ms - (sample.last_event_ms if self._keeps_overlap else sample.start_ms) >= age_ms:
                sample.reset(now_ms)
            if sample.start_ms < oldest_ms:
                oldest_ms = sample.start_ms
        elapsed_ms = now_ms - oldest_ms
        if not self._padded:
            return max(elapsed_ms, self.window_ms)
        missing = self._samples - 1 - elapsed_ms // self.window_ms
        if missing > 0:
            elapsed_ms += missing * self.window_ms
        return max(elapsed_ms, 1)


def keeps_overlap(version: Version) -> bool:
    """Whether this release keeps windows that overlap the span (KAFKA-15816)."""
    return version >= Version(3, 8)
