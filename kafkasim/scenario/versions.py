"""Releases of Kafka that a scenario may name.

``X.Y`` means the last patch release of that line; ``X.Y.Z`` of an accepted line is taken as it stands. A line is
accepted once every difference of it that touches a built mechanism is modelled; all others are refused by name.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LAST_PATCH: dict[tuple[int, int], int] = {(2, 7): 2, (2, 8): 2, (3, 7): 2, (3, 8): 1, (3, 9): 1}
"""Accepted lines and the number of their last patch release in ZooKeeper mode."""

_PATTERN = re.compile(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?")


class Version(NamedTuple):
    """A release; a tuple, so it compares by its numbers (``Version(3, 7, 2) >= (3, 7)``)."""

    major: int
    minor: int
    patch: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def line(self) -> str:
        """``X.Y``."""
        return f"{self.major}.{self.minor}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """Any ``X.Y`` or ``X.Y.Z``, accepted or not; ``ValueError`` otherwise."""
        found = _PATTERN.fullmatch(text.strip())
        if not found:
            raise ValueError(f"'{text}' is not a version")
        return cls(int(found[1]), int(found[2]), int(found[3] or 0))


LATEST = Version(3, 9, 1)
"""What a scenario without ``version:`` gets."""


def accepted_text() -> str:
    """The accepted lines, as an enumeration."""
    return ", ".join(f"{major}.{minor}" for major, minor in LAST_PATCH)


def accept(text: str) -> Version:
    """The release that ``text`` names, if it is accepted; ``ValueError`` says which ones are."""
    try:
        version = Version.parse(text)
    except ValueError:
        raise ValueError("a Kafka release is written X.Y or X.Y.Z") from None
    last = LAST_PATCH.get((version.major, version.minor))
    if last is None:
        raise ValueError(f"Kafka {version.line} is not modelled yet")
    if text.strip().count(".") == 1:
        return Version(version.major, version.minor, last)
    if version.patch > last:
        raise ValueError(f"Kafka {version.line} ended with {version.line}.{last}")
    return version
