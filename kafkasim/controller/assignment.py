"""A partition's replicas as a topic's znode has them, with what a reassignment adds and removes.

Stands for ``ReplicaAssignment``.  The znode ``/brokers/topics/T`` maps each partition to its replicas: a plain tuple,
or an :class:`Assignment` while a reassignment runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Assignment(NamedTuple):
    """All replicas (those that are added come first), and which of them are being added and removed."""

    replicas: tuple[int, ...]
    adding: tuple[int, ...] = ()
    removing: tuple[int, ...] = ()

    @property
    def origin(self) -> tuple[int, ...]:
        """The replicas before the reassignment."""
        return tuple(broker for broker in self.replicas if broker not in self.adding)

    @property
    def target(self) -> tuple[int, ...]:
        """The replicas after it."""
        return tuple(broker for broker in self.replicas if broker not in self.removing)

    @property
    def unfinished(self) -> bool:
        """Whether a reassignment is running."""
        return bool(self.adding or self.removing)

    def reassigned(self, target: Sequence[int]) -> Assignment:
        """The replicas while a reassignment to ``target`` runs.

        >>> Assignment((1, 2, 3)).reassigned((4, 1, 2))
        Assignment(replicas=(4, 1, 2, 3), adding=(4,), removing=(3,))
        """
        origin = self.origin
        replicas = tuple(dict.fromkeys([*target, *origin]))
        return Assignment(
            replicas,
            tuple(broker for broker in replicas if broker not in origin),
            tuple(broker for broker in replicas if broker not in target),
        )

    def data(self) -> Any:
        """What the topic's znode holds."""
        return self if self.unfinished else self.replicas


def decode(data: Any) -> Assignment:
    """A partition's entry of a topic's znode."""
    return data if isinstance(data, Assignment) else Assignment(tuple(data))
