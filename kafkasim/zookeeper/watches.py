"""One-shot watches of one server, kept in its memory only (WatchManager).

Data watches are set by getData and exists, child watches by getChildren.  A watch fires
once, to the session that is attached here, when this server applies the change.
"""

from __future__ import annotations

from kafkasim.zookeeper.operations import CHANGED, CHILDREN, CREATED, DELETED, parent_of
from kafkasim.zookeeper.transactions import CREATE, DELETE, SET, Change


class Watches:
    """Watching sessions by path, in the order in which they began to watch."""

    def __init__(self) -> None:
        self._data: dict[str, dict[int, None]] = {}
        self._children: dict[str, dict[int, None]] = {}

    def add_data(self, path: str, session_id: int) -> None:
        """``session_id`` wants to hear of creation, change or deletion of ``path``."""
        self._data.setdefault(path, {})[session_id] = None

    def add_children(self, path: str, session_id: int) -> None:
        """``session_id`` wants to hear when the children of ``path`` change."""
        self._children.setdefault(path, {})[session_id] = None

    def forget(self, session_id: int) -> None:
        """The session has left this server."""
        for table in (self._data, self._children):
            for path in [path for path, watchers in table.items() if session_id in watchers]:
                watchers = table[path]
                del watchers[session_id]
                if not watchers:
                    del table[path]

    def clear(self) -> None:
        """All connections are closed."""
        self._data.clear()
        self._children.clear()

    def fired_by(self, change: Change) -> list[tuple[int, str, str]]:
        """Who hears of ``change``, as (session, path, kind) in order; these watches are gone."""
        fired: list[tuple[int, str, str]] = []
        if change.kind == SET:
            self._take(self._data, change.path, CHANGED, fired)
        elif change.kind == CREATE:
            self._take(self._data, change.path, CREATED, fired)
            self._take(self._children, parent_of(change.path), CHILDREN, fired)
        elif change.kind == DELETE:
            self._take(self._data, change.path, DELETED, fired)
            told = {session: None for session, _, _ in fired}
            watchers = self._children.pop(change.path, {})
            fired.extend((session, change.path, DELETED) for session in watchers if session not in told)
            self._take(self._children, parent_of(change.path), CHILDREN, fired)
        return fired

    @staticmethod
    def _take(table: dict[str, dict[int, None]], path: str, kind: str, fired: list[tuple[int, str, str]]) -> None:
        watchers = table.pop(path, None)
        if watchers is not None:
            fired.extend((session, path, kind) for session in watchers)
