"""Arrivals are a property of the load: what is drawn does not depend on who asks, and what is counted is exact."""

from __future__ import annotations

from collections import Counter
from math import inf

import pytest

from kafkasim.clients.arrivals import BLOCK, BlockArrivals, PacedArrivals
from kafkasim.clients.load import KEYS, MAP, ROUND, TIME_WINDOW, Load
from kafkasim.kernel.streams import Streams


def load(placement: str, poisson: bool = False) -> Load:
    made = Load(5000.0, 100, placement, 8, poisson)
    made.window_s = 0.25
    made.keys_count = 50
    made.zipf = 1.0
    made.keys = [(0, 1.0), (2, 3.0)]
    return made


def test_paced_counts_agree_with_times() -> None:
    arrivals = PacedArrivals(1 / 3, 0.1, 2.0, 40.0)
    for number in range(100):
        time = arrivals.time_of(number)
        assert arrivals.count_until(time) == number + 1
        assert arrivals.count_before(time) == number
    assert arrivals.count_until(1000.0) == arrivals.count_before(40.0) == 114
    assert arrivals.time_bound(114) == inf
    assert arrivals.count_until(0.0) == 0


@pytest.mark.parametrize("placement", [KEYS, MAP, ROUND, TIME_WINDOW])
@pytest.mark.parametrize("poisson", [False, True])
def test_the_order_of_questions_does_not_matter(placement: str, poisson: bool) -> None:
    one = load(placement, poisson).split(Streams(3), "app/0", 3)
    other = load(placement, poisson).split(Streams(3), "app/0", 3)
    counts = [stream.count_until(2.0) for stream in one]
    for stream in reversed(other):
        stream.time_until(700, 0.7)
        stream.count_before_capped(0.3, 10)
    assert [stream.count_until(2.0) for stream in reversed(other)] == counts[::-1]
    for a, b, count in zip(one, other, counts, strict=True):
        assert [a.time_of(n) for n in range(count)] == [b.time_of(n) for n in range(count)]
    assert sum(counts) == pytest.approx(10_000, rel=0.05)


def test_placements() -> None:
    cycle = load(ROUND).split(Streams(3), "app/0", 3)
    assert {stream.count_before(1.5) for stream in cycle} == {2500}
    window = load(TIME_WINDOW).split(Streams(3), "app/0", 3)
    assert [stream.count_before(0.75) for stream in window] == [1250, 1250, 1250]
    assert 0.25 <= window[1].time_of(0) < 0.2502 and 0.75 <= window[0].time_of(1250) < 0.7502
    mapped = load(MAP).split(Streams(3), "app/0", 3)
    counts = [stream.count_before(4.0) for stream in mapped]
    assert counts[1] == 0 and counts[2] / counts[0] == pytest.approx(3.0, rel=0.1)


def test_poisson_gaps() -> None:
    stream = Load(5000.0, 100, poisson=True).single(Streams(9), "app/0")
    count = stream.count_until(20.0)
    assert count == pytest.approx(100_000, abs=4 * 100_000**0.5)
    gaps = Counter(round((stream.time_of(n + 1) - stream.time_of(n)) * 5000.0) for n in range(count - 1))
    assert gaps[0] / count == pytest.approx(1 - 2.718281828**-0.5, abs=0.01)


def test_consumed_blocks_are_dropped() -> None:
    stream = Load(5000.0, 100, poisson=True).single(Streams(9), "app/0")
    assert isinstance(stream, BlockArrivals)
    for second in range(1, 60):
        stream.forget(stream.count_until(float(second)))
        assert stream.buffered() <= 3 * BLOCK


def test_a_stream_ends_at_its_stop() -> None:
    made = Load(5000.0, 100, poisson=True, stop_s=1.0)
    stream = made.single(Streams(9), "app/0")
    count = stream.count_until(0.5)
    total = stream.count_until(100.0)
    assert count < total == stream.count_before(1.0)
    assert stream.time_bound(total) == inf == stream.time_until(total, 1000.0)
