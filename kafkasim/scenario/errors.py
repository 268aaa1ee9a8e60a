"""What is wrong with a scenario: a list of mistakes, each with its place.

A mistake prints as one line, ``file:line:column: path: message (got …; allowed …; did you mean …?)``. A value that
came from the command line has no line; its place is ``--set PATH=VALUE``. Everything wrong with a scenario is
collected and raised once, as one :class:`ScenarioError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

MISSING = object()
"""Stands for "there is no value to show"."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a source: file name (or ``--set …``), line and column from 1; line 0 = the source has no lines."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, where it stands and what would be right."""

    file: str
    line: int
    column: int
    path: str
    message: str
    value: object = MISSING
    allowed: str | None = None
    nearest: str | None = None

    def __str__(self) -> str:
        notes = []
        if self.value is not MISSING:
            notes.append(f"got {show(self.value)}")
        if self.allowed:
            notes.append(f"allowed {self.allowed}")
        if self.nearest:
            notes.append(f"did you mean {self.nearest}?")
        place = str(Mark(self.file, self.line, self.column))
        path = f"{self.path}: " if self.path else ""
        return f"{place}: {path}{self.message}" + (f" ({'; '.join(notes)})" if notes else "")


class ScenarioError(ValueError):
    """A scenario that cannot be run. ``mistakes`` holds all that is wrong with it, in the order of the file."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes: list[Mistake] = list(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))

    def __reduce__(self) -> tuple[type[ScenarioError], tuple[list[Mistake]]]:
        return type(self), (self.mistakes,)


def show(value: object, limit: int = 60) -> str:
    """The value as a user would write it, cut to one short line; a place as ``file:line:column``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    text = str(value)
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return f"'{text}'" if isinstance(value, str) else text


def nearest(word: object, names: Iterable[str]) -> str | None:
    """The valid name that looks most like ``word``; None if none is close."""
    known = list(names)
    text = str(word)[:200]
    found = difflib.get_close_matches(text, known, n=1, cutoff=0.6)
    if found:
        return found[0]
    lowered = {name.lower(): name for name in known}
    found = difflib.get_close_matches(text.lower(), list(lowered), n=1, cutoff=0.6)
    return lowered[found[0]] if found else None


def listed(names: Iterable[object], limit: int = 12) -> str:
    """Names as an enumeration; beyond ``limit`` the rest is counted."""
    words = [str(name) for name in names]
    if len(words) > limit:
        return ", ".join(words[:limit]) + f" and {len(words) - limit} more"
    return ", ".join(words) if words else "none"
