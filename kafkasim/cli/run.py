"""``kafkasim run``: runs scenarios, saves what came out, and says it on one screen."""

from __future__ import annotations

import re
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kafkasim.cli.failure import BUG, EXPECTATION_FAILED, FINE, refuse

if TYPE_CHECKING:
    from pathlib import Path

    from kafkasim.cli.output import Run
    from kafkasim.scenario import Scenario

MOST_SEEDS = 10_000


def run(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Scenario files, or names of the gallery.")],
    seed: Annotated[int | None, typer.Option("--seed", min=0, metavar="N", help="Seed instead of the file's.")] = None,
    seeds: Annotated[str | None, typer.Option("--seeds", metavar="A-B", help="Several seeds, one run each.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Override a value; may be repeated.")
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Where to write; reports/NAME/seed-N if absent.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the summary as JSON and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar, no summary.")] = False,
    trace: Annotated[
        list[str] | None, typer.Option("--trace", metavar="WHAT", help="Write one more table: sessions, batches.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Hold the invariants of replication against every event (slower).")
    ] = False,
) -> None:
    """Run scenarios and write a directory of results for each run."""
    wanted = _seeds(seed, seeds)
    unknown = [name for name in trace or [] if name not in ("sessions", "batches")]
    if unknown:
        raise typer.BadParameter(f"'{unknown[0]}' cannot be traced; sessions and batches can", param_hint="--trace")
    scenarios = _load(files, overrides or [], quiet)
    runs = _places(scenarios, wanted, out)
    _simulate_all(runs, quiet, trace or [], overrides or [], check)
    _finish(runs, out, json_, quiet)


def _seeds(seed: int | None, seeds: str | None) -> list[int] | None:
    """The seeds asked for; None = each file's own."""
    if seeds is None:
        return None if seed is None else [seed]
    if seed is not None:
        raise typer.BadParameter("give --seed or --seeds, not both", param_hint="--seeds")
    found = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", seeds.strip())
    if not found:
        raise typer.BadParameter("is written A-B, such as 1-30", param_hint="--seeds")
    first, last = int(found[1]), int(found[2] or found[1])
    if not first <= last < first + MOST_SEEDS:
        raise typer.BadParameter(f"A-B with A <= B, at most {MOST_SEEDS} seeds", param_hint="--seeds")
    return list(range(first, last + 1))


def _load(files: list[str], overrides: list[str], quiet: bool) -> list[tuple[str, Scenario]]:
    """All scenarios, or an end with code 2 and every mistake of all of them."""
    from kafkasim.scenario import Mistake, Scenario, ScenarioError
    from kafkasim.scenario.gallery import locate

    mistakes: list[Mistake] = []
    scenarios: list[tuple[str, Scenario]] = []
    for file in files:
        try:
            scenario = Scenario.load(locate(file), overrides)
        except ScenarioError as error:
            mistakes += error.mistakes
            continue
        if scenario.name in [other.name for _, other in scenarios]:
            mistakes.append(Mistake(file, 0, 0, "name", "another file of this call has the same name", scenario.name))
        scenarios.append((file, scenario))
        for warning in [] if quiet else scenario.warnings:
            print(f"{file}: warning: {warning}", file=sys.stderr)
    if mistakes:
        refuse(mistakes, "nothing was run")
    return scenarios


def _places(scenarios: list[tuple[str, Scenario]], seeds: list[int] | None, out: str | None) -> list[Run]:
    """The runs of this call and the directory of each."""
    from pathlib import Path

    from kafkasim.cli.output import Run

    several = len(scenarios) > 1 or (seeds is not None and len(seeds) > 1)
    runs = []
    for file, scenario in scenarios:
        for seed in seeds if seeds is not None else [scenario.seed]:
            place: Path = Path(out) if out is not None else Path("reports")
            if out is None or several:
                place = place / scenario.name / f"seed-{seed}"
            runs.append(Run(file, scenario, seed, place))
    return runs


def _simulate_all(runs: list[Run], quiet: bool, trace: list[str], overrides: list[str], check: bool) -> None:
    """Runs and saves one after the other; a bug ends with code 70 and the line that reproduces it."""
    from kafkasim.cli.progress import bar
    from kafkasim.results import ResultError
    from kafkasim.simulation import simulate

    for one in runs:
        words = ["kafkasim", "run", one.file, "--seed", str(one.seed)]
        for text in overrides:
            words += ["--set", text]
        if check:
            words.append("--check")
        command = shlex.join(words)
        try:
            with bar(f"{one.scenario.name} seed {one.seed}", one.scenario.duration_s, quiet) as progress:
                one.result = simulate(
                    one.scenario, seed=one.seed, progress=progress, trace=trace, command=command,
                    checks="thorough" if check else None,
                )  # fmt: skip
            one.save()
        except ResultError as error:
            print(error, file=sys.stderr)
            raise typer.Exit(2) from None
        except Exception as error:
            import traceback

            traceback.print_exc()
            print(f"this is a bug in kafkasim ({type(error).__name__}); it is reproduced by", file=sys.stderr)
            print(f"  {command}", file=sys.stderr)
            raise typer.Exit(BUG) from None


def _finish(runs: list[Run], out: str | None, json_: bool, quiet: bool) -> None:
    """Headline of several runs, summary on the screen, exit code."""
    from kafkasim.cli.output import print_json, print_screen, save_headlines

    if len(runs) > 1:
        save_headlines(runs, out)
    if json_:
        print_json(runs)
    elif not quiet:
        print_screen(runs)
    broken = [identity for one in runs for identity in one.broken_identities()]
    if broken:
        print(f"the ledger does not add up, which is a bug: {', '.join(broken)}", file=sys.stderr)
        raise typer.Exit(BUG)
    raise typer.Exit(FINE if all(one.expectations_hold() for one in runs) else EXPECTATION_FAILED)
