"""The cost of the hot path in kernel events a batch: a count, so it does not depend on the machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
bench = pytest.importorskip("bench_millions")


@pytest.mark.parametrize("seconds", [2.0, pytest.param(12.0, marks=pytest.mark.full)])
def test_events_per_batch_stay_below_22(seconds):
    figures = bench.measure(seconds)
    assert figures["events_per_batch"] <= 22.0
    assert figures["records_per_batch"] > 100


@pytest.mark.full
def test_memory_stays_flat():
    assert bench.memory_growth_bytes() <= 5_000_000
