"""What ``kafkasim run`` writes and prints: directories, headlines, JSON; the screen is the report's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafkasim.results import Result
    from kafkasim.scenario import Scenario


@dataclass
class Run:
    """One scenario with one seed, and the directory of its result."""

    file: str
    scenario: Scenario
    seed: int
    directory: Path
    result: Result | None = None

    @property
    def summary(self) -> dict[str, Any]:
        """The result's summary."""
        assert self.result is not None
        return self.result.summary

    def save(self) -> None:
        """Writes the directory."""
        assert self.result is not None
        from functools import partial

        from kafkasim.report.html import write_report

        self.result.save(self.directory, extras=partial(write_report, self.result))

    def broken_identities(self) -> list[str]:
        """Names of the ledger's identities that do not hold."""
        return [str(one["name"]) for one in self.summary["ledger"]["identities"] if not one["holds"]]

    def expectations_hold(self) -> bool:
        """Whether every sentence of ``expect`` holds."""
        return all(bool(one["holds"]) for one in self.summary["expectations"])


def _by_scenario(runs: list[Run]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for run in runs:
        assert run.result is not None
        found.setdefault(run.scenario.name, []).append(run.result)
    return found


def headlines(runs: list[Run]) -> dict[str, object]:
    """Minimum, median and maximum over the seeds; of several scenarios, by name."""
    from kafkasim.results import headline

    each: dict[str, object] = {name: headline(results) for name, results in _by_scenario(runs).items()}
    return _mapping(next(iter(each.values()))) if len(each) == 1 else {"scenarios": each}


def _mapping(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def save_headlines(runs: list[Run], out: str | None) -> None:
    """Writes ``summary.json`` over the seeds: into ``--out``, else beside the runs of each scenario."""
    from kafkasim.metrics.schema import free
    from kafkasim.results import save_headline

    if out is None:
        for name, results in _by_scenario(runs).items():
            if len(results) > 1:
                save_headline(Path("reports") / name, results)
        return
    grouped = _by_scenario(runs)
    if len(grouped) == 1:
        save_headline(out, next(iter(grouped.values())))
        return
    target = Path(out) / "summary.json"
    staged = target.with_suffix(".partial")
    staged.write_text(json.dumps(free(headlines(runs)), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    staged.replace(target)


def print_json(runs: list[Run]) -> None:
    """The summary of one run, or all summaries with their headline, on stdout."""
    from kafkasim.metrics.schema import free

    if len(runs) == 1:
        data: object = runs[0].summary
    else:
        data = {"runs": [run.summary for run in runs], "headline": headlines(runs)}
    print(json.dumps(free(data), indent=1, ensure_ascii=False, allow_nan=False))


def print_screen(runs: list[Run]) -> None:
    """One screen: of one run what matters most of it, of several seeds their headline."""
    from rich.console import Console

    from kafkasim.report.summary import print_summaries, print_summary

    console = Console(highlight=False, soft_wrap=True)
    for name, results in _by_scenario(runs).items():
        place = next(run.directory for run in runs if run.scenario.name == name)
        if len(results) == 1:
            print_summary(console, results[0], place)
        else:
            print_summaries(console, results, place.parent)
