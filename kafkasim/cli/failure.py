"""How a command ends when the scenario is wrong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from kafkasim.scenario import Mistake

FINE, EXPECTATION_FAILED, WRONG, BUG = 0, 1, 2, 70


def refuse(mistakes: list[Mistake], consequence: str = "") -> NoReturn:
    """Prints every mistake on stderr, one a line, and ends with code 2."""
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    count = len(mistakes)
    end = f"; {consequence}" if consequence else ""
    print(f"{count} mistake{'' if count == 1 else 's'}{end}", file=sys.stderr)
    raise typer.Exit(WRONG)
