"""Reads YAML into nodes that know their place, and refuses what YAML makes ambiguous.

Built on the event stream of PyYAML's ``SafeLoader`` (so no alias is ever expanded and no tag ever constructs anything),
with scalars as YAML 1.2 reads them. Refused, each with what to write instead: duplicate keys, tags, aliases, more
than one document, files above one mebibyte, nesting deeper than twenty, and the scalars that YAML 1.1 and 1.2 read
differently: ``1e3`` (text or a number), ``no`` (false or text), ``10:30`` (630 or text), ``012`` (10 or 12).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from kafkasim.scenario.errors import MISSING, Mark, Mistake, ScenarioError

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]

LARGEST_FILE = 1 << 20
DEEPEST = 20
MOST_NODES = 200_000

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9_]*)?\.[0-9]*(?:[eE][-+][0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+(?:\.[0-9]*)?|0o[0-7]+")
_EXPONENT = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9]*)?[eE][-+]?[0-9]+")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)")
_TRUE_WORDS = frozenset({"yes", "Yes", "YES", "on", "On", "ON"})
_FALSE_WORDS = frozenset({"no", "No", "NO", "off", "Off", "OFF"})
_CONSTANTS: dict[str, Scalar] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


@dataclass(slots=True)
class Node:
    """A value and where it stands; ``key_mark`` is the place of the key it hangs on."""

    value: Scalar | list[Node] | dict[str, Node]
    mark: Mark
    key_mark: Mark | None = None


@dataclass(slots=True)
class _Reading:
    file: str
    events: Iterator[yaml.Event]
    mistakes: list[Mistake] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    nodes: int = 0
    aliases: set[str] = field(default_factory=set)

    def mark(self, mark: object) -> Mark:
        line, column = getattr(mark, "line", 0), getattr(mark, "column", 0)
        return Mark(self.file, line + 1, column + 1)

    def wrong(self, mark: object, message: str, value: object = MISSING) -> None:
        place = self.mark(mark)
        path = ".".join(f'"{part}"' if "." in part and "config" not in self.path else part for part in self.path)
        self.mistakes.append(Mistake(place.file, place.line, place.column, path, message, value))

    def next(self) -> yaml.Event:
        return next(self.events)


class _Fatal(Exception):
    """Reading cannot go on; the mistake is already noted."""


def read(text: str, file: str, mistakes: list[Mistake] | None = None) -> Node:
    """The root node of a YAML text.

    What is wrong with it goes to ``mistakes``, so that the rest can be checked too; without ``mistakes``, or where
    reading cannot go on, :class:`ScenarioError` is raised.
    """
    if len(text.encode("utf-8", "surrogatepass")) > LARGEST_FILE:
        message = f"a scenario file may have at most {LARGEST_FILE} bytes"
        raise ScenarioError([Mistake(file, 1, 1, "", message)])
    reading = _Reading(file, iter(()))
    root: Node | None = None
    try:
        reading.events = yaml.parse(text, Loader=yaml.SafeLoader)
        root = _document(reading)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        context = f"{error.context}: " if error.context else ""
        reading.wrong(mark, f"this is not YAML: {context}{error.problem}")
    except yaml.YAMLError as error:
        reading.wrong(None, "this is not YAML: " + " ".join(str(error).split()))
    except _Fatal:
        pass
    if root is None or (reading.mistakes and mistakes is None):
        raise ScenarioError([*(mistakes or []), *reading.mistakes])
    if mistakes is not None:
        mistakes += reading.mistakes
    return root


def read_value(text: str, source: str) -> Node:
    """A value given on the command line (a scalar, or a list or mapping in brackets); its place is ``source``."""
    try:
        node = read(text, source) if text.strip() else Node(None, Mark(source))
    except ScenarioError as error:
        raise ScenarioError(
            Mistake(source, 0, 0, m.path, m.message, m.value, m.allowed, m.nearest) for m in error.mistakes
        ) from None
    return _placed(node, Mark(source))


def _placed(node: Node, mark: Mark) -> Node:
    value = node.value
    if isinstance(value, dict):
        return Node({key: _placed(child, mark) for key, child in value.items()}, mark, mark)
    if isinstance(value, list):
        return Node([_placed(child, mark) for child in value], mark, mark)
    return Node(value, mark, mark)


def node_of(value: object, source: str, path: str = "", depth: int = 0) -> Node:
    """Plain Python data as nodes, so that a scenario can be made from a dict; keys become text."""
    mark = Mark(source)
    if depth > DEEPEST:
        raise ScenarioError([Mistake(source, 0, 0, path, f"nested deeper than {DEEPEST}")])
    if isinstance(value, dict):
        children: dict[str, Node] = {}
        for key, child in value.items():
            children[str(key)] = node_of(child, source, f"{path}.{key}".lstrip("."), depth + 1)
        return Node(children, mark, mark)
    if isinstance(value, (list, tuple)):
        return Node([node_of(v, source, f"{path}.{i}".lstrip("."), depth + 1) for i, v in enumerate(value)], mark)
    if (isinstance(value, float) and value != value) or value in (float("inf"), float("-inf")):
        raise ScenarioError([Mistake(source, 0, 0, path, "must be a finite number", value)])
    if value is None or isinstance(value, (bool, int, float, str)):
        return Node(value, mark, mark)
    message = f"values of type {type(value).__name__} cannot stand in a scenario"
    raise ScenarioError([Mistake(source, 0, 0, path, message)])


def plain(node: Node) -> Plain:
    """The values without their places."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value


def _document(reading: _Reading) -> Node | None:
    root: Node | None = None
    while True:
        event = reading.next()
        if isinstance(event, yaml.StreamEndEvent):
            break
        if isinstance(event, yaml.DocumentStartEvent):
            if root is not None:
                reading.wrong(event.start_mark, "a scenario file holds one document; remove what follows '---'")
                raise _Fatal
            root = _node(reading, reading.next(), 0)
    if root is None:
        reading.wrong(None, "the file is empty")
    return root


def _node(reading: _Reading, event: yaml.Event, depth: int) -> Node:
    mark = event.start_mark
    reading.nodes += 1
    if depth > DEEPEST or reading.nodes > MOST_NODES:
        limit = f"nested deeper than {DEEPEST}" if depth > DEEPEST else f"more than {MOST_NODES} values"
        reading.wrong(mark, limit)
        raise _Fatal
    if isinstance(event, yaml.AliasEvent):
        message = "aliases are not accepted: repeat the value, or share it with 'extends:'"
        if event.anchor not in reading.aliases:
            reading.wrong(mark, message, f"*{event.anchor}")
        reading.aliases.add(str(event.anchor))
        return Node(f"*{event.anchor}", reading.mark(mark))
    tag = getattr(event, "tag", None)
    if tag is not None:
        reading.wrong(mark, "YAML tags are not accepted: write the value without its tag", tag)
    if isinstance(event, yaml.ScalarEvent):
        quoted = event.style in ("'", '"', "|", ">")
        return Node(event.value if quoted else _scalar(reading, mark, event.value), reading.mark(mark))
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Node] = []
        while not isinstance(event := reading.next(), yaml.SequenceEndEvent):
            reading.path.append(str(len(items)))
            items.append(_node(reading, event, depth + 1))
            reading.path.pop()
        return Node(items, reading.mark(mark))
    return Node(_mapping(reading, depth), reading.mark(mark))


def _mapping(reading: _Reading, depth: int) -> dict[str, Node]:
    children: dict[str, Node] = {}
    while not isinstance(event := reading.next(), yaml.MappingEndEvent):
        key_mark = event.start_mark
        if not isinstance(event, yaml.ScalarEvent):
            _node(reading, event, depth + 1)
            reading.wrong(key_mark, "a key must be plain text or a number")
            _node(reading, reading.next(), depth + 1)
            continue
        if event.tag is not None:
            reading.wrong(key_mark, "YAML tags are not accepted: write the key without its tag", event.tag)
        key = event.value
        reading.path.append(key[:100])
        if event.style is None:
            if key == "<<":
                reading.wrong(key_mark, "merge keys are not accepted: share values with 'extends:'", key)
            else:
                _scalar(reading, key_mark, key)
        child = _node(reading, reading.next(), depth + 1)
        child.key_mark = reading.mark(key_mark)
        if key in children:
            first = children[key].key_mark
            line = first.line if first else 0
            reading.wrong(key_mark, f"is given twice, first in line {line}: keep one")
        elif key != "<<":
            children[key] = child
        reading.path.pop()
    return children


def _scalar(reading: _Reading, mark: object, text: str) -> Scalar:
    """A plain scalar by YAML 1.2's core rules; what 1.1 reads otherwise is noted as a mistake."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text in _TRUE_WORDS or text in _FALSE_WORDS:
        word = "true" if text in _TRUE_WORDS else "false"
        reading.wrong(mark, f"write {word}, or '{text}' in quotes if text is meant", text)
    elif _NOT_FINITE.fullmatch(text):
        reading.wrong(mark, "must be a finite number", text)
    elif _LEADING_ZERO.fullmatch(text):
        number = text.lstrip("+-").removeprefix("0o").lstrip("0_") or "0"
        reading.wrong(mark, f"write {number} without the leading zero, or '{text}' in quotes if text is meant", text)
    elif _SEXAGESIMAL.fullmatch(text):
        reading.wrong(mark, f"write a duration such as 10h30m, or '{text}' in quotes if text is meant", text)
    elif _EXPONENT.fullmatch(text):
        out = _written_out(text)
        reading.wrong(mark, f"write the number out ({out}), or '{text}' in quotes if text is meant", text)
    elif _INT.fullmatch(text):
        digits = text.replace("_", "")
        if len(digits) > 25:
            reading.wrong(mark, "a number of more than 25 digits", text)
            return 0
        return int(digits)
    elif _HEX.fullmatch(text) and len(text) <= 18:
        return int(text, 16)
    elif _FLOAT.fullmatch(text) and any(c.isdigit() for c in text):
        return float(text.replace("_", ""))
    return text


def _written_out(text: str) -> str:
    try:
        value = float(text.replace("_", ""))
    except ValueError:
        return "1000"
    if value in (float("inf"), float("-inf")) or (value and not 1e-9 <= abs(value) <= 1e18):
        return "such as 1000"
    return str(int(value)) if value == int(value) else f"{value:.12f}".rstrip("0")
