"""Reads a page of the documentation: its commands, and the numbers that it says come out of them.

A command stands in a ``console`` block behind ``$``; lines below it are output that must appear (``…`` stands for
anything); ``console exit=2`` says how it ends (0 if absent). Tables whose last column is *field* belong to the last
command above them. Each row claims a number: the cell before *field* is what the page says, *field* says where the
run has it.

What the page says: ``2,400,000``, ``none``, ``true``, ``0.40 ms ± 10 %``, ``12 … 21 s``, ``< 5 ms``, ``> 100,000/s``.

Where the run has it: a path into the summary (``ledger.created``); ``[kind=produce, partition=0]`` picks members of a
list (also ``~`` for "contains", ``<``, ``>``), exactly one unless ``count``, ``sum``, ``min``, ``max``, ``first`` or
``last`` stands before; ``series[…]`` is the run's series.csv; ``a ÷ b``, ``a − b`` of two of these, or of one and a
plain number.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

UNITS = {
    "": 1.0, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "%": 0.01, "/s": 1.0, "M/s": 1e6, "MB/s": 1e6, "kB/s": 1e3, "MB": 1e6,
}  # fmt: skip
_NUMBER = r"-?[\d,]+(?:\.\d+)?"
_UNIT = r"(?P<unit>µs|ms|MB/s|kB/s|MB|M/s|/s|s|%)?"
_FOLD: dict[str, Callable[[list[Any]], Any]] = {
    "count": len, "sum": sum, "min": min, "max": max, "first": lambda v: v[0], "last": lambda v: v[-1],
}  # fmt: skip


@dataclass
class Claim:
    """One row: what the page says, and where the run has it."""

    line: int
    words: str
    says: str
    where: str


@dataclass
class Command:
    """One command of the page with everything that the page says of it."""

    text: str
    exit_code: int = 0
    output: list[str] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)


def commands(page: str) -> list[Command]:
    """The page's commands in order; the same command twice is one."""
    found: dict[str, Command] = {}
    last: Command | None = None
    block: re.Match[str] | None = None
    inside = False
    for number, line in enumerate(page.splitlines(), start=1):
        if not inside and (block := re.fullmatch(r"```console(?: exit=(\d+))?", line)):
            inside = True
        elif inside and line == "```":
            inside = False
        elif inside and line.startswith("$ "):
            last = found.setdefault(line[2:], Command(line[2:]))
            assert block is not None
            last.exit_code = int(block[1] or 0)
        elif inside and last is not None and line.strip():
            last.output.append(line)
        elif not inside and line.startswith("|"):
            cells = [cell.strip() for cell in line.split("|")[1:-1]]
            if len(cells) == 3 and re.fullmatch(r"`.+`", cells[2]):
                assert last is not None, f"line {number}: a number before any command"
                last.claims.append(Claim(number, cells[0], cells[1], cells[2].strip("`")))
    return list(found.values())


def agrees(says: str, value: Any) -> bool:
    """Whether ``value`` is what the page says."""
    if says in ("none", "true", "false"):
        return bool(value == {"none": None, "true": True, "false": False}[says])
    if isinstance(value, str):
        return says == value
    if value is None:
        return False
    if not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    if match := re.fullmatch(rf"({_NUMBER}) … ({_NUMBER}) ?{_UNIT}", says):
        unit = UNITS[match["unit"] or ""]
        return _number(match[1]) * unit <= value <= _number(match[2]) * unit
    if match := re.fullmatch(rf"([<>]) ({_NUMBER}) ?{_UNIT}", says):
        bound = _number(match[2]) * UNITS[match["unit"] or ""]
        return bool(value < bound if match[1] == "<" else value > bound)
    if match := re.fullmatch(rf"({_NUMBER}) ?{_UNIT}(?: ± (\d+) %)?", says):
        stated = _number(match[1]) * UNITS[match["unit"] or ""]
        tolerance = abs(stated) * int(match[3] or 0) / 100
        return bool(abs(value - stated) <= tolerance + 1e-12)
    raise ValueError(f"{says!r} is no number of a page")


def look_up(where: str, summary: dict[str, Any], directory: Path) -> Any:
    """The run's value of a field."""
    for sign in ("÷", "−"):
        left, found, right = where.partition(f" {sign} ")
        if found:
            a, b = (look_up(part, summary, directory) for part in (left, right))
            return a / b if sign == "÷" else a - b
    if re.fullmatch(_NUMBER, where):
        return _number(where)
    fold, path = None, where
    if (head := where.partition(" "))[0] in _FOLD:
        fold, path = head[0], head[2]
    values: list[Any] = [summary]
    for part in re.findall(r"\[[^\]]*\]|[^.\[\]]+", path):
        if part.startswith("["):
            values = [one for value in values for one in value if _matches(part[1:-1], one)]
        elif part == "series" and values == [summary]:
            values = [_series(directory)]
        else:
            values = [value[part] for value in values]
    if fold is not None:
        return _FOLD[fold](values[0] if len(values) == 1 and isinstance(values[0], list) else values)
    if len(values) != 1:
        raise LookupError(f"{where}: {len(values)} rows match")
    return values[0]


def _series(directory: Path) -> list[dict[str, Any]]:
    with (directory / "series.csv").open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    for row in rows:
        row["value"], row["time_s"] = float(row["value"] or "nan"), float(row["time_s"])
    return rows


def _matches(conditions: str, row: dict[str, Any]) -> bool:
    for condition in filter(None, (text.strip() for text in re.split(r", (?=\w+[=~<>])", conditions))):
        match = re.fullmatch(r"(\w+)([=~<>])(.*)", condition)
        assert match, f"[{conditions}] is no choice of rows"
        value, sign, wanted = row[match[1]], match[2], match[3]
        if sign == "=":
            holds = value in (None, "") if wanted == "none" else str(value) == wanted
        elif sign == "~":
            holds = wanted in str(value)
        else:
            holds = value is not None and (value < float(wanted) if sign == "<" else value > float(wanted))
        if not holds:
            return False
    return True


def _number(text: str) -> float:
    return float(text.replace(",", ""))
