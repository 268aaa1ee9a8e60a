"""What every event of a scenario does to a cluster: it begins, and at some moment it is undone."""

from __future__ import annotations

from typing import Protocol


class Fault(Protocol):
    """A running fault or order: ``hit`` is what it concerns, ``actor`` in whose rows the timeline tells of it."""

    hit: str
    actor: str

    def undone(self) -> bool:
        """Whether its target is up again, its effect is gone, or what was asked for is acknowledged."""


class NoEffect(Exception):
    """The event finds nothing to act on (there is no controller, the broker is down already …)."""
