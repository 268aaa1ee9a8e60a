"""Scenarios: the schema, units, configs catalogue, loader and gallery. Pure data; knows nothing of the simulation.

A scenario file says what a cluster is, what load it carries, what breaks when and what is expected.
:class:`Scenario` is its resolved form, :class:`ScenarioError` all that is wrong with one.
"""

from kafkasim.scenario.errors import Mistake, ScenarioError
from kafkasim.scenario.scenario import Scenario

__all__ = ["Mistake", "Scenario", "ScenarioError"]
