"""Series: rates, gauges, labels and the tables made of them."""

from __future__ import annotations

import pytest

from kafkasim.metrics.series import SeriesBook


def test_counters_become_rates_and_add_up_exactly() -> None:
    book = SeriesBook()
    one = book.traffic("records_in_per_s", "t", client="app", broker=1)
    two = book.traffic("records_in_per_s", "t", client="app", broker=2)
    for second in range(4):
        one.add(100)
        two.add(second)
        book.sample((second + 1) * 0.5)
    assert book.values("records_in_per_s", topic="t") == [(0.5, 200.0), (1.0, 202.0), (1.5, 204.0), (2.0, 206.0)]
    assert book.values("records_in_per_s", topic="t", broker=2) == [(0.5, 0.0), (1.0, 2.0), (1.5, 4.0), (2.0, 6.0)]
    assert book.values("records_in_per_s", topic="x") == []
    assert book.label_values("records_in_per_s", "broker") == [1, 2]


def test_mean_rate_counts_from_the_cut() -> None:
    book = SeriesBook()
    counter = book.traffic("records_in_per_s", "t", client="app")
    counter.add(1000)
    book.cut(10.0)
    counter.add(300)
    assert book.mean_rate("records_in_per_s", 40.0, topic="t") == 10.0
    assert book.mean_rate("records_in_per_s", 40.0, topic="x") is None
    assert book.mean_rate("records_in_per_s", 10.0, topic="t") is None


def test_a_series_that_begins_late_has_no_earlier_samples() -> None:
    book = SeriesBook()
    book.gauge("isr_size_replicas", lambda: 3, topic="t", partition=0)
    book.sample(1.0)
    count = 50.0
    book.rate("utilisation_fraction", lambda: count, station="disk")
    count = 50.5
    book.sample(2.0)
    assert book.values("utilisation_fraction", station="disk") == [(2.0, 0.5)]
    assert [(r["time_s"], r["metric"], r["partition"], r["value"]) for r in book.rows()] == [
        (1.0, "isr_size_replicas", 0, 3.0),
        (2.0, "isr_size_replicas", 0, 3.0),
        (2.0, "utilisation_fraction", None, 0.5),
    ]


def test_wide_rows_take_series_with_exactly_the_labels() -> None:
    book = SeriesBook()
    book.traffic("records_in_per_s", "t", client="app").add(5)
    book.sample(1.0)
    book.traffic("records_out_per_s", "t", client="api").add(7)
    book.sample(2.0)
    names = ("records_in_per_s", "records_out_per_s")
    assert book.wide(names, ("topic",)) == [
        {"time_s": 1.0, "topic": "t", "records_in_per_s": 5.0, "records_out_per_s": None},
        {"time_s": 2.0, "topic": "t", "records_in_per_s": 0.0, "records_out_per_s": 7.0},
    ]
    assert [(r["client"], r["time_s"]) for r in book.wide(names, ("topic", "client"))] == [
        ("app", 1.0),
        ("app", 2.0),
        ("api", 2.0),
    ]


def test_extremes() -> None:
    book = SeriesBook()
    lag = {0: 5.0, 1: 9.0}
    for partition in (0, 1):
        book.gauge("consumer_lag_records", lambda p=partition: lag[p], topic="t", partition=partition, group="g")
    book.sample(1.0)
    lag[1] = 1.0
    book.sample(2.0)
    assert book.extreme("consumer_lag_records", topic="t") == 9.0
    assert book.extreme("consumer_lag_records", from_s=1.5, topic="t") == 5.0
    assert book.extreme("consumer_lag_records", group="other") is None


def test_mistakes_are_refused() -> None:
    book = SeriesBook()
    book.gauge("x", lambda: 1.0)
    with pytest.raises(ValueError, match="both"):
        book.counter("x")
    book.sample(1.0)
    with pytest.raises(ValueError, match="sampled at"):
        book.sample(1.0)
