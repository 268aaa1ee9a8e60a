"""Transactions: what the leader makes of a write, and every server applies.

A transaction is made once, by the leader's PrepRequestProcessor, against the state that
all earlier proposals will have left; its outcome is known then.  A write that fails its
check is an error transaction: no changes, the same way through the quorum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kafkasim.zookeeper.operations import HEADER_BYTES, Outcome, data_bytes

if TYPE_CHECKING:
    from kafkasim.zookeeper.packets import Request

CREATE: Final = 1
SET: Final = 2
DELETE: Final = 3
OPEN_SESSION: Final = 4
CLOSE_SESSION: Final = 5

COUNTER_END: Final = 0xFFFFFFFF
"""The last number that a zxid's low half can count to in one epoch."""


class Change:
    """One change of the replicated state.

    ``owner`` is the session of an ephemeral that is created or deleted (0: persistent), or
    the session opened or closed; ``version`` the new data version of a SET; ``timeout_ms``
    belongs to OPEN_SESSION.  ``row`` is the timeline's row of this change, once written.
    """

    __slots__ = ("data", "kind", "owner", "path", "row", "timeout_ms", "version")

    def __init__(
        self, kind: int, path: str = "", data: Any = None, version: int = 0, owner: int = 0, timeout_ms: int = 0
    ) -> None:
        self.kind = kind
        self.path = path
        self.data = data
        self.version = version
        self.owner = owner
        self.timeout_ms = timeout_ms
        self.row = 0


class Transaction:
    """A write with its place in the order of all writes.

    ``request`` is the client's request that it answers (None: the tracker's closeSession);
    ``cause`` a timeline row; ``announced`` is set when its rows have been written.
    """

    __slots__ = ("announced", "cause", "changes", "outcome", "request", "session_id", "size_bytes", "zxid")

    def __init__(
        self,
        zxid: int,
        session_id: int,
        changes: list[Change],
        outcome: Outcome,
        request: Request | None,
        cause: int,
    ) -> None:
        self.zxid = zxid
        self.session_id = session_id
        self.changes = changes
        self.outcome = outcome
        self.request = request
        self.cause = cause
        self.announced = False
        size = HEADER_BYTES
        for change in changes:
            size += len(change.path) + data_bytes(change.data)
        self.size_bytes = size


def epoch_of(zxid: int) -> int:
    """The epoch in a zxid's high half."""
    return zxid >> 32


def first_zxid(epoch: int) -> int:
    """The zxid that a new epoch counts from."""
    return epoch << 32
