"""Puts a scenario together: a file, what it extends, and what the command line overrides.

Every node keeps the place it came from, so that a mistake found later points into the file that holds the value or
to the ``--set`` that gave it. With ``extends:`` mappings merge, lists whose members all have a ``name`` or ``group``
merge by it, and everything else is replaced by the extending file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path as FilePath

from kafkasim.scenario import paths
from kafkasim.scenario.errors import MISSING, Mark, Mistake, ScenarioError, listed, nearest
from kafkasim.scenario.yaml_reader import LARGEST_FILE, Node, read, read_value

LONGEST_CHAIN = 16


def compose_file(file: FilePath, overrides: Sequence[str], mistakes: list[Mistake]) -> Node:
    """The root node of a scenario file with everything it extends and the overrides applied.

    Mistakes that leave the rest readable go to ``mistakes``; :class:`ScenarioError` is raised for the others.
    """
    return override(_load(file, str(file), (), mistakes), overrides, mistakes)


def compose_text(text: str, name: str, overrides: Sequence[str], mistakes: list[Mistake]) -> Node:
    """The same for a text, which cannot extend a file."""
    root = own_configs(_mapping(read(text, name, mistakes)), mistakes)
    return override(_extended(root, None, (), mistakes), overrides, mistakes)


def _fail(mark: Mark, path: str, message: str, value: object = MISSING, **more: str | None) -> ScenarioError:
    return ScenarioError([Mistake(mark.file, mark.line, mark.column, path, message, value, **more)])


def _mapping(root: Node) -> Node:
    if not isinstance(root.value, dict):
        raise _fail(root.mark, "", "a scenario is a mapping that begins with 'name:'")
    return root


def own_configs(root: Node, mistakes: list[Mistake]) -> Node:
    """Puts configs that stand in a broker's own mapping (``overrides: {1: {log.dirs: /a}}``) under its ``config``."""
    node: Node | None = root
    for part in ("cluster", "brokers", "overrides"):
        node = node.value.get(part) if node is not None and isinstance(node.value, dict) else None
    if node is None or not isinstance(node.value, dict):
        return root
    for number, own in node.value.items():
        if not isinstance(own.value, dict):
            continue
        for name in [name for name in own.value if paths.is_config(name)]:
            child = own.value.pop(name)
            below = own.value.get("config")
            if below is None or not isinstance(below.value, dict):
                below = own.value["config"] = Node({}, child.mark, child.key_mark)
            assert isinstance(below.value, dict)
            if name in below.value:
                mark = child.key_mark or child.mark
                path = f"cluster.brokers.overrides.{number}.config.{name}"
                mistakes.append(Mistake(mark.file, mark.line, mark.column, path, "is given twice"))
            else:
                below.value[name] = child
    return root


def _load(file: FilePath, shown: str, chain: tuple[FilePath, ...], mistakes: list[Mistake]) -> Node:
    mark = Mark(shown)
    try:
        if file.is_dir():
            raise _fail(mark, "", "is a directory, not a scenario file")
        with file.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _fail(mark, "", f"is not text in UTF-8 (byte {error.start})") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _fail(mark, "", f"cannot be read: {reason}") from None
    root = own_configs(_mapping(read(text, shown, mistakes)), mistakes)
    return _extended(root, file, chain, mistakes)


def _extended(root: Node, file: FilePath | None, chain: tuple[FilePath, ...], mistakes: list[Mistake]) -> Node:
    """Merges the file that ``extends:`` names below ``root``."""
    assert isinstance(root.value, dict)
    given = root.value.pop("extends", None)
    if given is None or given.value is None:
        return root
    target = given.value
    if not isinstance(target, str) or not target.strip():
        raise _fail(given.mark, "extends", "must be the path of a scenario file", _shown(given))
    if file is None:
        raise _fail(given.mark, "extends", "only a scenario file can extend another one", target)
    if FilePath(target).is_absolute():
        raise _fail(given.mark, "extends", "must be relative to the file it stands in", target)
    base = file.parent / target
    chain = (*chain, file.resolve())
    if base.resolve() in chain:
        names = " → ".join([*(link.name for link in chain), base.name])
        raise _fail(given.mark, "extends", f"leads back to itself: {names}", target)
    if len(chain) >= LONGEST_CHAIN:
        raise _fail(given.mark, "extends", f"more than {LONGEST_CHAIN} files extend each other", target)
    if not base.is_file():
        near = nearest(base.name, [f.name for f in base.parent.glob("*.yaml")] if base.parent.is_dir() else [])
        raise _fail(given.mark, "extends", "there is no such file", target, nearest=near)
    return merge(_load(base, str(base), chain, mistakes), root)


def merge(below: Node, above: Node) -> Node:
    """``above`` laid over ``below``."""
    low, high = below.value, above.value
    if isinstance(low, dict) and isinstance(high, dict):
        children = dict(low)
        for key, child in high.items():
            children[key] = merge(low[key], child) if key in low else child
        return Node(children, above.mark, above.key_mark)
    if isinstance(low, list) and isinstance(high, list) and low and high:
        names_low = [paths.identity(child) for child in low]
        names_high = [paths.identity(child) for child in high]
        known = None not in names_low and None not in names_high
        if known and len(set(names_low)) == len(low) and len(set(names_high)) == len(high):
            members = dict(zip(names_low, low, strict=True))
            for name, child in zip(names_high, high, strict=True):
                members[name] = merge(members[name], child) if name in members else child
            return Node(list(members.values()), above.mark, above.key_mark)
    return above


def override(root: Node, overrides: Sequence[str], mistakes: list[Mistake]) -> Node:
    """Applies ``PATH=VALUE`` texts in order; those that cannot be applied go to ``mistakes``."""
    for text in overrides:
        source = f"--set {text}" if len(text) <= 200 else f"--set {text[:199]}…"
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            mistakes.append(Mistake(source, 0, 0, "", "an override is written PATH=VALUE"))
            continue
        try:
            _set(root, _broker_by_id(paths.split(path)), read_value(value, source), source)
        except ScenarioError as error:
            mistakes += error.mistakes
        except ValueError as error:
            mistakes.append(Mistake(source, 0, 0, path, str(error)))
    return root


def _broker_by_id(parts: list[str]) -> list[str]:
    """``cluster.brokers.2.config…`` means what broker 2 has of its own; ``config`` may be left out."""
    if parts[:2] == ["cluster", "brokers"] and len(parts) > 2 and parts[2].isdecimal():
        parts = [*parts[:2], "overrides", *parts[2:]]
    if parts[:3] == ["cluster", "brokers", "overrides"] and len(parts) == 5 and paths.is_config(parts[4]):
        parts = [*parts[:4], "config", parts[4]]
    return parts


def _set(root: Node, parts: list[str], new: Node, source: str) -> None:
    """Puts ``new`` at the path; mappings on the way are made, members of lists must exist."""
    mark = Mark(source)
    node = root
    for count, part in enumerate(parts):
        last = count == len(parts) - 1
        shown = ".".join(parts[: count + 1])
        if node.value is None:
            node.value, node.mark = {}, mark
        if isinstance(node.value, list):
            index = _index(node.value, part, shown, mark)
            if last:
                node.value[index] = new
                return
            node = node.value[index]
        elif isinstance(node.value, dict):
            if last:
                node.value[part] = new
                return
            node = node.value.setdefault(part, Node({}, mark, mark))
        else:
            above = ".".join(parts[:count])
            raise _fail(mark, shown, f"{above} is a single value: nothing can be set below it")


def _index(members: list[Node], part: str, shown: str, mark: Mark) -> int:
    names = [paths.identity(member) for member in members]
    if part in names:
        return names.index(part)
    if part.isdecimal() and int(part) < len(members):
        return int(part)
    known = [name for name in names if name is not None]
    allowed = listed(known) if known else (f"0 to {len(members) - 1}" if members else "none: the list is empty")
    raise _fail(mark, shown, "there is no such member", part, allowed=allowed, nearest=nearest(part, known))


def _shown(node: Node) -> object:
    if isinstance(node.value, dict):
        return "a mapping"
    return "a list" if isinstance(node.value, list) else node.value
