"""Latency of batches against every record kept, the warm-up cut, and what a percentile may hide: nothing."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkasim.metrics.latency import PERCENTILES, LatencyBook, LatencyRecorder, records_before

Row = tuple[float, float, float, int]


def paced_points(t: float, first: float, last: float, n: int) -> np.ndarray:
    return t - np.linspace(first, last, n)


def nearest_rank(values: np.ndarray, p: Fraction) -> float:
    return float(np.sort(values)[max(1, -(-p.numerator * len(values) // p.denominator)) - 1])


def recorded(rows: list[Row], paced: bool = True, warmup_s: float = 0.0, duration_s: float = 1e6) -> LatencyBook:
    book = LatencyBook(warmup_s, duration_s)
    recorder = book.recorder("t", "produce", "app", 1, paced)
    for t, first, last, n in rows:
        recorder.record(t, first, last, n)
    book.finish(duration_s)
    return book


def check_within_one_percent(book: LatencyBook, kept: np.ndarray, skip: str = "") -> None:
    row = book.row("t", "produce")
    assert row["count"] == len(kept)
    given_ = 0
    for name, p in PERCENTILES:
        if name == skip:
            continue
        if row[name] is None:
            assert len(kept) < 10 / (1 - p)
        else:
            given_ += 1
            assert row[name] == pytest.approx(nearest_rank(kept, p), rel=0.01, abs=1e-9), name
    assert given_ >= 3
    assert row["max_s"] == pytest.approx(kept.max(), rel=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_paced_batches_within_one_percent_of_every_record(seed: int) -> None:
    draw = random.Random(seed)
    rate = 10 ** draw.uniform(2, 5)
    rows: list[Row] = []
    at = 0.0
    for _ in range(3000):
        n = draw.randint(1, 400) if seed % 2 else draw.randint(1, 20)
        first, last = at, at + (n - 1) / rate
        at = last + 1 / rate
        rows.append((last + draw.expovariate(1 / 0.004) + 0.0003, first, last, n))
    check_within_one_percent(recorded(rows), np.concatenate([paced_points(*row) for row in rows]))


@pytest.mark.parametrize("n", [1, 2, 8, 9, 12, 30, 99, 150, 2000])
@pytest.mark.parametrize("delay", [0.0, 0.0001, 0.003, 2.0])
def test_the_same_paced_batch_over_and_over_keeps_its_atoms(n: int, delay: float) -> None:
    """The hardest case for a spread: all records of all batches fall on n values."""
    rows = [(i + 0.01 + delay, i + 0.0, i + 0.01 if n > 1 else i + 0.0, n) for i in range(400)]
    points = np.concatenate([paced_points(*row) for row in rows])
    check_within_one_percent(recorded(rows), points)


@pytest.mark.parametrize("seed", range(4))
def test_random_batches_agree_with_their_records_in_distribution(seed: int) -> None:
    draw = np.random.default_rng(seed)
    rows: list[Row] = []
    kept = []
    at = 0.0
    for _ in range(6000):
        n = int(draw.integers(1, 200))
        times = at + np.cumsum(draw.exponential(1e-4, n))
        at = float(times[-1])
        t = at + 0.002 + float(draw.exponential(0.005))
        rows.append((t, float(times[0]), at, n))
        kept.append(t - times)
    # Where one batch holds the rank, its own draws decide.
    check_within_one_percent(recorded(rows, paced=False), np.concatenate(kept), skip="p9999_s")


def test_a_burst_at_one_moment() -> None:
    for paced in (True, False):
        row = recorded([(2.0, 1.0, 1.0, 5000)], paced).row("t", "produce")
        assert row["count"] == 5000
        assert row["p50_s"] == pytest.approx(1.0) and row["p99_s"] == pytest.approx(1.0) and row["max_s"] == 1.0


@given(st.floats(0, 10), st.floats(0, 5), st.integers(1, 50), st.floats(-1, 16))
def test_records_before(first: float, width: float, n: int, at: float) -> None:
    last = first + (width if n > 1 else 0.0)
    spacing = (last - first) / max(n - 1, 1)
    times = [first + i * spacing for i in range(n - 1)] + [last]
    assert records_before(first, last, n, True, at) == sum(time < at for time in times)
    random_ones = records_before(first, last, n, False, at)
    assert 0 <= random_ones <= n
    assert (random_ones >= 1) == (first < at) and (random_ones == n) >= (last < at)


@given(st.floats(0.0, 3.0), st.integers(1, 60), st.integers(2, 40), st.booleans())
def test_warmup_cuts_by_intended_time(warmup: float, batches: int, n: int, paced: bool) -> None:
    rows = [(b * 0.1 + 5.0, b * 0.1, b * 0.1 + 0.09, n) for b in range(batches)]
    row = recorded(rows, paced, warmup_s=warmup, duration_s=100.0).row("t", "produce")
    expected = sum(n - records_before(first, last, n, paced, warmup) for _, first, last, n in rows)
    assert row["count"] == expected
    if paced and expected:
        points = np.concatenate([first + np.arange(n) * (last - first) / (n - 1) for _, first, last, _ in rows])
        latest = [t - p for (t, *_), ps in zip(rows, points.reshape(-1, n), strict=True) for p in ps if p >= warmup]
        assert row["max_s"] == pytest.approx(max(latest), abs=1e-6)


def test_the_end_cuts_too() -> None:
    book = recorded([(12.0, 9.0, 10.9, 20)], duration_s=10.0)
    assert book.row("t", "produce")["count"] == 10


def test_rows_over_time_add_up_to_the_total() -> None:
    book = LatencyBook(warmup_s=1.0, duration_s=10.0)
    one = book.recorder("t", "produce", "app", 1)
    two = book.recorder("t", "produce", "app", 2)
    for second in range(10):
        for i in range(100):
            t = second + i / 100
            one.record(t, max(0.0, t - 0.005), max(0.0, t - 0.004), 11)
            if second != 5:
                two.record(t, max(0.0, t - 0.5), max(0.0, t - 0.4), 3)
        book.close_interval(second + 1.0)
    book.finish(10.0)
    rows = [r for r in book.over_time if r["client"] is None and r["broker"] is None]
    assert [r["time_s"] for r in rows] == [float(s) for s in range(2, 11)] or rows[0]["time_s"] == 2.0
    assert sum(r["count"] for r in rows) == book.row("t", "produce")["count"]
    brokers = [r for r in book.over_time if r["broker"] == 2]
    assert 6.0 not in [r["time_s"] for r in brokers], "nothing completed, no row"
    assert sum(r["count"] for r in brokers) == book.row("t", "produce", broker=2)["count"]
    full = next(r for r in rows if r["time_s"] == 4.0)
    assert full["count"] == 1400 and full["p50_s"] == pytest.approx(0.0047, rel=0.02)
    assert full["max_s"] == pytest.approx(0.5)
    sparse = next(r for r in brokers if r["time_s"] == 4.0)
    assert sparse["count"] == 300 and sparse["p50_s"] is not None and sparse["p99_s"] is None
    assert len(book.over_time) == len(rows) * 2 + 9 + len(brokers)


def test_groups_by_topic_client_and_broker() -> None:
    book = LatencyBook(0.0, 10.0)
    for client in ("a", "b"):
        for broker in (1, 2):
            recorder = book.recorder("t", "produce", client, broker)
            assert recorder is book.recorder("t", "produce", client, broker)
            recorder.record(1.0, 0.5, 0.9, broker * (10 if client == "a" else 100))
    book.recorder("t", "end_to_end", "group", None, paced=False).record(1.0, 0.5, 0.5, 1)
    book.finish(10.0)
    rows = {(r["kind"], r["client"], r["broker"]): r["count"] for r in book.summary_rows()}
    assert rows == {
        ("produce", None, None): 330,
        ("produce", "a", None): 30,
        ("produce", "b", None): 300,
        ("produce", None, 1): 110,
        ("produce", None, 2): 220,
        ("end_to_end", None, None): 1,
        ("end_to_end", "group", None): 1,
    }
    assert book.summary_rows()[0]["kind"] == "produce"
    with pytest.raises(ValueError, match="no such kind"):
        book.recorder("t", "consume")
    with pytest.raises(ValueError, match="no such level"):
        LatencyBook(0.0, 1.0, levels=("rack",))
    with pytest.raises(ValueError, match="warmup"):
        LatencyBook(2.0, 1.0)


def thousand() -> LatencyBook:
    """1000 finished records of 10 ms."""
    book = LatencyBook(10.0, 100.0)
    recorder = book.recorder("t", "produce", "app", 1)
    for i in range(1000):
        at = 10.0 + i * 0.08
        recorder.record(at + 0.010, at, at, 1)
    return book


def test_a_percentile_rests_on_enough_records() -> None:
    book = thousand()
    book.finish(100.0)
    row = book.row("t", "produce")
    assert row["p99_s"] == pytest.approx(0.010, rel=0.01)
    assert row["p999_s"] is None
    assert row["reason"] == {
        "p999_s": "rests on 1000 records, needs 10000",
        "p9999_s": "rests on 1000 records, needs 100000",
    }
    assert book.percentile(Fraction(1, 2), "nothing", "produce") == (None, "no records")


def test_a_failed_record_is_slower_than_any_finished_one() -> None:
    book = thousand()
    book.unfinished("t", "produce", "app", failed=[(50.0, 51.0, 11), (1.0, 9.0, 500)])
    book.finish(100.0)
    row = book.row("t", "produce")
    assert row["failed"] == 11, "those intended within warm-up do not count"
    assert row["p95_s"] == pytest.approx(0.010, rel=0.01)
    assert row["p99_s"] is None and row["reason"]["p99_s"] == "11 of 1011 records failed or unfinished"
    assert row["max_s"] is None and row["reason"]["max_s"] == "11 of 1011 records failed or unfinished"
    assert row["max_finished_s"] == pytest.approx(0.010)
    assert book.row("t", "produce", broker=1)["failed"] == 0


def test_unfinished_records_count_when_older_than_the_value_found() -> None:
    book = thousand()
    # 600 records of the last 5 ms are younger than 10 ms; they say nothing.
    book.unfinished("t", "produce", "app", 1, censored=[(99.995, 99.999, 600)])
    book.finish(100.0)
    row = book.row("t", "produce")
    assert (row["censored"], row["p99_s"]) == (600, pytest.approx(0.010, rel=0.01))
    assert row["oldest_censored_s"] == pytest.approx(0.005)
    # 600 that have waited up to 20 s take the upper ranks, and the median from 500 to 800.
    book = thousand()
    book.unfinished("t", "produce", "app", 1, censored=[(80.0, 99.9, 600)])
    book.finish(100.0)
    row = book.row("t", "produce")
    assert row["p50_s"] == pytest.approx(0.010, rel=0.01)
    assert row["p90_s"] is None and row["reason"]["p90_s"] == "600 of 1600 records failed or unfinished"
    assert row["oldest_censored_s"] == pytest.approx(20.0)


def test_an_outage_of_everything_gives_no_percentile() -> None:
    book = LatencyBook(10.0, 100.0)
    book.unfinished("t", "produce", "app", censored=[(5.0, 99.0, 95)])
    book.finish(100.0)
    row = book.row("t", "produce")
    assert row["count"] == 0 and row["censored"] == 90 and row["max_s"] is None
    assert row["oldest_censored_s"] == pytest.approx(90.0)
    assert row["reason"]["p50_s"] == "90 of 90 records failed or unfinished"
    assert ("t", "produce", "app") in {(r["topic"], r["kind"], r["client"]) for r in book.summary_rows()}


@pytest.mark.parametrize("row", [(1.0, 0.0, 1.1, 2), (1.0, 0.9, 0.8, 2), (1.0, 0.5, 0.5, 0)])
def test_impossible_rows_end_the_run(row: Row) -> None:
    recorder = LatencyRecorder("t", "produce", None, None, True, 0.0, 10.0)
    recorder.record(*row)
    with pytest.raises(ValueError, match="out of order"):
        recorder.fold()


def test_blocks_fold_by_themselves() -> None:
    recorder = LatencyRecorder("t", "produce", None, None, True, 0.0, 1e6)
    for i in range(100_000):
        recorder.record(i + 0.5, float(i), i + 0.25, 4)
    assert len(recorder._rows) < 4096
    assert recorder.interval.count > 395_000
    assert math.isclose(recorder.interval.largest, 0.5)
