"""The public face: small, stated, and loaded only when used."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import kafkasim

PUBLIC = {
    "kafkasim": ["Result", "Scenario", "ScenarioError", "SimulationError", "simulate"],
    "kafkasim.scenario": ["Mistake", "Scenario", "ScenarioError"],
    "kafkasim.kernel": [
        "LATE",
        "NORMAL",
        "URGENT",
        "Clock",
        "Environment",
        "FifoStation",
        "Job",
        "PoolStation",
        "Scheduler",
        "Stream",
        "Streams",
        "WorkerPool",
        "build",
        "clock_ms",
    ],
    "kafkasim.hosts": ["Disk", "Host"],
}
HEAVY = ["pandas", "scipy", "matplotlib", "pyarrow"]


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_the_stated_ones_and_exist(module: str) -> None:
    room = import_module(module)
    assert sorted(room.__all__) == sorted(PUBLIC[module])
    for name in room.__all__:
        assert getattr(room, name) is not None


@pytest.mark.parametrize("name", PUBLIC["kafkasim"])
def test_public_names_are_documented(name: str) -> None:
    assert getattr(kafkasim, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Sceanrio'"):
        kafkasim.Sceanrio  # noqa: B018


@pytest.mark.parametrize("program", ["import kafkasim", "import kafkasim.kernel", "from kafkasim import Scenario"])
def test_importing_loads_nothing_heavy(program: str) -> None:
    check = f"{program}; import sys; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
