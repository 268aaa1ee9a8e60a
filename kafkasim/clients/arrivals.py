"""Open-loop arrivals: when records are created, a property of the load alone.

Nothing that the system does changes what is drawn here, so two variants of a scenario meet
the same records.  A record's number in its stream is its identity; times are intended
times in seconds.  Paced streams are arithmetic; random ones are drawn in numpy blocks and
dropped as they are consumed; a list is given record by record.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from math import inf
from typing import Final

import numpy as np
import numpy.typing as npt

from kafkasim.clients.batch_size import ConstantSize
from kafkasim.kernel.streams import Stream

BLOCK: Final = 4096
"""Arrivals drawn at a time; part of a stream's definition."""


class Arrivals:
    """One stream of records, numbered from 0 in order of intended time.

    ``exact``: :meth:`time_bound` is never a mere bound.
    """

    exact: bool = False

    def count_until(self, time: float) -> int:
        """Records with an intended time <= ``time``."""
        raise NotImplementedError

    def count_before(self, time: float) -> int:
        """Records with an intended time < ``time``: what was created when a run stops there."""
        raise NotImplementedError

    def count_before_capped(self, time: float, number: int) -> int:
        """The smaller of ``number`` and :meth:`count_before`; draws no further than to know that."""
        raise NotImplementedError

    def time_of(self, number: int) -> float:
        """Intended time of a record that :meth:`count_until` has counted."""
        raise NotImplementedError

    def time_bound(self, number: int) -> float:
        """Intended time of any record, or a lower bound later than all times asked about (inf: never)."""
        raise NotImplementedError

    def time_until(self, number: int, limit: float) -> float:
        """Intended time of any record if that is before ``limit``, else some time not before ``limit``."""
        raise NotImplementedError

    def forget(self, number: int) -> None:
        """Records below ``number`` are not asked about again."""


class PacedArrivals(Arrivals):
    """Equally spaced records: ``start + phase + i * period``, up to (not including) ``stop``."""

    def __init__(self, period_s: float, phase_s: float, start_s: float = 0.0, stop_s: float = inf) -> None:
        if period_s <= 0.0:
            raise ValueError("a paced stream needs a positive period")
        self.exact = True
        self.period_s: float = period_s
        self.first_s: float = start_s + phase_s
        self._total: int = 1 << 62
        if stop_s < inf:
            self._total = self.count_before(stop_s)

    def count_until(self, time: float) -> int:
        if time < self.first_s:
            return 0
        count = int((time - self.first_s) / self.period_s) + 1
        # Division may miss by one where a record falls on the moment asked for.
        if self.first_s + count * self.period_s <= time:
            count += 1
        elif self.first_s + (count - 1) * self.period_s > time:
            count -= 1
        return count if count < self._total else self._total

    def count_before(self, time: float) -> int:
        count = self.count_until(time)
        if count > 0 and self.first_s + (count - 1) * self.period_s >= time:
            return count - 1
        return count

    def count_before_capped(self, time: float, number: int) -> int:
        # Nearly always asked whether the last of a batch's records still comes in time.
        if 0 < number <= self._total and self.first_s + (number - 1) * self.period_s < time:
            return number
        count = self.count_before(time)
        return count if count < number else number

    def time_of(self, number: int) -> float:
        return self.first_s + number * self.period_s

    def time_bound(self, number: int) -> float:
        return self.first_s + number * self.period_s if number < self._total else inf

    def time_until(self, number: int, limit: float) -> float:
        return self.first_s + number * self.period_s if number < self._total else inf


class Source:
    """Something that draws arrivals block by block for :class:`BlockArrivals`.

    ``horizon`` is the intended time up to which everything has been drawn.
    """

    def __init__(self) -> None:
        self.horizon: float = -inf

    def draw(self) -> None:
        """Draw the next block and hand it to the streams; the horizon moves."""
        raise NotImplementedError


class BlockArrivals(Arrivals):
    """A stream that a :class:`Source` fills block by block."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._times: array[float] = array("d")
        self._base: int = 0

    def extend(self, times: npt.NDArray[np.float64]) -> None:
        """The source has drawn these."""
        self._times.frombytes(times.tobytes())

    def count_until(self, time: float) -> int:
        while self._source.horizon <= time:
            self._source.draw()
        return self._base + bisect_right(self._times, time)

    def count_before(self, time: float) -> int:
        while self._source.horizon < time:
            self._source.draw()
        return self._base + bisect_left(self._times, time)

    def count_before_capped(self, time: float, number: int) -> int:
        wanted = number - self._base
        while self._source.horizon < time and len(self._times) < wanted:
            self._source.draw()
        count = bisect_left(self._times, time)
        return self._base + (count if count < wanted else wanted)

    def time_of(self, number: int) -> float:
        return self._times[number - self._base]

    def time_bound(self, number: int) -> float:
        position = number - self._base
        return self._times[position] if position < len(self._times) else self._source.horizon

    def time_until(self, number: int, limit: float) -> float:
        position = number - self._base
        while position >= len(self._times) and self._source.horizon < limit:
            self._source.draw()
        return self._times[position] if position < len(self._times) else self._source.horizon

    def forget(self, number: int) -> None:
        position = number - self._base
        if position >= BLOCK:
            del self._times[:position]
            self._base = number

    def buffered(self) -> int:
        """Records held in memory."""
        return len(self._times)


class TimeBlocks:
    """Intended times in numpy blocks: paced, or Poisson (exponential gaps, cumulated)."""

    def __init__(
        self, rate_per_s: float, draws: Stream, poisson: bool, start_s: float = 0.0, stop_s: float = inf
    ) -> None:
        if rate_per_s <= 0.0:
            raise ValueError("a stream of arrivals needs a positive rate")
        self._period_s: float = 1.0 / rate_per_s
        self._poisson = poisson
        self._draws = draws
        self._stop_s: float = stop_s
        self._last_s: float = start_s
        self._drawn: int = 0
        self._first_s: float = start_s if poisson else start_s + draws.uniform(0.0, self._period_s)

    @property
    def first_s(self) -> float:
        """Intended time of the first paced record."""
        return self._first_s

    def block(self) -> tuple[npt.NDArray[np.float64], float]:
        """The next times and the horizon they reach (inf when the stream has ended)."""
        if self._poisson:
            gaps = self._draws.generator.exponential(self._period_s, BLOCK)
            gaps[0] += self._last_s
            times = np.cumsum(gaps, dtype=np.float64)
        else:
            times = self._first_s + np.arange(self._drawn, self._drawn + BLOCK, dtype=np.float64) * self._period_s
        self._drawn += BLOCK
        self._last_s = float(times[-1])
        if self._last_s >= self._stop_s:
            return times[times < self._stop_s], inf
        return times, self._last_s


class SingleSource(Source):
    """Feeds one stream with all records."""

    def __init__(self, times: TimeBlocks) -> None:
        super().__init__()
        self._blocks = times
        self.stream = BlockArrivals(self)

    def draw(self) -> None:
        times, self.horizon = self._blocks.block()
        self.stream.extend(times)


class Placement:
    """Which partition each record of a load belongs to, where that is a property of the load."""

    def place(self, times: npt.NDArray[np.float64], first: int) -> npt.NDArray[np.int64]:
        """Partition numbers of the records ``first``, ``first + 1`` … with these intended times."""
        raise NotImplementedError


class SplitSource(Source):
    """Feeds one stream a partition."""

    def __init__(self, times: TimeBlocks, placement: Placement, partitions: int) -> None:
        super().__init__()
        self._blocks = times
        self._placement = placement
        self._drawn: int = 0
        self.streams: list[BlockArrivals] = [BlockArrivals(self) for _ in range(partitions)]

    def draw(self) -> None:
        times, self.horizon = self._blocks.block()
        partitions = self._placement.place(times, self._drawn)
        self._drawn += len(times)
        order = np.argsort(partitions, kind="stable")
        ordered = times[order]
        placed = partitions[order]
        numbers, starts = np.unique(placed, return_index=True)
        ends = [*starts.tolist()[1:], len(ordered)]
        for number, start, end in zip(numbers.tolist(), starts.tolist(), ends, strict=True):
            self.streams[number].extend(ordered[start:end])


SEND: Final = 0
FLUSH: Final = 1
CLOSE: Final = 2


class ListedRecord:
    """One record of an explicit list; ``partition`` -1 leaves the choice to the producer.

    ``operation`` FLUSH or CLOSE: not a record, but a call of ``flush()`` or ``close()`` between the sends.
    """

    def __init__(self, time_s: float, key: int, value: int, partition: int = -1, operation: int = SEND) -> None:
        self.operation: int = operation
        self.time_s: float = time_s
        self.key: int = key
        self.value: int = value
        self.partition: int = partition
        self.number: int = 0


def constant_size(record_size: int, key_size: int, batch_size: int) -> ConstantSize:
    """Sizes of a load whose records are all alike (``key_size`` -1: no key)."""
    return ConstantSize(key_size, record_size, batch_size)
