"""Random streams: stable by name, independent of each other and of what else exists."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from kafkasim.kernel import Stream, Streams

DRAWS = 20_000


def draws(seed: int, name: str, n: int = 5) -> list[float]:
    stream = Streams(seed).stream(name)
    return [stream.uniform() for _ in range(n)]


def test_a_stream_is_defined_by_seed_and_name() -> None:
    """Whoever changes these numbers changes every result; SHA-256 of the name and PCG64 make them."""
    expected = [0.2084382095210724, 0.5543675186473772, 0.26819307509230095, 0.7689151575097886, 0.3823284869839638]
    assert draws(7, "producer/twitter-app/2/arrivals") == expected


def test_the_same_name_is_the_same_stream() -> None:
    streams = Streams(7)
    assert streams.stream("a") is streams.stream("a")
    assert draws(7, "a") == draws(7, "a")
    assert draws(7, "a") != draws(7, "b")
    assert draws(7, "a") != draws(8, "a")


def test_another_stream_shifts_nothing() -> None:
    alone = draws(3, "network/x", 1000)
    streams = Streams(3)
    mixed = []
    for _ in range(1000):
        streams.stream("consumer/new").uniform()
        mixed.append(streams.stream("network/x").uniform())
        streams.stream("zookeeper").normal()
    assert mixed == alone


def test_python_hash_seed_changes_nothing() -> None:
    program = "from kafkasim.kernel import Streams; s = Streams(5).stream('x'); print(s.uniform(), s.normal())"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(outputs) == 1


def test_streams_are_not_correlated() -> None:
    one = np.array(draws(1, "producer/app/0/arrivals", DRAWS))
    for other in ("producer/app/1/arrivals", "producer/app/0/phase", "network/a/up"):
        assert abs(np.corrcoef(one, draws(1, other, DRAWS))[0, 1]) < 4 / np.sqrt(DRAWS)
    assert abs(np.corrcoef(one, draws(2, "producer/app/0/arrivals", DRAWS))[0, 1]) < 4 / np.sqrt(DRAWS)


def test_uniform_draws() -> None:
    stream = Stream(1, "uniform")
    values = [stream.uniform(2.0, 5.0) for _ in range(DRAWS)]
    assert min(values) >= 2.0
    assert max(values) < 5.0
    assert stats.kstest(values, "uniform", args=(2.0, 3.0)).pvalue > 0.01


def test_exponential_draws() -> None:
    stream = Stream(1, "exponential")
    values = [stream.exponential(0.25) for _ in range(DRAWS)]
    assert stats.kstest(values, "expon", args=(0, 0.25)).pvalue > 0.01


def test_normal_draws() -> None:
    stream = Stream(1, "normal")
    assert stats.kstest([stream.normal() for _ in range(DRAWS)], "norm").pvalue > 0.01


def test_lognormal_draws_have_the_median_and_the_percentile_asked_for() -> None:
    stream = Stream(1, "lognormal")
    values = np.array([stream.lognormal(0.002, 0.010) for _ in range(DRAWS)])
    assert np.median(values) == pytest.approx(0.002, rel=0.03)
    assert np.quantile(values, 0.99) == pytest.approx(0.010, rel=0.06)
    assert stream.lognormal(0.002, 0.002) == 0.002


def test_integers_are_uniform_and_in_bounds() -> None:
    stream = Stream(1, "integer")
    counts = np.bincount([stream.integer(7) for _ in range(DRAWS)], minlength=7)
    assert len(counts) == 7
    assert stats.chisquare(counts).pvalue > 0.01


def test_shuffles_are_uniform() -> None:
    stream = Stream(1, "shuffle")
    orders = [tuple(stream.shuffled(3)) for _ in range(6000)]
    counts = np.unique(np.array(orders), axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.01
    assert stream.shuffled(0) == []
