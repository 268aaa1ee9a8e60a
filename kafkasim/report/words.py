"""How a report writes numbers and names: units always, and nothing that could harm a terminal or a page.

Left out: tables and JSON (``metrics.numbers`` writes those, exactly).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

NONE: Final = "–"
_LONGEST_NAME: Final = 200


def clean(name: object, longest: int = _LONGEST_NAME) -> str:
    """A name as it may be shown: no control characters (no escape sequences), not endless.

    >>> clean("a\\x1b[31mb")
    'a·[31mb'
    """
    text = "".join(one if one.isprintable() else "·" for one in str(name))
    return text if len(text) <= longest else text[: longest - 1] + "…"


def at(t: float | None) -> str:
    """A moment of the run: to the millisecond.

    >>> at(55), at(None)
    ('55.000 s', '–')
    """
    return NONE if t is None else f"{t:,.3f} s"


def seconds(value: float | None) -> str:
    """A span of time in the unit that reads best, three digits.

    >>> seconds(0.00342), seconds(16.24), seconds(0.0), seconds(4e-5), seconds(240.0)
    ('3.42 ms', '16.2 s', '0 s', '40 µs', '240 s')
    >>> seconds(2e-10)
    '< 0.01 µs'
    """
    if value is None:
        return NONE
    if value == 0.0:
        return "0 s"
    size = abs(value)
    if size < 5e-9:
        return "< 0.01 µs"
    if size >= 0.9995:
        return f"{_three(value)} s"
    if size >= 0.0009995:
        return f"{_three(value * 1e3)} ms"
    return f"{_three(value * 1e6)} µs"


def _three(value: float) -> str:
    size = abs(value)
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(value: float | None) -> str:
    """A whole number with thousands.

    >>> count(2400000)
    '2,400,000'
    """
    return NONE if value is None else f"{value:,.0f}"


def number(value: float | None) -> str:
    """Any number: whole ones whole, others with three digits.

    >>> number(3.0), number(0.0123), number(None)
    ('3', '0.0123', '–')
    """
    if value is None:
        return NONE
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"


def rate(value: float | None, of: str = "") -> str:
    """Something a second.

    >>> rate(10000.0), rate(12.34, " records")
    ('10,000/s', '12.3 records/s')
    """
    if value is None:
        return NONE
    return f"{number(value) if abs(value) < 100 else count(value)}{of}/s"


def size(value: float | None, suffix: str = "") -> str:
    """Bytes, in powers of 1000 as networks and disks are rated.

    >>> size(2912345.6, "/s"), size(12)
    ('2.91 MB/s', '12 B')
    """
    if value is None:
        return NONE
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= limit:
            return f"{_three(value / limit)} {unit}{suffix}"
    return f"{_three(value)} B{suffix}"


def percent(fraction: float | None) -> str:
    """A fraction as a percentage.

    >>> percent(0.1234), percent(0.0), percent(0.0001)
    ('12.3 %', '0 %', '< 0.1 %')
    """
    if fraction is None:
        return NONE
    if 0.0 < fraction < 0.0005:
        return "< 0.1 %"
    return f"{_three(fraction * 100.0) if fraction < 0.9995 else f'{fraction * 100.0:.0f}'} %"


def plural(n: int, one: str, many: str | None = None) -> str:
    """A count with its noun.

    >>> plural(1, "record"), plural(0, "record"), plural(2, "entry", "entries")
    ('1 record', 'no record', '2 entries')
    """
    if n == 0:
        return f"no {one}"
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(names: Iterable[str], most: int = 4) -> str:
    """Names in a sentence.

    >>> listed(["a", "b", "c"]), listed("abcdefg")
    ('a, b and c', 'a, b, c and 4 others')
    """
    every: Sequence[str] = list(names)
    if len(every) > most:
        every = [*every[: most - 1], f"{len(every) - most + 1} others"]
    if len(every) < 2:
        return "".join(every)
    return f"{', '.join(every[:-1])} and {every[-1]}"
