"""A log-linear histogram that takes ranges as well as points.

Models what a latency collector keeps: 256 buckets an octave (relative width at most 0.4 %), found from the bits
of the double, so that a bucket costs a shift. A batch of records spread evenly over a range of latencies is two
entries in a difference array of *density*, multiplied by the widths when read, with the partial buckets at both
ends added as such. Ranks are taken on the exact integer count. Values below 2**-30 s (about a nanosecond) share
one bucket; the smallest and the largest value are kept exactly.

Left out: removal, negative values (they count as zero).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SUB_BUCKET_BITS: Final = 8
"""Bits of the mantissa in a bucket's number: 256 buckets an octave."""
SHIFT: Final = 52 - SUB_BUCKET_BITS
SMALLEST: Final = 2.0**-30
"""Values below this (s) share bucket 0."""
BASE: Final = (1023 - 30) << SUB_BUCKET_BITS
OCTAVE: Final = 1 << SUB_BUCKET_BITS
_TINY: Final = 1e-9


def bucket_of(values: Floats) -> Integers:
    """The bucket of each value (s); the array must be contiguous. Bucket 0 is [0, SMALLEST)."""
    bits: Integers = np.maximum(values, 0.0).view(np.int64)
    result: Integers = np.maximum((bits >> SHIFT) - (BASE - 1), 0)
    return result


def lower_edges(first: int, last: int) -> Floats:
    """The lower edges (s) of the buckets ``first`` … ``last - 1``."""
    numbers = np.arange(first, last, dtype=np.int64)
    edges: Floats = ((numbers + (BASE - 1)) << SHIFT).view(np.float64)
    if first == 0 and last > 0:
        edges[0] = 0.0
    return edges


class Histogram:
    """Counts of values (s) by log-linear bucket, with the exact count, smallest and largest.

    >>> histogram = Histogram()
    >>> histogram.add_points(np.array([0.010, 0.020, 0.030]))
    >>> histogram.add_spreads(np.array([0.1]), np.array([0.2]), np.array([97.0]))
    >>> histogram.count
    100
    >>> round(histogram.percentile((1, 2)), 3)
    0.148
    """

    def __init__(self) -> None:
        self.count: int = 0
        """Records, exactly."""
        self.largest: float = 0.0
        """The largest value (s); 0.0 when there is none."""
        self.smallest: float = 0.0
        """The smallest value (s); 0.0 when there is none."""
        self._low: int = 0
        self._mass: Floats = np.zeros(0)

    def add_points(self, values: Floats, weights: Floats | None = None) -> None:
        """Count every value (s) once, or as often as its weight (whole numbers) says."""
        if len(values) == 0:
            return
        values = np.ascontiguousarray(values, dtype=np.float64)
        buckets = bucket_of(values)
        low = int(buckets.min())
        high = int(buckets.max()) + 1
        count = len(values) if weights is None else int(weights.sum())
        self._note(count, float(values.min()), float(values.max()))
        self._reserve(low, high)
        at = low - self._low
        self._mass[at : at + high - low] += np.bincount(buckets - low, weights=weights, minlength=high - low)

    def add_spreads(self, lows: Floats, highs: Floats, weights: Floats, margins: Floats | None = None) -> None:
        """Count ``weights[i]`` values (whole numbers) spread evenly over ``[lows[i], highs[i]]`` (s).

        With ``margins`` (s) each spread reaches that much further at both ends, while the smallest and the
        largest value are noted without it: equally spaced points with half a spacing as margin.
        """
        if len(lows) == 0:
            return
        lows = np.maximum(np.ascontiguousarray(lows, dtype=np.float64), 0.0)
        highs = np.maximum(np.ascontiguousarray(highs, dtype=np.float64), lows)
        self._note(int(weights.sum()), float(lows.min()), float(highs.max()))
        if margins is not None:
            lows = np.maximum(lows - margins, 0.0)
            highs = highs + margins
        first = bucket_of(lows)
        last = bucket_of(highs)
        low = int(first.min())
        high = int(last.max()) + 1
        size = high - low
        self._reserve(low, high)
        edges = lower_edges(low, high + 1)
        first -= low
        last -= low
        one = first == last
        density = weights / np.where(one, 1.0, highs - lows)
        # The bucket at each end takes its part; a spread within one bucket takes all in the first.
        head = np.where(one, weights, density * (edges[first + 1] - lows))
        tail = np.where(one, 0.0, density * (highs - edges[last]))
        mass = np.bincount(first, weights=head, minlength=size).astype(np.float64, copy=False)
        mass += np.bincount(last, weights=tail, minlength=size)
        whole = last - first > 1
        if whole.any():
            starts = first[whole] + 1
            ends = last[whole]
            steps = np.bincount(starts, weights=density[whole], minlength=size).astype(np.float64, copy=False)
            steps -= np.bincount(ends, weights=density[whole], minlength=size)
            inside: Integers = np.bincount(starts, minlength=size) - np.bincount(ends, minlength=size)
            # Where no spread lies the density is zero exactly, whatever the rounding of the sums.
            mass += np.where(np.cumsum(inside) > 0, np.cumsum(steps), 0.0).clip(min=0.0) * np.diff(edges)
        at = low - self._low
        self._mass[at : at + size] += mass

    def merge(self, other: Histogram) -> None:
        """Add all that ``other`` counts."""
        if other.count == 0:
            return
        self._note(other.count, other.smallest, other.largest)
        low = other._low
        high = low + len(other._mass)
        self._reserve(low, high)
        at = low - self._low
        self._mass[at : at + high - low] += other._mass

    def clear(self) -> None:
        """Forget all values; the buckets stay reserved."""
        self.count = 0
        self.largest = 0.0
        self.smallest = 0.0
        self._mass[:] = 0.0

    def percentile(self, p: Fraction | tuple[int, int]) -> float | None:
        """The value (s) at the rank ⌈p · count⌉, within 0.4 % for points; None when nothing is counted.

        ``p`` is an integer fraction: ``Fraction(999, 1000)`` or ``(999, 1000)``.
        """
        numerator, denominator = (p.numerator, p.denominator) if isinstance(p, Fraction) else p
        if not 0 <= numerator <= denominator:
            raise ValueError(f"a percentile is a fraction between 0 and 1, not {numerator}/{denominator}")
        return self.at_rank(max(1, -(-numerator * self.count // denominator)))

    def at_rank(self, rank: int) -> float | None:
        """The value (s) of the ``rank``-th smallest, counted from 1; None when there are fewer."""
        values = self.at_ranks([rank])
        return values[0]

    def at_ranks(self, ranks: list[int]) -> list[float | None]:
        """The values (s) at several ranks; None for ranks below 1 or beyond the count."""
        if self.count == 0:
            return [None for _ in ranks]
        cumulated = np.cumsum(self._mass)
        result: list[float | None] = []
        for rank in ranks:
            if not 1 <= rank <= self.count:
                result.append(None)
                continue
            place = rank - 0.5
            i = int(np.searchsorted(cumulated, place - _TINY, side="right"))
            i = min(i, len(cumulated) - 1)
            mass = float(self._mass[i])
            before = float(cumulated[i]) - mass
            edges = lower_edges(self._low + i, self._low + i + 2)
            part = (place - before) / mass if mass > 0.0 else 0.0
            value = float(edges[0]) + min(max(part, 0.0), 1.0) * float(edges[1] - edges[0])
            result.append(min(max(value, self.smallest), self.largest))
        return result

    def _note(self, count: int, smallest: float, largest: float) -> None:
        smallest = max(smallest, 0.0)
        largest = max(largest, 0.0)
        if self.count == 0:
            self.smallest = smallest
            self.largest = largest
        else:
            if smallest < self.smallest:
                self.smallest = smallest
            if largest > self.largest:
                self.largest = largest
        self.count += count

    def _reserve(self, low: int, high: int) -> None:
        """Make room for the buckets ``low`` … ``high - 1``, by whole octaves."""
        size = len(self._mass)
        if size and low >= self._low and high <= self._low + size:
            return
        new_low = low // OCTAVE * OCTAVE
        new_high = -(-high // OCTAVE) * OCTAVE
        if size:
            new_low = min(new_low, self._low)
            new_high = max(new_high, self._low + size)
        mass = np.zeros(new_high - new_low)
        if size:
            at = self._low - new_low
            mass[at : at + size] = self._mass
        self._low = new_low
        self._mass = mass
