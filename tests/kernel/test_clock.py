"""The clock in whole milliseconds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kafkasim.kernel import Clock, clock_ms


def test_a_millisecond_is_reached_at_its_own_time() -> None:
    # 1.001 * 1000 < 1001 in floating point: cut naively this would read 1000
    assert [clock_ms(ms / 1000.0) for ms in range(100_000)] == list(range(100_000))


def test_the_clock_cuts_and_does_not_round() -> None:
    assert clock_ms(0.0019) == 1
    assert clock_ms(0.0019999) == 1
    assert clock_ms(12.3456) == 12_345


def test_the_offset_shifts_the_reading() -> None:
    clock = Clock(0.7)
    assert clock.ms(0.0002) == 0
    assert clock.ms(0.0003) == 1
    assert clock.ms(1.0003) == clock_ms(1.0003, 0.7) == 1001


@given(ms=st.integers(0, 10**8), offset_ms=st.floats(0, 1000))
def test_time_of_is_when_the_clock_turns(ms: int, offset_ms: float) -> None:
    clock = Clock(offset_ms)
    at = clock.time_of(ms)
    assert clock.ms(at) == ms
    assert clock.ms(at - 1e-6) == ms - 1
    assert clock.ms(at + 0.000_999) == ms


@given(st.lists(st.floats(0, 10_000), min_size=2))
def test_the_clock_never_runs_back(times: list[float]) -> None:
    readings = [clock_ms(at) for at in sorted(times)]
    assert readings == sorted(readings)
