"""The one place where a number becomes text, by its declared type.

A float attribute may hold an int in the pure Python build and never in the compiled one; written by declared type
both give the same bytes. Floats are rounded to nine decimals (a nanosecond) and written by ``repr``; what is not
finite is as absent as None.
"""

from __future__ import annotations

import math
from typing import Final

DECIMALS: Final = 9
INTEGER: Final = "int"
FLOAT: Final = "float"
BOOLEAN: Final = "bool"
TEXT: Final = "str"
KINDS: Final = (INTEGER, FLOAT, BOOLEAN, TEXT)

Value = int | float | bool | str | None


def typed(value: object, kind: str) -> Value:
    """``value`` as its declared ``kind``: ``int``, ``float``, ``bool`` or ``str``; None stays None.

    >>> typed(5, "float"), typed(0.1234567891234, "float"), typed(float("nan"), "float"), typed(3, "int")
    (5.0, 0.123456789, None, 3)

    Raises:
        TypeError: if the value is not of that kind (a fraction where whole numbers are declared, say).
    """
    if value is None:
        return None
    if kind == FLOAT:
        if isinstance(value, bool):
            raise TypeError(f"{value!r} is no number")
        number = float(value)  # type: ignore[arg-type]
        if not math.isfinite(number):
            return None
        return round(number, DECIMALS) + 0.0  # -0.0 becomes 0.0
    if kind == INTEGER:
        if isinstance(value, bool) or not float(value).is_integer():  # type: ignore[arg-type]
            raise TypeError(f"{value!r} is no whole number")
        return int(value)  # type: ignore[call-overload, no-any-return]
    if kind == BOOLEAN:
        if value is not True and value is not False:
            raise TypeError(f"{value!r} is neither true nor false")
        return bool(value)
    if kind == TEXT:
        return str(value)
    raise TypeError(f"no such kind of value: {kind}")


def text(value: object, kind: str) -> str:
    """``value`` as it stands in a table: ``repr`` of its typed form, nothing for None, true and false in JSON's words.

    >>> text(5, "float"), text(None, "int"), text(True, "bool")
    ('5.0', '', 'true')
    """
    known = typed(value, kind)
    if known is None:
        return ""
    if kind == BOOLEAN:
        return "true" if known else "false"
    return known if isinstance(known, str) else repr(known)


def parsed(cell: str, kind: str) -> Value:
    """The value that :func:`text` wrote; an empty cell is None (an empty text, too).

    Raises:
        ValueError: if the cell does not hold the declared kind.
    """
    if cell == "":
        return None
    if kind == FLOAT:
        return float(cell)
    if kind == INTEGER:
        return int(cell)
    if kind == BOOLEAN:
        if cell not in ("true", "false"):
            raise ValueError(f"{cell!r} is neither true nor false")
        return cell == "true"
    return cell
