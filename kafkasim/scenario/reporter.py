"""Collects what is wrong with a scenario, and finds the place of each mistake in the sources."""

from __future__ import annotations

from kafkasim.scenario import paths
from kafkasim.scenario.errors import MISSING, Mark, Mistake, ScenarioError
from kafkasim.scenario.paths import Path
from kafkasim.scenario.yaml_reader import Node

MOST_MISTAKES = 200


class Reporter:
    """Mistakes and warnings about one composed scenario."""

    def __init__(self, root: Node, mistakes: list[Mistake]) -> None:
        self.root = root
        self.mistakes = mistakes
        """Begins with what reading found."""
        self._places = {(m.file, m.line, m.column) for m in mistakes if m.line}
        self.warnings: list[str] = []
        self._seen: set[Path] = set()
        self._warned: set[object] = set()
        self._kept: dict[str, list[int]] = {}

    def wrong(
        self,
        path: Path,
        message: str,
        value: object = None,
        allowed: str | None = None,
        nearest: str | None = None,
        at_key: bool = False,
    ) -> None:
        """Notes a mistake at a path, once for each path. The value shown is the one that stands there."""
        if path in self._seen or len(self.mistakes) >= MOST_MISTAKES:
            return
        self._seen.add(path)
        node, found = paths.find(self.root, path)
        whole = found == len(path)
        mark = self._mark(node, at_key and whole)
        if (mark.file, mark.line, mark.column) in self._places:
            return
        shown: object = value
        if value is None:
            single = whole and not at_key and not isinstance(node.value, (dict, list))
            shown = node.value if single else MISSING
        text = paths.written(self.root, path)
        self.mistakes.append(
            Mistake(mark.file, mark.line, mark.column, text, message, shown, allowed or None, nearest or None)
        )

    def broken(self, path: Path) -> bool:
        """Whether a mistake is already noted at the path or above it."""
        return any(path[:count] in self._seen for count in range(len(path) + 1))

    def broken_in(self, place: Path) -> bool:
        """Whether a mistake is noted at the path, above it, or at a key of the mapping that stands there."""
        deep = len(place) + 1
        return self.broken(place) or any(len(path) == deep and path[:-1] == place for path in self._seen)

    def warn(self, text: str, once: object = None) -> None:
        """Notes a warning; with ``once`` only the first of that key."""
        if once is not None:
            if once in self._warned:
                return
            self._warned.add(once)
        self.warnings.append(text)

    def kept(self, name: str) -> list[int]:
        """Of a list of the file, the original index of each member that is still looked at."""
        if name not in self._kept:
            node, found = paths.find(self.root, (name,))
            count = len(node.value) if found and isinstance(node.value, list) else 0
            self._kept[name] = list(range(count))
        return self._kept[name]

    def finish(self) -> None:
        """Raises all mistakes in the order of the sources."""
        if self.mistakes:
            files = list(dict.fromkeys(m.file for m in self.mistakes if m.line))
            order = {file: number for number, file in enumerate(files)}
            self.mistakes.sort(key=lambda m: (order.get(m.file, len(order)), m.line, m.column))
            raise ScenarioError(self.mistakes)

    @staticmethod
    def _mark(node: Node, at_key: bool) -> Mark:
        return node.key_mark if at_key and node.key_mark is not None else node.mark
