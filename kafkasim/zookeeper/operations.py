"""What a client asks of ZooKeeper, and what it gets.

The operations of the Java client that Kafka uses, their outcomes, and the one-shot watch
events.  Errors carry the names of ``KeeperException.Code`` without its underscores.

Left out: ``sync``, which nobody here calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

NONODE: Final = "NONODE"
NODEEXISTS: Final = "NODEEXISTS"
BADVERSION: Final = "BADVERSION"
NOTEMPTY: Final = "NOTEMPTY"
NOCHILDRENFOREPHEMERALS: Final = "NOCHILDRENFOREPHEMERALS"
CONNECTIONLOSS: Final = "CONNECTIONLOSS"
SESSIONEXPIRED: Final = "SESSIONEXPIRED"
SESSIONMOVED: Final = "SESSIONMOVED"
RUNTIMEINCONSISTENCY: Final = "RUNTIMEINCONSISTENCY"

CREATED: Final = "created"
DELETED: Final = "deleted"
CHANGED: Final = "changed"
CHILDREN: Final = "children"

HEADER_BYTES: Final = 100
"""Framing, header and fixed fields of a request, a reply or a transaction."""


def parent_of(path: str) -> str:
    """The parent's path: ``/`` for a top-level znode."""
    cut = path.rfind("/")
    return path[:cut] if cut > 0 else "/"


def data_bytes(data: Any) -> int:
    """Size of a znode's data on the wire; structured values count as their text."""
    if data is None:
        return 0
    return len(data) if isinstance(data, (str, bytes)) else len(str(data))


class Operation:
    """Base of all operations; ``writes`` tells which ones need the leader."""

    path: str
    writes: bool = False

    def size_bytes(self) -> int:
        """Size of the request on the wire."""
        return HEADER_BYTES + len(self.path)


@dataclass(slots=True)
class Create(Operation):
    """Create a znode; ``sequential`` appends ten digits, ``ephemeral`` ties it to the session."""

    path: str
    data: Any
    ephemeral: bool = False
    sequential: bool = False
    writes = True

    def size_bytes(self) -> int:
        """Size of the request on the wire."""
        return HEADER_BYTES + len(self.path) + data_bytes(self.data)


@dataclass(slots=True)
class SetData(Operation):
    """Set a znode's data if its version is ``version`` (-1: any)."""

    path: str
    data: Any
    version: int = -1
    writes = True

    def size_bytes(self) -> int:
        """Size of the request on the wire."""
        return HEADER_BYTES + len(self.path) + data_bytes(self.data)


@dataclass(slots=True)
class Delete(Operation):
    """Delete a znode without children if its version is ``version`` (-1: any)."""

    path: str
    version: int = -1
    writes = True


@dataclass(slots=True)
class Check(Operation):
    """In a multi: fail unless the znode's version is ``version``."""

    path: str
    version: int
    writes = True


@dataclass(slots=True)
class Multi(Operation):
    """Several writes as one transaction: all or none."""

    operations: Sequence[Operation]
    path: str = ""
    writes = True

    def size_bytes(self) -> int:
        """Size of the request on the wire."""
        return HEADER_BYTES + sum(operation.size_bytes() for operation in self.operations)


@dataclass(slots=True)
class GetData(Operation):
    """Read a znode's data and version; ``watch`` fires on its change or deletion."""

    path: str
    watch: bool = False


@dataclass(slots=True)
class Exists(Operation):
    """Whether a znode exists; ``watch`` fires on creation, change or deletion."""

    path: str
    watch: bool = False


@dataclass(slots=True)
class GetChildren(Operation):
    """Names of a znode's children; ``watch`` fires when that list changes or the znode is deleted."""

    path: str
    watch: bool = False


@dataclass(slots=True)
class Outcome:
    """The result of one operation.

    ``error`` is None on success.  ``version`` and ``czxid`` are the znode's, ``owner`` the
    session of an ephemeral (0: none), ``path`` the real path of a create, ``outcomes`` those
    of a multi's operations.
    """

    error: str | None = None
    data: Any = None
    version: int = -1
    czxid: int = 0
    owner: int = 0
    children: list[str] = field(default_factory=list)
    path: str = ""
    outcomes: list[Outcome] = field(default_factory=list)


@dataclass(slots=True)
class WatchEvent:
    """A one-shot watch has fired.

    ``kind`` is ``created``, ``deleted``, ``changed`` or ``children``; ``cause`` the row of the
    timeline that tells of it: ``watch_fired`` for the paths that have such rows, else that of
    the znode's change (0: none).
    """

    path: str
    kind: str
    cause: int
