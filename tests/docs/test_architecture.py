"""docs/architecture.md names files and functions that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROWS = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("|")]
STEPS = [cells for cells in ROWS if len(cells) == 4 and cells[0].strip() not in ("step", "---")]


@cache
def names(path: Path) -> set[str]:
    """Classes, functions and ``Class.method`` of a module."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found.update(f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef))
    return found


def test_every_path_exists():
    paths = set(re.findall(r"`(kafkasim/[\w/.]*)`", PAGE))
    assert len(paths) > 50
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("cells", STEPS, ids=lambda cells: cells[0].strip())
def test_every_step_names_what_does_it(cells):
    files = [ROOT / path for path in re.findall(r"`(kafkasim/[\w/.]*)`", cells[1])]
    known = set().union(*(names(path) for path in files))
    assert files
    assert [name for name in re.findall(r"`([\w.]+)`", cells[2]) if name not in known] == []


def test_costs_exist():
    from kafkasim.scenario.costs import cost_docs

    named = set(re.findall(r"`costs\.(\w+)`", PAGE))
    assert named and named <= set(cost_docs())


def test_configs_exist():
    from kafkasim.scenario.catalogue import sides_of

    candidates = set(re.findall(r"`([a-z]+(?:\.[a-z]+){1,6})`", "\n".join(c[3] for c in STEPS)))
    configs = {name for name in candidates if not name.startswith(("costs.", "cluster.", "producers.", "events."))}
    assert configs
    assert [name for name in sorted(configs) if not sides_of(name)] == []
