"""Which build runs, and that both give the same bytes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import kafkasim
from kafkasim.kernel import build

ROOT = Path(__file__).parents[1]
MAIN = "from kafkasim.cli import main; main()"
COMPILED = os.environ.get("KAFKASIM_EXPECT") == "compiled"
OTHER_PYTHON = os.environ.get("KAFKASIM_OTHER_PYTHON")
RUNS = [
    ("primer/hello", ["duration=20s"]),
    ("primer/tweets-broker-1-fails", ["duration=90s", "events=[{at: 55s, crash: broker 1, for: 20s}]"]),
    ("primer/millions-per-second", ["duration=8s"]),
]


def hot_modules() -> list[str]:
    """The paths of the modules that the compiled build compiles, as pyproject.toml lists them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    hook = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
    return [pattern.removeprefix("/") for pattern in hook["include"]]


def test_the_build_is_the_one_meant() -> None:
    assert build() == os.environ.get("KAFKASIM_EXPECT", "pure Python")


@pytest.mark.skipif(not COMPILED, reason="the pure build has nothing compiled")
@pytest.mark.parametrize("path", hot_modules())
def test_every_hot_module_is_compiled(path: str) -> None:
    module = import_module(path.removesuffix(".py").replace("/", "."))
    assert str(module.__file__).endswith((".so", ".pyd"))


@pytest.mark.skipif(COMPILED, reason="the sources are elsewhere")
def test_the_list_of_hot_modules_names_files() -> None:
    missing = [path for path in hot_modules() if not (ROOT / path).is_file()]
    assert not missing


@pytest.mark.skipif(COMPILED, reason="the sources are elsewhere")
def test_compiled_classes_that_interpreted_code_derives_from_allow_it() -> None:
    """mypyc refuses the subclass when it is imported, or two such bases: found here without compiling."""
    hot = set(hot_modules())
    package = sorted(Path(kafkasim.__file__).parent.rglob("*.py"))
    allowed: dict[str, bool] = {}
    for path in package:
        if path.relative_to(ROOT).as_posix() in hot:
            for node in ast.parse(path.read_text("utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    allowed[node.name] = any(
                        "allow_interpreted_subclasses=True" in ast.unparse(d) for d in node.decorator_list
                    )
    wrong = []
    for path in [*package, *sorted((ROOT / "tests").rglob("*.py"))]:
        name = path.relative_to(ROOT).as_posix()
        if name in hot:
            continue
        source = path.read_text("utf-8")
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.ClassDef):
                continue
            bases = [b for b in (ast.unparse(base).split(".")[-1] for base in node.bases) if b in allowed]
            wrong += [
                f"{name}: {node.name} derives from {base}, which lacks mypyc_attr"
                for base in bases
                if not allowed[base]
            ]
            if len(bases) > 1:
                wrong.append(f"{name}: {node.name} derives from two compiled classes: {', '.join(bases)}")
    assert not wrong


@pytest.mark.skipif(not OTHER_PYTHON, reason="KAFKASIM_OTHER_PYTHON names no interpreter with the other build")
@pytest.mark.parametrize(("scenario", "overrides"), RUNS)
def test_both_builds_give_the_same_bytes(scenario: str, overrides: list[str], tmp_path: Path) -> None:
    builds = []
    for name, python in (("this", sys.executable), ("other", str(OTHER_PYTHON))):
        command = [python, "-c", MAIN, "run", scenario, "--out", str(tmp_path / name), "--quiet"]
        for override in overrides:
            command += ["--set", override]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode in (0, 1), done.stderr  # a shortened run may miss what its file expects
        assert "Traceback" not in done.stderr, done.stderr
        version = subprocess.run(
            [python, "-c", MAIN, "--version"], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        builds.append(version.stdout)
    assert builds[0] != builds[1], "both interpreters run the same build"
    names = sorted(path.relative_to(tmp_path / "this").as_posix() for path in (tmp_path / "this").rglob("*.csv"))
    assert names, "the run wrote no tables"
    for name in ["summary.json", *names]:
        assert (tmp_path / "this" / name).read_bytes() == (tmp_path / "other" / name).read_bytes(), name
