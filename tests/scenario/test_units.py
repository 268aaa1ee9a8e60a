"""Quantities read as written, and what is formatted reads back as the same number."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkasim.scenario import units
from kafkasim.scenario.units import UnitError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10ms", 0.01), ("1.5s", 1.5), ("250us", 250e-6), ("250µs", 250e-6), ("2h30m", 9000.0), ("1min", 60.0),
        ("1m30s", 90.0), ("0s", 0.0), ("1_000ms", 1.0), ("1d", 86400.0), ("3 s", 3.0), ("0.1ms", 0.0001), ("7ns", 7e-9),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (units.parse_size, "64KiB", 65536), (units.parse_size, "280B", 280), (units.parse_size, "1MB", 10**6),
        (units.parse_size, "0.5KiB", 512), (units.parse_size, "24GiB", 24 << 30),
        (units.parse_rate, "50_000/s", 50000.0), (units.parse_rate, "6/min", 0.1), (units.parse_rate, "20k/s", 20000.0),
        (units.parse_byte_rate, "200MiB/s", 200.0 * 2**20), (units.parse_byte_rate, "1Gbit/s", 125e6),
        (units.parse_byte_rate, "1 Gbit/s", 125e6), (units.parse_byte_rate, "10MB/s", 1e7),
        (units.parse_processing, "20us/record", 20e-6), (units.parse_cost, "1.6ns/B", 1.6e-9),
        (units.parse_cost, "22us", 22e-6), (units.parse_cost, "0.43us/record", 0.43e-6),
    ],
)  # fmt: skip
def test_sizes_rates_and_costs(parse: Callable[[object], float], text: str, value: float) -> None:
    assert parse(text) == value


ALL = [
    units.parse_duration, units.parse_size, units.parse_rate, units.parse_byte_rate, units.parse_processing,
    units.parse_cost,
]  # fmt: skip


@pytest.mark.parametrize("parse", ALL)
@pytest.mark.parametrize("value", [10, 1.5, "10", "1_000", "", "ms", "-1ms", "-5B", "1e3ms", "nan", math.nan, math.inf,
                                   ".inf", True, None, [], {}, "1" * 100 + "s", "10 parsecs", "１0ms"])  # fmt: skip
def test_what_is_no_quantity_is_refused(parse: Callable[[object], float], value: object) -> None:
    with pytest.raises(UnitError) as caught:
        parse(value)
    assert caught.value.allowed


def test_a_bare_number_gets_a_hint() -> None:
    with pytest.raises(UnitError, match="write 10ms or 10s"):
        units.parse_duration(10)


@pytest.mark.parametrize("text", ["30m2h", "1s1s", "1ms1s", "10mss", "1.s", "1..5s", "5 minutes"])
def test_a_duration_that_is_put_together_wrongly(text: str) -> None:
    with pytest.raises(UnitError):
        units.parse_duration(text)


def test_a_bit_is_not_a_byte() -> None:
    assert units.parse_byte_rate("8Mbit/s") == units.parse_byte_rate("1MB/s")
    with pytest.raises(UnitError):
        units.parse_byte_rate("8Mb/s")


positive = st.floats(min_value=1e-9, max_value=1e9, allow_nan=False)


@given(positive | st.just(0.0))
def test_a_formatted_duration_reads_back(value: float) -> None:
    assert units.parse_duration(units.format_duration(value)) == value


@given(st.integers(min_value=0, max_value=10**15))
def test_a_formatted_size_reads_back(value: int) -> None:
    assert units.parse_size(units.format_size(value)) == value


@given(positive)
def test_formatted_rates_read_back(value: float) -> None:
    assert units.parse_rate(units.format_rate(value)) == value
    assert units.parse_byte_rate(units.format_byte_rate(value)) == value
    assert units.parse_processing(units.format_processing(value)) == value


@given(st.text(max_size=80))
def test_any_text_is_a_number_or_a_unit_error(text: str) -> None:
    for parse in ALL:
        try:
            value = parse(text)
        except UnitError:
            continue
        assert math.isfinite(value) and value >= 0
