"""``kafkasim run``: where it writes, what it prints, how it ends; the simulation itself is a stand-in here."""

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kafkasim.cli import app
from kafkasim.metrics.schema import HEADLINE
from kafkasim.report import summary
from kafkasim.scenario import Scenario

runner = CliRunner()
TERMS = {"created": 1000, "acknowledged": 990, "failed": 4, "in_flight": 6, "acknowledged_lost": 0}


class StandIn:
    """As much of a Result as the command needs."""

    def __init__(self, scenario: Scenario, seed: int, holds: bool, adds_up: bool) -> None:
        self.manifest = {"name": scenario.name, "seed": seed}
        self.summary: dict[str, Any] = {
            "name": scenario.name,
            "seed": seed,
            "ledger": TERMS | {"identities": [{"name": "created", "left": 1, "right": 1, "holds": adds_up}]},
            "expectations": [{"text": "failed == 0", "holds": holds, "value": 4.0, "reason": None}],
            "headline": {field.path: (seed if field.path == "created" else None) for field in HEADLINE},
        }

    def save(self, directory, extras=None) -> None:
        directory.mkdir(parents=True)
        (directory / "summary.json").write_text(json.dumps(self.summary))


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    state: dict[str, Any] = {"holds": True, "adds_up": True, "calls": [], "error": None}

    def simulate(
        scenario: Scenario, seed: int, progress: object, trace: list[str], command: str, checks: str | None
    ) -> StandIn:
        state["calls"].append((scenario.name, seed, list(trace), command))
        if state["error"]:
            raise state["error"]
        return StandIn(scenario, seed, state["holds"], state["adds_up"])

    module = types.ModuleType("kafkasim.simulation")
    module.simulate = simulate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kafkasim.simulation", module)
    monkeypatch.setattr(summary, "print_summary", lambda console, result, place: console.print(f"one in {place}"))
    monkeypatch.setattr(
        summary, "print_summaries", lambda console, results, place: console.print(f"{len(results)} in {place}")
    )
    return state


def test_one_run_writes_into_reports() -> None:
    done = runner.invoke(app, ["run", "primer/hello"])
    assert done.exit_code == 0, done.output
    assert Path("reports/hello/seed-1/summary.json").is_file()
    assert done.stdout == "one in reports/hello/seed-1\n"


def test_out_is_the_directory_of_one_run() -> None:
    runner.invoke(app, ["run", "primer/hello", "--out", "here", "--seed", "7", "--quiet"])
    assert [path.name for path in Path("here").iterdir()] == ["summary.json"]
    assert json.loads(Path("here/summary.json").read_text())["seed"] == 7


def test_several_seeds_have_a_headline(world: dict[str, Any]) -> None:
    done = runner.invoke(app, ["run", "primer/hello", "--seeds", "1-3", "--out", "here"])
    assert done.exit_code == 0, done.output
    assert sorted(path.as_posix() for path in Path("here").rglob("*.json")) == [
        "here/hello/seed-1/summary.json", "here/hello/seed-2/summary.json", "here/hello/seed-3/summary.json",
        "here/summary.json",
    ]  # fmt: skip
    figures = json.loads(Path("here/summary.json").read_text())["figures"]
    assert figures["created"] == {"minimum": 1, "median": 2.0, "maximum": 3, "nulls": 0}
    assert done.stdout == "3 in here/hello\n"


def test_several_files() -> None:
    done = runner.invoke(app, ["run", "primer/hello", "primer/pedidos", "--out", "here", "--json"])
    data = json.loads(done.stdout)
    assert [run["name"] for run in data["runs"]] == ["hello", "pedidos"]
    assert set(data["headline"]["scenarios"]) == {"hello", "pedidos"}
    assert Path("here/pedidos/seed-1/summary.json").is_file()
    assert set(json.loads(Path("here/summary.json").read_text())["scenarios"]) == {"hello", "pedidos"}
    again = runner.invoke(app, ["run", "primer/hello", "primer/hello"])
    assert again.exit_code == 2 and "same name" in again.stderr


def test_json_is_the_summary_and_nothing_else() -> None:
    done = runner.invoke(app, ["run", "primer/hello", "--json"])
    assert json.loads(done.stdout)["ledger"]["created"] == 1000


def test_quiet_says_nothing() -> None:
    done = runner.invoke(app, ["run", "primer/hello", "--quiet", "--set", "cluster.brokers.config.log.dirs=/x"])
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_the_call_reaches_the_simulation(world: dict[str, Any]) -> None:
    runner.invoke(app, ["run", "primer/hello", "--seed", "5", "--trace", "sessions", "--set", "producers.app.rate=1/s"])
    command = "kafkasim run primer/hello --seed 5 --set producers.app.rate=1/s"
    assert world["calls"] == [("hello", 5, ["sessions"], command)]


def test_a_failed_expectation_is_code_1(world: dict[str, Any]) -> None:
    world["holds"] = False
    done = runner.invoke(app, ["run", "primer/hello"])
    assert done.exit_code == 1


def test_a_ledger_that_does_not_add_up_is_a_bug(world: dict[str, Any]) -> None:
    world["adds_up"] = False
    done = runner.invoke(app, ["run", "primer/hello"])
    assert done.exit_code == 70 and "does not add up" in done.stderr


def test_a_bug_ends_with_70_and_the_line_that_reproduces_it(world: dict[str, Any]) -> None:
    world["error"] = RuntimeError("boom")
    done = runner.invoke(app, ["run", "primer/hello", "--set", "seed=3", "--set", "description=two words"])
    assert done.exit_code == 70
    assert done.stdout == ""
    line = "kafkasim run primer/hello --seed 3 --set seed=3 --set 'description=two words'"
    assert done.stderr.rstrip().splitlines()[-1].strip() == line
    assert not Path("reports").exists()
