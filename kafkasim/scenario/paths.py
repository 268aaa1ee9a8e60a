"""Paths into a scenario, as users write them: ``producers.twitter-app.config.linger.ms``.

Parts are separated by dots. A member of a list is named by its ``name`` (consumers by ``group``) or its index; after
``config`` the rest is one key, because Kafka's names hold dots; other parts that hold dots are quoted.
"""

from __future__ import annotations

from kafkasim.scenario.catalogue import catalogue
from kafkasim.scenario.yaml_reader import Node

Path = tuple[str | int, ...]


def identity(node: Node) -> str | None:
    """What a member of a list is called: its ``group`` or ``name``."""
    if isinstance(node.value, dict):
        for key in ("group", "name"):
            child = node.value.get(key)
            if child is not None and isinstance(child.value, (str, int)) and not isinstance(child.value, bool):
                return str(child.value)
    return None


def split(text: str) -> list[str]:
    """The parts of a written path; ``ValueError`` says what is wrong with it."""
    parts: list[str] = []
    rest = text.strip()
    while True:
        if parts and rest and (parts[-1] == "config" or (_is_broker(parts) and is_config(rest.strip("\"'")))):
            parts.append(rest.strip("\"'"))
            return parts
        if rest[:1] in ("'", '"'):
            end = rest.find(rest[0], 1)
            if end < 0:
                raise ValueError("a quote is not closed")
            part, rest = rest[1:end], rest[end + 1 :]
            if rest and not rest.startswith("."):
                raise ValueError("a dot is expected after a quoted part")
            rest, more = rest[1:], bool(rest)
        else:
            part, dot, rest = rest.partition(".")
            more = bool(dot)
        if not part:
            raise ValueError("a part of the path is empty")
        parts.append(part)
        if not more:
            return parts


def is_config(name: str) -> bool:
    """Whether a key of a broker's own mapping is a config of it: all but config, host and rack that look like one."""
    return name.partition(".")[0] not in ("config", "host", "rack") and ("." in name or name in catalogue("broker"))


def _is_broker(parts: list[str]) -> bool:
    """Whether the parts lead to what one broker has of its own (``overrides`` may be left out)."""
    if parts[:2] != ["cluster", "brokers"]:
        return False
    own = parts[3:] if parts[2:3] == ["overrides"] else parts[2:]
    return len(own) == 1 and own[0].isdecimal()


def written(root: Node, path: Path) -> str:
    """The path as a user would write it for ``--set``."""
    parts: list[str] = []
    node: Node | None = root
    after_config = False
    for part in path:
        value = node.value if node is not None else None
        if isinstance(part, int):
            child = value[part] if isinstance(value, list) and part < len(value) else None
            name = identity(child) if child is not None else None
            unique = isinstance(value, list) and [identity(c) for c in value].count(name) == 1
            parts.append(quoted(name) if name and unique else str(part))
            node = child
        else:
            parts.append(part if after_config else quoted(part))
            node = value.get(part) if isinstance(value, dict) else None
        after_config = part == "config"
    return ".".join(parts)


def quoted(part: str) -> str:
    """The part, in quotes if a dot in it would be misread."""
    return f'"{part}"' if "." in part else part


def find(root: Node, path: Path) -> tuple[Node, int]:
    """The node at the path, or the deepest one on the way to it, and how many parts of the path were found."""
    node = root
    for count, part in enumerate(path):
        value = node.value
        if isinstance(value, dict) and str(part) in value:
            node = value[str(part)]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            node = value[part]
        else:
            return node, count
    return node, len(path)
