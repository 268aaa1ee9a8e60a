"""IntervalSet against a plain set of numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkasim.metrics.intervals import MERGE_AFTER, GatheredIntervals, IntervalSet

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)).map(lambda p: (p[0], p[0] + p[1])), max_size=25)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "add", "remove"]), st.integers(0, 60), st.integers(0, 15)))


def members(intervals: IntervalSet) -> set[int]:
    return {number for first, last in intervals for number in range(first, last)}


def check_shape(intervals: IntervalSet) -> None:
    ranges = intervals.ranges()
    assert all(first < last for first, last in ranges)
    assert all(ranges[i][1] < ranges[i + 1][0] for i in range(len(ranges) - 1)), "neither touching nor overlapping"
    assert intervals.count == sum(last - first for first, last in ranges)
    assert intervals.end == (ranges[-1][1] if ranges else 0)
    assert len(intervals) == len(ranges)


@given(STEPS)
def test_adding_and_removing_is_a_sets(steps: list[tuple[str, int, int]]) -> None:
    intervals = IntervalSet()
    model: set[int] = set()
    for verb, first, size in steps:
        numbers = set(range(first, first + size))
        if verb == "add":
            assert intervals.add(first, first + size) == len(model & numbers)
            model |= numbers
        else:
            assert intervals.remove(first, first + size) == len(model & numbers)
            model -= numbers
        assert members(intervals) == model
        check_shape(intervals)


@given(RANGES, st.integers(0, 70), st.integers(0, 20))
def test_questions(ranges: list[tuple[int, int]], first: int, size: int) -> None:
    intervals = IntervalSet(ranges)
    model = members(intervals)
    asked = set(range(first, first + size))
    assert intervals.contains(first) == (first in model)
    assert intervals.covers(first, first + size) == (asked <= model)
    assert {n for a, b in intervals.overlaps(first, first + size) for n in range(a, b)} == asked & model
    gaps = intervals.missing(first, first + size)
    assert {n for a, b in gaps for n in range(a, b)} == asked - model
    assert gaps == sorted(gaps)
    assert intervals.first_missing(first) == next(n for n in range(first, 200) if n not in model)


@given(RANGES, RANGES)
def test_algebra(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    a = IntervalSet(left)
    b = IntervalSet(right)
    before = a.ranges()
    for result, model in (
        (a.union(b), members(a) | members(b)),
        (a.intersect(b), members(a) & members(b)),
        (a.difference(b), members(a) - members(b)),
    ):
        check_shape(result)
        assert members(result) == model
    assert a.ranges() == before, "the operands stay"
    assert (a == b) == (members(a) == members(b))


def test_a_million_in_order_are_one_range() -> None:
    intervals = IntervalSet()
    for i in range(0, 1_000_000, 100):
        assert intervals.add(i, i + 100) == 0
    assert intervals.ranges() == [(0, 1_000_000)]


def test_mistakes_are_refused() -> None:
    intervals = IntervalSet()
    with pytest.raises(ValueError, match="must not end before"):
        intervals.add(5, 4)
    with pytest.raises(ValueError, match="must not end before"):
        intervals.remove(5, 4)
    for first in (-1, -7):
        with pytest.raises(ValueError, match="numbered from 0"):
            intervals.add(first, 3)
        with pytest.raises(ValueError, match="numbered from 0"):
            IntervalSet([(2, 5)]).add(first, 3)
    with pytest.raises(TypeError):
        hash(intervals)


@given(RANGES)
def test_gathered_ranges_are_the_same_set_in_whatever_order_they_come(ranges: list[tuple[int, int]]) -> None:
    gathered = GatheredIntervals()
    plain = IntervalSet()
    for first, last in ranges:
        gathered.add(first, last)
        plain.add(first, last)
    assert gathered.members() == plain
    check_shape(gathered.members())


def test_gathered_ranges_do_not_pile_up() -> None:
    gathered = GatheredIntervals()
    for number in reversed(range(3 * MERGE_AFTER)):
        gathered.add(number, number + 1)
        assert len(gathered._gathered) < MERGE_AFTER
    assert gathered.members().ranges() == [(0, 3 * MERGE_AFTER)]
