"""kafkasim: a discrete-event simulator of an Apache Kafka cluster coordinated by ZooKeeper.

>>> import kafkasim
>>> sorted(kafkasim.__all__)
['Result', 'Scenario', 'ScenarioError', 'SimulationError', 'simulate']

The names are loaded when they are first used, so that ``kafkasim --help`` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafkasim.results import Result
    from kafkasim.scenario import Scenario, ScenarioError
    from kafkasim.simulation import SimulationError, simulate

__all__ = ["Result", "Scenario", "ScenarioError", "SimulationError", "simulate"]

_HOMES = {
    "Result": "kafkasim.results",
    "Scenario": "kafkasim.scenario",
    "ScenarioError": "kafkasim.scenario",
    "SimulationError": "kafkasim.simulation",
    "simulate": "kafkasim.simulation",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'kafkasim' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
