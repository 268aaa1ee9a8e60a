"""The replicated state of one server: znodes and sessions (DataTree, ZKDatabase).

Transactions are applied in zxid order, without failing: the leader has checked them.
The last ``commitLogCount`` of them are kept for learners that fall behind, and those that
may have to be taken back (not on this server's disk yet, or not committed) keep what
undoes them, which is what truncating the log and reading it again comes to.

Left out: ACLs, container and TTL znodes.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from kafkasim.zookeeper.operations import data_bytes, parent_of
from kafkasim.zookeeper.transactions import CLOSE_SESSION, CREATE, DELETE, OPEN_SESSION, SET, Change, Transaction

_UNSET: Final = 100


class Node:
    """A znode: ``created`` counts the children ever created under it (sequential names)."""

    __slots__ = ("children", "created", "czxid", "data", "mzxid", "owner", "pzxid", "version")

    def __init__(self, data: Any, czxid: int, owner: int) -> None:
        self.data = data
        self.version = 0
        self.czxid = czxid
        self.mzxid = czxid
        self.pzxid = czxid
        self.owner = owner
        self.created = 0
        self.children: dict[str, None] | None = None

    def copy(self) -> Node:
        """The same znode for another server's tree."""
        node = Node(self.data, self.czxid, self.owner)
        node.version = self.version
        node.mzxid = self.mzxid
        node.pzxid = self.pzxid
        node.created = self.created
        node.children = None if self.children is None else dict(self.children)
        return node


class _Undo:
    """How to take back one transaction: tuples that :meth:`DataTree._revert` knows."""

    __slots__ = ("before", "steps", "zxid")

    def __init__(self, zxid: int, before: int) -> None:
        self.zxid = zxid
        self.before = before
        self.steps: list[tuple[int, Change, Node | None, Any, int, int]] = []


class DataTree:
    """Znodes by path, ephemerals by session, session timeouts by id."""

    def __init__(self, commit_log_count: int) -> None:
        self.nodes: dict[str, Node] = {"/": Node(None, 0, 0)}
        self.ephemerals: dict[int, dict[str, None]] = {}
        self.sessions: dict[int, int] = {}
        self.last_zxid: int = 0
        self.committed_log: deque[Transaction] = deque()
        self.log_base: int = 0
        """The zxid that the first transaction of ``committed_log`` follows."""
        self._commit_log_count = commit_log_count
        self._undo: deque[_Undo] = deque()

    def apply(self, transaction: Transaction, keep_undo: bool) -> None:
        """Apply the next transaction; ``keep_undo`` if it may have to be taken back."""
        undo: _Undo | None = None
        if keep_undo:
            undo = _Undo(transaction.zxid, self.last_zxid)
            self._undo.append(undo)
        for change in transaction.changes:
            self._change(change, transaction.zxid, undo)
        self.last_zxid = transaction.zxid
        self.committed_log.append(transaction)
        if len(self.committed_log) > self._commit_log_count:
            self.log_base = self.committed_log.popleft().zxid

    def forget_undo(self, zxid: int) -> None:
        """Everything up to ``zxid`` is committed and on this server's disk."""
        undo = self._undo
        while undo and undo[0].zxid <= zxid:
            undo.popleft()

    def roll_back(self, zxid: int) -> None:
        """Take back every transaction beyond ``zxid``."""
        while self._undo and self._undo[-1].zxid > zxid:
            undo = self._undo.pop()
            self._revert(undo)
            if self.committed_log:
                self.committed_log.pop()
            if not self.committed_log:
                self.log_base = undo.before
            self.last_zxid = undo.before
        if self.last_zxid > zxid:
            raise RuntimeError(f"cannot take back from {self.last_zxid:#x} to {zxid:#x}")

    def become(self, other: DataTree) -> None:
        """Load a snapshot of ``other``."""
        self.nodes = {path: node.copy() for path, node in other.nodes.items()}
        self.ephemerals = {session: dict(paths) for session, paths in other.ephemerals.items()}
        self.sessions = dict(other.sessions)
        self.last_zxid = other.last_zxid
        self.committed_log = deque(other.committed_log)
        self.log_base = other.log_base
        # what the other one may have to take back, this one may have to
        self._undo = deque(other._undo)

    def size_bytes(self, node_bytes: int) -> int:
        """Size of a snapshot in which a znode costs ``node_bytes`` besides path and data."""
        return sum(node_bytes + len(path) + data_bytes(node.data) for path, node in self.nodes.items())

    def _change(self, change: Change, zxid: int, undo: _Undo | None) -> None:
        kind = change.kind
        if kind == SET:
            node = self.nodes[change.path]
            if undo is not None:
                undo.steps.append((_UNSET, change, None, node.data, node.version, node.mzxid))
            node.data = change.data
            node.version = change.version
            node.mzxid = zxid
        elif kind == CREATE:
            self._create(change, zxid, undo)
        elif kind == DELETE:
            self._delete(change, zxid, undo)
        elif kind == OPEN_SESSION:
            self.sessions[change.owner] = change.timeout_ms
            if undo is not None:
                undo.steps.append((CLOSE_SESSION, change, None, None, 0, 0))
        else:
            timeout_ms = self.sessions.pop(change.owner, 0)
            if undo is not None:
                undo.steps.append((OPEN_SESSION, change, None, None, timeout_ms, 0))

    def _create(self, change: Change, zxid: int, undo: _Undo | None) -> None:
        path = change.path
        above = parent_of(path)
        parent = self.nodes[above]
        if undo is not None:
            undo.steps.append((DELETE, change, None, None, parent.created, parent.pzxid))
        self.nodes[path] = Node(change.data, zxid, change.owner)
        if parent.children is None:
            parent.children = {}
        parent.children[path[path.rfind("/") + 1 :]] = None
        parent.created += 1
        parent.pzxid = zxid
        if change.owner:
            self.ephemerals.setdefault(change.owner, {})[path] = None

    def _delete(self, change: Change, zxid: int, undo: _Undo | None) -> None:
        path = change.path
        node = self.nodes.pop(path)
        parent = self.nodes[parent_of(path)]
        if undo is not None:
            undo.steps.append((CREATE, change, node, None, parent.created, parent.pzxid))
        if parent.children is not None:
            del parent.children[path[path.rfind("/") + 1 :]]
        parent.pzxid = zxid
        self._forget_ephemeral(node.owner, path)

    def _forget_ephemeral(self, owner: int, path: str) -> None:
        paths = self.ephemerals.get(owner)
        if paths is not None:
            del paths[path]
            if not paths:
                del self.ephemerals[owner]

    def _revert(self, undo: _Undo) -> None:
        for step, change, node, data, number, zxid in reversed(undo.steps):
            path = change.path
            if step == _UNSET:
                changed = self.nodes[path]
                changed.data = data
                changed.version = number
                changed.mzxid = zxid
                continue
            if step == CLOSE_SESSION:
                del self.sessions[change.owner]
                continue
            if step == OPEN_SESSION:
                self.sessions[change.owner] = number
                continue
            parent = self.nodes[parent_of(path)]
            if parent.children is None:
                parent.children = {}
            name = path[path.rfind("/") + 1 :]
            if step == DELETE:
                del self.nodes[path]
                del parent.children[name]
                self._forget_ephemeral(change.owner, path)
            elif node is not None:
                self.nodes[path] = node.copy()
                parent.children[name] = None
                if node.owner:
                    self.ephemerals.setdefault(node.owner, {})[path] = None
            parent.created = number
            parent.pzxid = zxid
