"""Unavailability rows: their start, their end, and what is no row."""

from __future__ import annotations

import random

import pytest

from kafkasim.metrics.availability import Availability, AvailabilityBook


def book() -> AvailabilityBook:
    return AvailabilityBook(lambda kind, client, topic, partition, from_s: 7)


def produce(outages: AvailabilityBook, threshold_s: float = 0.2) -> Availability:
    return outages.tracker("produce", "app", "tweets", 0, threshold_s, acks="all")


def intervals(outages: AvailabilityBook) -> list[tuple[float, float, bool]]:
    return [(row.from_s, row.until_s, row.open) for row in outages.rows()]


def test_completions_within_the_threshold_are_no_row() -> None:
    outages = book()
    tracker = produce(outages)
    for i in range(100):
        tracker.completed(i * 0.2, i * 0.2 - 0.19)
    tracker.finish(20.0, 19.9)
    assert intervals(outages) == []


def test_a_row_starts_at_the_last_completion_when_older_records_wait() -> None:
    outages = book()
    tracker = produce(outages)
    tracker.completed(10.0, 9.9)
    tracker.completed(33.0, 9.95)
    assert intervals(outages) == [(10.0, 33.0, False)]
    row = outages.as_dicts()[0]
    assert (row["duration_s"], row["cause"], row["acks"], row["kind"]) == (23.0, 7, "all", "produce")


def test_a_row_starts_at_the_oldest_waiting_record_when_that_is_later() -> None:
    outages = book()
    tracker = produce(outages)
    tracker.completed(10.0, 9.9)
    tracker.completed(80.0, 60.0)
    assert intervals(outages) == [(60.0, 80.0, False)]


def test_a_partition_without_demand_is_available() -> None:
    outages = book()
    tracker = produce(outages)
    tracker.completed(10.0, 9.9)
    tracker.completed(500.0, 499.9)
    tracker.finish(1000.0, None)
    assert intervals(outages) == []


def test_exactly_the_threshold_is_no_row() -> None:
    outages = book()
    tracker = produce(outages, threshold_s=0.25)
    tracker.completed(1.0, 1.0)
    tracker.completed(1.25, 1.0)
    tracker.completed(1.5625, 1.25)
    assert intervals(outages) == [(1.25, 1.5625, False)]


def test_open_at_the_end() -> None:
    outages = book()
    tracker = produce(outages)
    tracker.completed(10.0, 9.9)
    assert not tracker.is_out(10.1, 10.0)
    assert tracker.is_out(10.5, 10.0)
    tracker.finish(60.0, 12.0)
    assert intervals(outages) == [(12.0, 60.0, True)]


def test_all_records_failing_ends_the_row_without_a_completion() -> None:
    outages = book()
    tracker = produce(outages)
    tracker.completed(10.0, 9.9)
    tracker.gave_up(131.0, 11.0, None)
    tracker.completed(200.1, 200.0)
    assert intervals(outages) == [(11.0, 131.0, False)]


def test_some_records_failing_leaves_the_interval_whole() -> None:
    outages = book()
    tracker = produce(outages)
    tracker.completed(10.0, 9.9)
    tracker.gave_up(131.0, 11.0, 12.0)
    tracker.gave_up(132.0, 12.0, 13.0)
    tracker.completed(140.0, 13.0)
    assert intervals(outages) == [(11.0, 140.0, False)]


def test_a_failure_before_a_quick_completion_leaves_no_trace() -> None:
    outages = book()
    tracker = produce(outages)
    tracker.completed(10.0, 9.9)
    tracker.gave_up(10.1, 10.05, 10.06)
    tracker.completed(10.15, 10.06)
    tracker.completed(60.1, 60.0)
    tracker.completed(61.0, 60.5)
    assert intervals(outages) == [(60.5, 61.0, False)]


def test_a_group_counts_from_its_first_assignment() -> None:
    outages = book()
    consume = outages.tracker("consume", "api", "tweets", 0, 0.2)
    consume.finish(1.0, 0.0)
    assert intervals(outages) == []
    consume.start(3.0)
    consume.start(5.0)
    consume.completed(6.0, 0.0)
    assert intervals(outages) == [(3.0, 6.0, False)]


def test_all_instances_of_a_client_share_a_tracker() -> None:
    outages = book()
    assert produce(outages) is produce(outages)
    with pytest.raises(ValueError, match="no such kind"):
        outages.tracker("commit", "app", "tweets", 0, 0.2)


def test_the_cause_is_asked_for_rows_only() -> None:
    asked: list[tuple[str, str, str, int, float]] = []

    def cause_of(kind: str, client: str, topic: str, partition: int, from_s: float) -> int | None:
        asked.append((kind, client, topic, partition, from_s))
        return None

    outages = AvailabilityBook(cause_of)
    tracker = produce(outages)
    tracker.completed(1.0, 0.9)
    tracker.completed(9.0, 1.5)
    assert asked == [("produce", "app", "tweets", 0, 1.5)]


@pytest.mark.parametrize("seed", range(20))
def test_against_the_definition(seed: int) -> None:
    """Records wait from their intended time to their end; the rows are read off a fine sweep over all events."""
    draw = random.Random(seed)
    records = []
    for _ in range(60):
        intended = round(draw.uniform(0, 100), 3)
        records.append((intended, round(intended + draw.expovariate(1.0), 3), draw.random() < 0.2))
    outages = book()
    tracker = produce(outages, threshold_s=1.0)
    ends = sorted({end for _, end, _ in records})
    for at in ends:
        before = [r[0] for r in records if r[0] <= at <= r[1]]
        after = [r[0] for r in records if r[0] <= at < r[1]]
        if any(end == at and not failed for _, end, failed in records):
            tracker.completed(at, min(before))
        else:
            tracker.gave_up(at, min(before), min(after, default=None))
    # The definition: maximal intervals with somebody waiting and no completion inside.
    completions = {end for _, end, failed in records if not failed}
    expected = []
    start: float | None = None
    for at in sorted({r[0] for r in records} | set(ends)):
        if start is not None and at in completions:
            expected.append((start, at))
            start = at
        waiting = any(r[0] <= at < r[1] for r in records)
        if start is None and waiting:
            start = at
        elif start is not None and not waiting:
            expected.append((start, at))
            start = None
    rows = [(a, b) for a, b in expected if b - a > 1.0]
    assert [(a, b) for a, b, _ in intervals(outages)] == rows
    assert rows, "a seed without a row tests nothing"
