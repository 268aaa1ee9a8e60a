"""Numbers by declared type."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kafkasim.metrics.numbers import parsed, text, typed


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (5, "float", "5.0"),
        (5.0, "int", "5"),
        (-0.0, "float", "0.0"),
        (-1e-12, "float", "0.0"),
        (0.1 + 0.2, "float", "0.3"),
        (1e-9, "float", "1e-09"),
        (math.inf, "float", ""),
        (math.nan, "float", ""),
        (None, "int", ""),
        (True, "bool", "true"),
        (False, "bool", "false"),
        (10**18 + 1, "int", "1000000000000000001"),
        ("a,b", "str", "a,b"),
    ],
)
def test_written_by_declared_type(value: object, kind: str, expected: str) -> None:
    assert text(value, kind) == expected


@pytest.mark.parametrize(("value", "kind"), [(1.5, "int"), (True, "int"), (True, "float"), (1, "bool"), (1, "text")])
def test_other_types_are_refused(value: object, kind: str) -> None:
    with pytest.raises(TypeError):
        typed(value, kind)


@given(st.floats(-1e6, 1e6))
def test_what_was_written_is_read(value: float) -> None:
    assert parsed(text(value, "float"), "float") == typed(value, "float")
    assert text(parsed(text(value, "float"), "float"), "float") == text(value, "float")


def test_reading_is_strict() -> None:
    assert (parsed("", "int"), parsed("true", "bool"), parsed("false", "bool")) == (None, True, False)
    for cell, kind in (("1.5", "int"), ("x", "float"), ("yes", "bool")):
        with pytest.raises(ValueError, match=r".+"):
            parsed(cell, kind)
