"""The histogram against all values kept."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kafkasim.metrics.histogram import Histogram, bucket_of, lower_edges

P = [(1, 2), (9, 10), (99, 100), (999, 1000), (9999, 10_000)]


def nearest_rank(values: np.ndarray, p: tuple[int, int]) -> float:
    rank = max(1, -(-p[0] * len(values) // p[1]))
    return float(np.sort(values)[rank - 1])


def test_buckets_are_at_most_one_percent_wide_and_hold_their_values() -> None:
    edges = lower_edges(1, 40 * 256)
    assert np.all(np.diff(edges) / edges[:-1] <= 0.01)
    values = np.concatenate((edges[:-1], np.nextafter(edges[1:], 0.0)))
    held = bucket_of(values)
    assert np.array_equal(held, np.tile(np.arange(1, 40 * 256 - 1), 2))
    assert bucket_of(np.array([0.0, -1.0, 1e-12, 2.0**-30])).tolist() == [0, 0, 0, 1]
    assert lower_edges(0, 2).tolist() == [0.0, 2.0**-30]


@given(st.lists(st.floats(1e-6, 1e4), min_size=1, max_size=200))
def test_points_within_one_percent(values: list[float]) -> None:
    histogram = Histogram()
    histogram.add_points(np.array(values))
    assert histogram.count == len(values)
    assert (histogram.smallest, histogram.largest) == (min(values), max(values))
    for p in [(0, 1), *P, (1, 1)]:
        found = histogram.percentile(p)
        assert found == pytest.approx(nearest_rank(np.array(values), p), rel=0.01)
        assert histogram.percentile(Fraction(*p)) == found


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 3.0), st.integers(1, 60)), min_size=1, max_size=30))
def test_spreads_hold_the_mass_of_their_uniform_distribution(rows: list[tuple[float, float, int]]) -> None:
    lows = np.array([low for low, _, _ in rows])
    highs = lows + np.array([width for _, width, _ in rows])
    weights = np.array([float(n) for _, _, n in rows])
    histogram = Histogram()
    histogram.add_spreads(lows, highs, weights)
    assert histogram.count == int(weights.sum())
    assert histogram._mass.sum() == pytest.approx(histogram.count, rel=1e-9)
    # The cumulated mass at every bucket's edge is that of the uniform distributions.
    edges = lower_edges(histogram._low, histogram._low + len(histogram._mass) + 1)
    width = np.maximum(highs - lows, 1e-300)
    share = np.clip((edges[1:, None] - lows) / width, 0.0, 1.0)
    exact = (share * weights).sum(axis=1)
    narrow = bucket_of(lows) == bucket_of(highs)
    slack = weights[narrow].sum() * 0 + 1e-6
    held = np.cumsum(histogram._mass)
    inside = np.zeros(len(edges) - 1)
    for low, high in zip(lows[narrow], highs[narrow], strict=True):
        inside += (edges[1:] > low) & (edges[1:] <= high)
    assert np.all(np.abs(held - exact)[inside == 0] <= slack)


def test_a_spread_and_a_fine_grid_agree() -> None:
    histogram = Histogram()
    histogram.add_spreads(np.array([0.001]), np.array([0.5]), np.array([100_000.0]))
    grid = np.linspace(0.001, 0.5, 100_000)
    for p in P:
        assert histogram.percentile(p) == pytest.approx(nearest_rank(grid, p), rel=0.001)


def test_margins_widen_the_spread_but_not_the_extremes() -> None:
    histogram = Histogram()
    histogram.add_spreads(np.array([1.0]), np.array([2.0]), np.array([11.0]), np.array([0.05]))
    assert (histogram.smallest, histogram.largest) == (1.0, 2.0)
    values = histogram.at_ranks(list(range(1, 12)))
    assert values == pytest.approx([1.0 + 0.1 * i for i in range(11)], rel=0.004)


def test_many_narrow_spreads_leave_no_mass_elsewhere() -> None:
    histogram = Histogram()
    for _ in range(50):
        histogram.add_spreads(np.full(1000, 0.001), np.full(1000, 0.001 + 1e-4), np.full(1000, 148.0))
    histogram.add_points(np.array([30.0]))
    assert histogram.percentile((1, 1)) == pytest.approx(30.0)
    second = histogram.at_rank(histogram.count - 1)
    assert second is not None and second <= 0.0011 * 1.01


def test_merging_is_adding() -> None:
    draw = np.random.default_rng(3)
    a, b, both = Histogram(), Histogram(), Histogram()
    for histogram, scale in ((a, 1e-4), (b, 10.0)):
        values = draw.exponential(scale, 5000)
        histogram.add_points(values)
        both.add_points(values)
    a.merge(b)
    a.merge(Histogram())
    assert (a.count, a.smallest, a.largest) == (both.count, both.smallest, both.largest)
    assert [a.percentile(p) for p in P] == [both.percentile(p) for p in P]
    a.clear()
    assert a.count == 0 and a.percentile((1, 2)) is None
    a.add_points(np.array([2.0]))
    assert a.percentile((1, 2)) == 2.0


def test_weights_count_as_often_as_they_say() -> None:
    histogram = Histogram()
    histogram.add_points(np.array([1.0, 5.0]), np.array([99.0, 1.0]))
    assert histogram.count == 100
    assert histogram.percentile((99, 100)) == pytest.approx(1.0, rel=0.01)
    assert histogram.percentile((1, 1)) == pytest.approx(5.0, rel=0.01)


def test_ranks_out_of_reach_are_none() -> None:
    histogram = Histogram()
    assert histogram.percentile((1, 2)) is None
    histogram.add_points(np.array([1.0]))
    assert histogram.at_ranks([0, 1, 2]) == [None, 1.0, None]
    with pytest.raises(ValueError, match="between 0 and 1"):
        histogram.percentile((99, 1))
