"""Releases of Kafka that a scenario may name.

``X.Y`` means the last patch release of that line; ``X.Y.Z`` of an accepted line is taken as it stands. Before 1.0 a
line has three numbers (``0.10.2``; ``0.11`` is ``0.11.0``) and a patch a fourth, which makes no difference here. A line
is accepted once every difference of it that touches a built mechanism is modelled; all others are refused by name.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LAST_PATCH: dict[tuple[int, int], int] = {
    (0, 10): 2, (0, 11): 0, (1, 0): 2, (1, 1): 1, (2, 0): 1, (2, 1): 1, (2, 2): 2, (2, 3): 1, (2, 4): 1, (2, 5): 1,
    (2, 6): 3, (2, 7): 2, (2, 8): 2, (3, 0): 2, (3, 1): 2, (3, 2): 3, (3, 3): 2, (3, 4): 1, (3, 5): 2, (3, 6): 2,
    (3, 7): 2, (3, 8): 1, (3, 9): 1,
}  # fmt: skip
"""Accepted lines and the number of their last patch release in ZooKeeper mode (before 1.0: the line's third number)."""
LAST_FOURTH: dict[tuple[int, int, int], int] = {(0, 10, 2): 2, (0, 11, 0): 3}
"""Accepted lines before 1.0 and the number of their last patch release."""

_PATTERN = re.compile(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?")
_OLD_PATTERN = re.compile(r"0\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})")


class Version(NamedTuple):
    """A release; a tuple, so it compares by its numbers (``Version(3, 7, 2) >= (3, 7)``)."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def line(self) -> str:
        """``X.Y``, before 1.0 ``0.Y.Z``."""
        return f"{self.major}.{self.minor}" if self.major else str(self)

    @classmethod
    def parse(cls, text: str) -> Version:
        """Any ``X.Y`` or ``X.Y.Z``, accepted or not; ``ValueError`` otherwise."""
        found = _PATTERN.fullmatch(text.strip())
        if not found:
            raise ValueError(f"'{text}' is not a version")
        return cls(int(found[1]), int(found[2]), int(found[3] or 0))


LATEST = Version(3, 9, 1)
"""What a scenario without ``version:`` gets."""


def lines() -> list[str]:
    """The accepted lines as they are written: ``0.10.2``, ``2.7``."""
    return [Version(major, minor, patch).line for (major, minor), patch in LAST_PATCH.items()]


def accepted_text() -> str:
    """The accepted lines, as an enumeration."""
    return ", ".join(lines())


def accept(text: str) -> Version:
    """The release that ``text`` names, if it is accepted; ``ValueError`` says which ones are."""
    text = text.strip()
    old = _OLD_PATTERN.fullmatch(text)
    if old:
        return _accept_old(int(old[1]), int(old[2]), int(old[3]))
    try:
        version = Version.parse(text)
    except ValueError:
        raise ValueError("a Kafka release is written X.Y or X.Y.Z") from None
    last = LAST_PATCH.get((version.major, version.minor))
    short = text.count(".") == 1
    if last is None or (version.major == 0 and (version.minor < 11 if short else version.patch != last)):
        raise ValueError(f"Kafka {text if version.major == 0 else version.line} is not modelled yet")
    if short:
        return Version(version.major, version.minor, last)
    if version.patch > last:
        raise ValueError(f"Kafka {version.line} ended with {version.line}.{last}")
    return version


def _accept_old(minor: int, patch: int, fourth: int) -> Version:
    """A patch release from before 1.0: the line, whichever it is."""
    version = Version(0, minor, patch)
    last = LAST_FOURTH.get((0, minor, patch))
    if last is None:
        raise ValueError(f"Kafka {version} is not modelled yet")
    if fourth > last:
        raise ValueError(f"Kafka {version} ended with {version}.{last}")
    return version
