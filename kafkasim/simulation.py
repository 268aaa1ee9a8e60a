"""Scenario in, result out: builds a cluster, runs it, checks the accounts.

>>> from kafkasim import Scenario, simulate
>>> result = simulate(Scenario.load("scenarios/primer/hello.yaml"))     # doctest: +SKIP
>>> result.summary["ledger"]["acknowledged_lost"]                       # doctest: +SKIP
0
"""

from __future__ import annotations

import gc
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from kafkasim.books import Books
from kafkasim.checks.expectations import evaluate
from kafkasim.checks.invariants import check_cluster
from kafkasim.cluster import Cluster
from kafkasim.faults.schedule import EventSchedule
from kafkasim.gauges import add_gauges, controller_rows, station_rows
from kafkasim.kernel import build
from kafkasim.results import Result
from kafkasim.scenario import Scenario

Progress = Callable[[float], None]
_LIBRARIES = ("simpy", "numpy")


class SimulationError(Exception):
    """A bug ended the run: ``time_s`` and ``process`` tell where; the cause is chained."""

    def __init__(self, time_s: float, process: str, failure: BaseException) -> None:
        super().__init__(f"at {time_s:.6f} s in {process}: {type(failure).__name__}: {failure}")
        self.time_s = time_s
        self.process = process


class Simulation:
    """One run of one scenario with one seed; ``run`` may be called once."""

    def __init__(self, scenario: Scenario, seed: int | None = None, trace: Sequence[str] = ()) -> None:
        self.scenario = scenario
        self.seed = scenario.seed if seed is None else seed
        # Building makes millions of objects and no garbage: collections would only walk them again and again.
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            self.cluster = Cluster(scenario, self.seed, trace_sessions="sessions" in trace)
        finally:
            if was_enabled:
                gc.enable()
        self.schedule = EventSchedule(self.cluster, scenario.events)
        self.expectations = scenario.expectations()
        for expectation in self.expectations:
            if expectation.condition is not None:
                self.schedule.conditions.watch(expectation.condition)
        self.cluster.running_event = self._cause_at
        add_gauges(self.cluster, tuple(str(e.statistic) for e in self.expectations if e.metric == "jmx"))

    def _cause_at(self, at: float) -> int | None:
        event = self.schedule.running(at)
        return None if event is None else event.row

    def run(self, progress: Progress | None = None) -> None:
        """Run to the scenario's end; raises :class:`SimulationError` when the model breaks."""
        cluster = self.cluster
        env = cluster.env
        duration_s = self.scenario.duration_s
        interval_s = self.scenario.report.interval_s
        was_enabled = gc.isenabled()
        # What has been built stays; the hot path drops nothing in cycles, the rest is collected now and then.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            k = 0
            while env.now < duration_s:
                k += 1
                until = min(k * interval_s, duration_s)
                env.run(until=until)
                cluster.close_interval(until)
                check_cluster(cluster)
                if k % 16 == 0:
                    gc.collect(0)
                if progress is not None:
                    progress(until)
        except Exception as failure:
            process = env.failed_process or "a callback"
            raise SimulationError(env.now, process, failure) from failure
        finally:
            gc.unfreeze()
            if was_enabled:
                gc.enable()

    def result(self, command: str = "") -> Result:
        """Close the books and put the result together."""
        cluster = self.cluster
        end_s = cluster.env.now
        ledger = Books(cluster).close_books(end_s)
        manifest = self._manifest(command)
        result = Result.collect(
            manifest,
            end_s=end_s,
            ledger=ledger,
            latency=cluster.latency,
            availability=cluster.availability,
            series=cluster.series,
            timeline=cluster.timeline,
            stations=station_rows(cluster, end_s),
            controllers=controller_rows(cluster),
            events=[event.as_dict() for event in self.schedule.events],
            warnings=[*self.scenario.warnings, *self.schedule.never_begun()],
            sessions=cluster.session_rows(),
            calibrated=False,
        )
        if self.expectations:
            result.judge(evaluate(self.expectations, result, cluster, self.schedule.conditions.met))
        return result

    def _manifest(self, command: str) -> dict[str, Any]:
        versions = {"python": platform.python_version()}
        for library in _LIBRARIES:
            versions[library] = version(library)
        return {
            "name": self.scenario.name,
            "seed": self.seed,
            "kafkasim": package_version(),
            "build": build(),
            "versions": versions,
            "command": command,
            "overrides": [],
            "scenario": self.scenario.to_dict(),
            "files": [],
        }


def package_version() -> str:
    """The installed version of kafkasim."""
    try:
        return version("kafkasim")
    except PackageNotFoundError:
        return "0+unknown"


def simulate(
    scenario: Scenario,
    seed: int | None = None,
    progress: Progress | None = None,
    trace: Sequence[str] = (),
    command: str = "",
) -> Result:
    """Run ``scenario`` with ``seed`` (None: the scenario's own) and return its result.

    ``progress(t)`` is called with the simulated time (s) after each interval of the report;
    ``trace`` may name ``sessions``.  Raises :class:`SimulationError` if the model breaks.
    """
    simulation = Simulation(scenario, seed, trace)
    simulation.run(progress)
    return simulation.result(command)
