"""``kafkasim validate``: checks scenario files without running them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Scenario files, or names of the gallery.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Override a value; may be repeated.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print mistakes only.")] = False,
) -> None:
    """Check scenario files: every mistake with file, line and column."""
    from kafkasim.cli.failure import refuse
    from kafkasim.scenario import Mistake, Scenario, ScenarioError
    from kafkasim.scenario.gallery import locate

    mistakes: list[Mistake] = []
    for file in files:
        try:
            scenario = Scenario.load(locate(file), overrides or [])
        except ScenarioError as error:
            mistakes += error.mistakes
            continue
        if not quiet:
            for warning in scenario.warnings:
                print(f"{file}: warning: {warning}", file=sys.stderr)
            print(f"{file}: fine ({scenario.name})")
    if mistakes:
        refuse(mistakes)
