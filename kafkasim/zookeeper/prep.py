"""The leader's check of a write: request to transaction (PrepRequestProcessor).

Versions and existence are checked against the tree as all outstanding proposals will have
left it: change records lie over the leader's tree until their transaction is applied.  A
failed check makes an error transaction that costs what a successful one costs.

Left out: ACLs, quotas, the size limit.
"""

from __future__ import annotations

from collections import deque

from kafkasim.zookeeper.operations import (
    BADVERSION,
    NOCHILDRENFOREPHEMERALS,
    NODEEXISTS,
    NONODE,
    NOTEMPTY,
    RUNTIMEINCONSISTENCY,
    Check,
    Create,
    Delete,
    Multi,
    Operation,
    Outcome,
    SetData,
    parent_of,
)
from kafkasim.zookeeper.transactions import CLOSE_SESSION, CREATE, DELETE, OPEN_SESSION, SET, Change
from kafkasim.zookeeper.tree import DataTree


class _Record:
    """A znode as the outstanding proposals will have left it; ``zxid`` of the last of them."""

    __slots__ = ("children", "created", "czxid", "exists", "owner", "version", "zxid")

    def __init__(self, exists: bool, version: int, owner: int, children: int, created: int, czxid: int) -> None:
        self.exists = exists
        self.version = version
        self.owner = owner
        self.children = children
        self.created = created
        self.czxid = czxid
        self.zxid = 0

    def copy(self) -> _Record:
        return _Record(self.exists, self.version, self.owner, self.children, self.created, self.czxid)


class Preparation:
    """Outstanding changes over ``tree``; one instance a term."""

    def __init__(self, tree: DataTree) -> None:
        self._tree = tree
        self._records: dict[str, _Record] = {}
        self._order: deque[tuple[int, str]] = deque()
        self._scratch: dict[str, _Record] = {}
        self._changes: list[Change] = []

    def write(self, operation: Operation, session_id: int, zxid: int) -> tuple[Outcome, list[Change]]:
        """The outcome of a write, and its changes (none if it fails)."""
        self._begin()
        if isinstance(operation, Multi):
            outcome = self._multi(operation, session_id, zxid)
        else:
            outcome = self._single(operation, session_id, zxid)
        if outcome.error is not None:
            return outcome, []
        return outcome, self._keep(zxid)

    def open_session(self, session_id: int, timeout_ms: int) -> list[Change]:
        """The change that opens a session."""
        return [Change(OPEN_SESSION, owner=session_id, timeout_ms=timeout_ms)]

    def close_session(self, session_id: int, zxid: int) -> list[Change]:
        """The changes that close a session: all its ephemerals go with it."""
        self._begin()
        paths = dict(self._tree.ephemerals.get(session_id, {}))
        for path, record in self._records.items():
            if record.exists and record.owner == session_id:
                paths[path] = None
            elif path in paths:
                del paths[path]
        for path in paths:
            self._remove(path, self._change_of(path))
        changes = self._keep(zxid)
        changes.append(Change(CLOSE_SESSION, owner=session_id))
        return changes

    def applied(self, zxid: int) -> None:
        """The tree has caught up with ``zxid``: records up to it are not needed any more."""
        order = self._order
        records = self._records
        while order and order[0][0] <= zxid:
            made_by, path = order.popleft()
            record = records.get(path)
            if record is not None and record.zxid == made_by:
                del records[path]

    def _begin(self) -> None:
        self._scratch = {}
        self._changes = []

    def _keep(self, zxid: int) -> list[Change]:
        for path, record in self._scratch.items():
            record.zxid = zxid
            self._records[path] = record
            self._order.append((zxid, path))
        return self._changes

    def _look(self, path: str) -> _Record:
        record = self._scratch.get(path) or self._records.get(path)
        if record is not None:
            return record
        node = self._tree.nodes.get(path)
        if node is None:
            return _Record(False, -1, 0, 0, 0, 0)
        children = 0 if node.children is None else len(node.children)
        return _Record(True, node.version, node.owner, children, node.created, node.czxid)

    def _change_of(self, path: str) -> _Record:
        record = self._scratch.get(path)
        if record is None:
            record = self._scratch[path] = self._look(path).copy()
        return record

    def _multi(self, multi: Multi, session_id: int, zxid: int) -> Outcome:
        outcomes: list[Outcome] = []
        failed: str | None = None
        for operation in multi.operations:
            if failed is not None:
                outcomes.append(Outcome(error=RUNTIMEINCONSISTENCY))
                continue
            outcome = self._single(operation, session_id, zxid)
            failed = outcome.error
            outcomes.append(outcome)
        return Outcome(error=failed, outcomes=outcomes)

    def _single(self, operation: Operation, session_id: int, zxid: int) -> Outcome:
        if isinstance(operation, SetData):
            return self._set(operation)
        if isinstance(operation, Create):
            return self._create(operation, session_id, zxid)
        if isinstance(operation, Delete):
            return self._delete(operation)
        if isinstance(operation, Check):
            record = self._look(operation.path)
            return Outcome(error=_refusal(record, operation.version), version=record.version)
        raise TypeError(f"{operation!r} is no write")

    def _set(self, operation: SetData) -> Outcome:
        error = _refusal(self._look(operation.path), operation.version)
        if error is not None:
            return Outcome(error=error)
        record = self._change_of(operation.path)
        record.version += 1
        self._changes.append(Change(SET, operation.path, operation.data, record.version))
        return Outcome(version=record.version, czxid=record.czxid, owner=record.owner, path=operation.path)

    def _create(self, operation: Create, session_id: int, zxid: int) -> Outcome:
        above = parent_of(operation.path)
        parent = self._look(above)
        path = operation.path
        if operation.sequential:
            path += f"{parent.created:010d}"
        if self._look(path).exists:
            return Outcome(error=NODEEXISTS, path=path)
        if not parent.exists:
            return Outcome(error=NONODE, path=path)
        if parent.owner:
            return Outcome(error=NOCHILDRENFOREPHEMERALS, path=path)
        parent = self._change_of(above)
        parent.children += 1
        parent.created += 1
        owner = session_id if operation.ephemeral else 0
        self._scratch[path] = _Record(True, 0, owner, 0, 0, zxid)
        self._changes.append(Change(CREATE, path, operation.data, owner=owner))
        return Outcome(version=0, czxid=zxid, owner=owner, path=path)

    def _delete(self, operation: Delete) -> Outcome:
        record = self._look(operation.path)
        error = _refusal(record, operation.version)
        if error is None and record.children:
            error = NOTEMPTY
        if error is None:
            self._remove(operation.path, self._change_of(operation.path))
        return Outcome(error=error, path=operation.path)

    def _remove(self, path: str, record: _Record) -> None:
        self._changes.append(Change(DELETE, path, owner=record.owner))
        record.exists = False
        record.version = -1
        record.owner = 0
        record.created = 0
        self._change_of(parent_of(path)).children -= 1


def _refusal(record: _Record, version: int) -> str | None:
    if not record.exists:
        return NONODE
    if version not in (-1, record.version):
        return BADVERSION
    return None
