"""How numbers and names are written."""

from __future__ import annotations

import doctest

import pytest

from kafkasim.report import words


def test_the_examples_of_the_module_are_true() -> None:
    failed, tried = doctest.testmod(words)
    assert tried >= 10 and failed == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0 s"),
        (0.9999, "1 s"),
        (0.0009999, "1 ms"),
        (9.999, "10 s"),
        (99.96, "100 s"),
        (86_400.0, "86,400 s"),
        (-0.5, "-500 ms"),
    ],
)
def test_spans_of_time_keep_three_digits_and_never_say_1000_ms(value: float | None, text: str) -> None:
    assert words.seconds(value) == text


def test_names_cannot_steer_a_terminal_and_are_not_endless() -> None:
    assert words.clean("a\x1b[2J\r\n\u202eb") == "a·[2J···b"
    assert len(words.clean("x" * 10_000)) == 200
