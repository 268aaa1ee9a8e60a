"""Sets of whole numbers kept as sorted, merged, half-open ranges.

Models the ledger's memory: a million records acknowledged in order are one range, and loss, duplication and
reordering are differences of such sets. Ranges are ``[first, last)``. Left out: negative steps, open ends.

Written to be compiled by mypyc as it stands.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

EMPTY_RANGE: Final = "a range must not end before it starts"
MERGE_AFTER: Final = 256
"""So many ranges wait to be merged at most."""
NO_END: Final = -(1 << 60)
"""The end of the last range while there is none."""


class IntervalSet:
    """A set of whole numbers, held as sorted ranges that neither touch nor overlap.

    ``count`` is the number of members, kept as a running total.

    >>> acknowledged = IntervalSet()
    >>> acknowledged.add(0, 100), acknowledged.add(90, 120)
    (0, 10)
    >>> list(acknowledged), acknowledged.count
    ([(0, 120)], 120)
    """

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._end: int = NO_END
        """End of the last range, set aside so that adding in order costs one comparison."""
        self.count: int = 0
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int) -> int:
        """Put ``[first, last)`` in; return how many of its members were there already.

        O(1) at or after the end, else a bisection and the ranges that are merged.

        Raises:
            ValueError: if ``last < first``, or ``first`` is negative.
        """
        if first == self._end and last > first:
            self._lasts[-1] = last
            self._end = last
            self.count += last - first
            return 0
        if last <= first:
            if last < first:
                raise ValueError(f"{EMPTY_RANGE}: [{first}, {last})")
            return 0
        if first > self._end:
            if first < 0:
                raise ValueError(f"members are numbered from 0: [{first}, {last})")
            self._firsts.append(first)
            self._lasts.append(last)
            self._end = last
            self.count += last - first
            return 0
        return self._merge(first, last)

    def add_beyond(self, first: int, last: int) -> bool:
        """Like :meth:`add` where ``[first, last)`` lies at or after the end; else nothing is done and False told."""
        if last <= first or first < self._end or first < 0:
            return False
        if first == self._end:
            self._lasts[-1] = last
        else:
            self._firsts.append(first)
            self._lasts.append(last)
        self._end = last
        self.count += last - first
        return True

    def _merge(self, first: int, last: int) -> int:
        if first < 0:
            raise ValueError(f"members are numbered from 0: [{first}, {last})")
        firsts = self._firsts
        lasts = self._lasts
        # Ranges low … high - 1 touch or overlap the new one.
        low = bisect_left(lasts, first)
        high = bisect_right(firsts, last)
        present = 0
        new_first = first
        new_last = last
        for i in range(low, high):
            a = firsts[i]
            b = lasts[i]
            overlap = min(b, last) - max(a, first)
            if overlap > 0:
                present += overlap
            if a < new_first:
                new_first = a
            if b > new_last:
                new_last = b
        firsts[low:high] = [new_first]
        lasts[low:high] = [new_last]
        self._end = lasts[-1]
        self.count += last - first - present
        return present

    def remove(self, first: int, last: int) -> int:
        """Take ``[first, last)`` out; return how many of its members were there.

        Raises:
            ValueError: if ``last < first``.
        """
        if last <= first:
            if last < first:
                raise ValueError(f"{EMPTY_RANGE}: [{first}, {last})")
            return 0
        firsts = self._firsts
        lasts = self._lasts
        low = bisect_right(lasts, first)
        high = bisect_left(firsts, last)
        if low >= high:
            return 0
        gone = 0
        for i in range(low, high):
            gone += min(lasts[i], last) - max(firsts[i], first)
        rest_firsts: list[int] = []
        rest_lasts: list[int] = []
        if firsts[low] < first:
            rest_firsts.append(firsts[low])
            rest_lasts.append(first)
        if lasts[high - 1] > last:
            rest_firsts.append(last)
            rest_lasts.append(lasts[high - 1])
        firsts[low:high] = rest_firsts
        lasts[low:high] = rest_lasts
        self._end = lasts[-1] if lasts else NO_END
        self.count -= gone
        return gone

    def contains(self, number: int) -> bool:
        """Whether ``number`` is a member."""
        i = bisect_right(self._firsts, number) - 1
        return i >= 0 and number < self._lasts[i]

    def covers(self, first: int, last: int) -> bool:
        """Whether every number of ``[first, last)`` is a member (true of an empty range)."""
        if last <= first:
            return True
        i = bisect_right(self._firsts, first) - 1
        return i >= 0 and last <= self._lasts[i]

    def overlaps(self, first: int, last: int) -> list[tuple[int, int]]:
        """The members within ``[first, last)``, as ranges."""
        found: list[tuple[int, int]] = []
        if first >= self._end or last <= first:
            return found
        for i in range(bisect_right(self._lasts, first), len(self._firsts)):
            a = self._firsts[i]
            if a >= last:
                break
            found.append((max(a, first), min(self._lasts[i], last)))
        return found

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """What of ``[first, last)`` is no member, as ranges."""
        gaps: list[tuple[int, int]] = []
        at = first
        for a, b in self.overlaps(first, last):
            if a > at:
                gaps.append((at, a))
            at = b
        if at < last:
            gaps.append((at, last))
        return gaps

    def first_missing(self, at: int = 0) -> int:
        """The smallest number from ``at`` on that is no member."""
        i = bisect_right(self._firsts, at) - 1
        if i >= 0 and at < self._lasts[i]:
            return self._lasts[i]
        return at

    @property
    def end(self) -> int:
        """One past the largest member; 0 for an empty set."""
        return max(self._end, 0)

    def copy(self) -> IntervalSet:
        """A set of its own with the same members."""
        other = IntervalSet()
        other._firsts = self._firsts[:]
        other._lasts = self._lasts[:]
        other._end = self._end
        other.count = self.count
        return other

    def union(self, other: IntervalSet) -> IntervalSet:
        """The numbers in either set, as a new set."""
        result = self.copy()
        result.update(other)
        return result

    def update(self, other: IntervalSet) -> None:
        """Put all members of ``other`` in."""
        for i in range(len(other._firsts)):
            self.add(other._firsts[i], other._lasts[i])

    def intersect(self, other: IntervalSet) -> IntervalSet:
        """The numbers in both sets, as a new set."""
        result = IntervalSet()
        i = 0
        j = 0
        while i < len(self._firsts) and j < len(other._firsts):
            a = max(self._firsts[i], other._firsts[j])
            b = min(self._lasts[i], other._lasts[j])
            if a < b:
                result.add(a, b)
            if self._lasts[i] < other._lasts[j]:
                i += 1
            else:
                j += 1
        return result

    def difference(self, other: IntervalSet) -> IntervalSet:
        """The numbers in this set and not in ``other``, as a new set."""
        result = IntervalSet()
        j = 0
        for i in range(len(self._firsts)):
            at = self._firsts[i]
            b = self._lasts[i]
            while j < len(other._firsts) and other._lasts[j] <= at:
                j += 1
            k = j
            while k < len(other._firsts) and other._firsts[k] < b:
                if other._firsts[k] > at:
                    result.add(at, other._firsts[k])
                if other._lasts[k] > at:
                    at = other._lasts[k]
                k += 1
            if at < b:
                result.add(at, b)
        return result

    def ranges(self) -> list[tuple[int, int]]:
        """The members as sorted ranges ``[first, last)``."""
        return [(self._firsts[i], self._lasts[i]) for i in range(len(self._firsts))]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.ranges())

    def __len__(self) -> int:
        """The number of ranges, not of members (that is ``count``)."""
        return len(self._firsts)

    def __bool__(self) -> bool:
        return self.count > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IntervalSet):
            return NotImplemented
        return self._firsts == other._firsts and self._lasts == other._lasts

    def __hash__(self) -> int:
        raise TypeError("an IntervalSet changes and has no hash")

    def __repr__(self) -> str:
        return f"IntervalSet({self.ranges()})"


class GatheredIntervals:
    """A set that is filled out of order and seldom asked for: ranges are gathered, and merged in order.

    >>> acknowledged = GatheredIntervals()
    >>> acknowledged.add(100, 200), acknowledged.add(0, 100)
    (None, None)
    >>> acknowledged.members()
    IntervalSet([(0, 200)])
    """

    def __init__(self) -> None:
        self._gathered: list[tuple[int, int]] = []
        self._merged = IntervalSet()

    def add(self, first: int, last: int) -> None:
        """Put ``[first, last)`` in."""
        gathered = self._gathered
        gathered.append((first, last))
        if len(gathered) >= MERGE_AFTER:
            self.members()

    def members(self) -> IntervalSet:
        """All that was put in."""
        gathered = self._gathered
        if gathered:
            gathered.sort()
            for first, last in gathered:
                self._merged.add(first, last)
            gathered.clear()
        return self._merged
