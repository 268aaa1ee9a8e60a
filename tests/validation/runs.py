"""Runs of gallery scenarios for the validation tests, in parallel processes where there are several."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from kafkasim.results import Result
from kafkasim.scenario import Scenario
from kafkasim.simulation import simulate

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def run(name: str, seed: int, overrides: tuple[str, ...] = (), trace: tuple[str, ...] = ()) -> Result:
    """One run of a gallery scenario."""
    return simulate(Scenario.load(SCENARIOS / f"{name}.yaml", overrides), seed, trace=trace)


def run_seeds(name: str, seeds: int, overrides: tuple[str, ...] = (), trace: tuple[str, ...] = ()) -> list[Result]:
    """Seeds 1 … ``seeds``, two at a time."""
    job: Any = partial(run, name, overrides=overrides, trace=trace)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(job, range(1, seeds + 1)))
