"""What ``kafkasim run`` writes and prints: directories, headlines, JSON, and a summary of one screen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kafkasim.results import Result
    from kafkasim.scenario import Scenario

MOST_ROWS = 8


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
        self.result.save(self.directory)

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
    """One screen: of one run what matters most of it, of several their headline."""
    if len(runs) == 1:
        _print_run(runs[0])
        return
    grouped = _by_scenario(runs)
    from kafkasim.results import headline

    for name, results in grouped.items():
        print(f"{name}: {len(results)} run{'s' if len(results) > 1 else ''}")
        print(f"  {'':<34}{'minimum':>14}{'median':>14}{'maximum':>14}")
        for figure, row in _mapping(headline(results)["figures"]).items():
            values = _mapping(row)
            cells = "".join(f"{_number(figure, values[key]):>14}" for key in ("minimum", "median", "maximum"))
            print(f"  {figure.removesuffix('_s'):<34}{cells}")
    for run in runs:
        for one in run.summary["expectations"]:
            if not one["holds"]:
                print(f"seed {run.seed}: expected, but not so: {one['text']}{_why(one)}")
    print(f"written to {runs[0].directory.parent}")


def _print_run(run: Run) -> None:
    summary = run.summary
    ledger: dict[str, Any] = summary["ledger"]
    print(f"{run.scenario.name}, seed {run.seed}, {run.scenario.duration_s:g} s simulated")
    print(
        f"  records: {ledger['created']:,} created = {ledger['acknowledged']:,} acknowledged"
        f" + {ledger['failed']:,} failed + {ledger['in_flight']:,} in flight;"
        f" {ledger['acknowledged_lost']:,} acknowledged and lost"
    )
    for row in summary["throughput"][:MOST_ROWS]:
        names = [name for name in row if name != "topic"]
        rates = "  ".join(f"{name.removesuffix('_per_s')} {_number(name, row[name])}" for name in names)
        print(f"  {row['topic']}: {rates}")
    latency = [row for row in summary["latency"] if row.get("client") is None and row.get("broker") is None]
    for row in latency[: 2 * MOST_ROWS]:
        cells = "  ".join(f"{p} {_number(f'{p}_s', row[f'{p}_s'])}" for p in ("p50", "p99", "p999", "max"))
        print(f"  {row['topic']} {row['kind']} latency: {cells}")
    rows = summary["unavailability"]
    for row in rows[:MOST_ROWS]:
        until = "the end" if row["open"] else f"{row['until_s']:.2f} s"
        print(
            f"  {row['client']} could not {row['kind']} {row['topic']}-{row['partition']}"
            f" from {row['from_s']:.2f} s to {until} ({row['duration_s']:.2f} s)"
        )
    if len(rows) > MOST_ROWS:
        print(f"  … and {len(rows) - MOST_ROWS} more outages")
    identities = ledger["identities"]
    print(f"  {sum(bool(one['holds']) for one in identities)} of {len(identities)} identities of the ledger hold")
    for one in summary["expectations"]:
        print(f"  {'as expected' if one['holds'] else 'EXPECTED, BUT NOT SO'}: {one['text']}{_why(one)}")
    print(f"written to {run.directory}")


def _why(expectation: Mapping[str, Any]) -> str:
    reason = expectation.get("reason")
    return f" ({reason})" if reason else ""


def _number(name: str, value: object) -> str:
    """Short text of a figure; its unit follows from its name."""
    if value is None:
        return "–"
    if not isinstance(value, (int, float)):
        return str(value)
    if name.endswith("_per_s"):
        return f"{value:,.0f}/s"
    if name.endswith("_s"):
        return f"{value * 1000:,.2f} ms" if value < 1 else f"{value:,.2f} s"
    return f"{value:,.0f}"
