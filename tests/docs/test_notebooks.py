"""The notebooks run from top to bottom, and each is what its text source says.

With fewer seeds here than by default; ``KAFKASIM_SEEDS`` overrides. In a process of its own: Jupyter's warnings are
not ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SEEDS = {"capacity_planning": "1", "failure_modes": "3"}
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": sys.argv[2]}}).execute()
"""
COMPARE = """
import sys, jupytext
def cells(path):
    return [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]
sys.exit(cells(sys.argv[1]) != cells(sys.argv[2]))
"""


def python(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program with this interpreter and this test's import path."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    whole = {**os.environ, "PYTHONPATH": path, "MPLBACKEND": "agg", **environment}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], env=whole, capture_output=True, text=True, check=False
    )


def test_every_notebook_is_tested():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(SEEDS)


@pytest.mark.parametrize("name", SEEDS)
def test_it_is_what_its_source_says(name):
    pytest.importorskip("jupytext", reason="the notebooks group is not installed")
    done = python(COMPARE, str(NOTEBOOKS / f"{name}.py"), str(NOTEBOOKS / f"{name}.ipynb"))
    assert done.returncode == 0, done.stderr or f"jupytext --sync notebooks/{name}.py"


@pytest.mark.parametrize("name", SEEDS)
def test_it_runs(name, tmp_path):
    pytest.importorskip("nbclient", reason="the notebooks group is not installed")
    pytest.importorskip("ipykernel", reason="the notebooks group is not installed")
    seeds = os.environ.get("KAFKASIM_SEEDS", SEEDS[name])
    done = python(EXECUTE, str(NOTEBOOKS / f"{name}.ipynb"), str(tmp_path), KAFKASIM_SEEDS=seeds)
    assert done.returncode == 0, done.stderr[-3000:]
