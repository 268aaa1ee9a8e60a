"""``kafkasim durability``: what acks, min.insync.replicas and unclean elections promise, found by simulation."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kafkasim.experiments.durability import Cell

_TITLES = {
    "leader_dies": ("leader dies,", "others in sync"),
    "isr_shrank_leader_dies": ("ISR = leader,", "which dies"),
    "one_down": ("one broker", "down"),
    "two_down": ("two brokers", "down"),
}


def durability(
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Seed of all runs.")] = 1,
    version: Annotated[str, typer.Option("--version", metavar="X.Y", help="Kafka's release.")] = "3.9",
    json_: Annotated[bool, typer.Option("--json", help="Print the rows as JSON and nothing else.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Print what may be lost and what stands still, for acks x min.insync.replicas x unclean elections."""
    from kafkasim.cli.failure import WRONG
    from kafkasim.experiments.durability import table
    from kafkasim.scenario import ScenarioError

    def progress(done: int, of: int) -> None:
        if not quiet and sys.stderr.isatty():
            print(f"\r{done} of {of} rows", end="" if done < of else "\n", file=sys.stderr, flush=True)

    try:
        cells = table(seed, version, progress)
    except ScenarioError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(WRONG) from None
    if json_:
        print(json.dumps([cell.as_dict() for cell in cells], indent=1))
        return
    for line in lines(cells, version):
        print(line)


def lines(cells: list[Cell], version: str) -> list[str]:
    """The table as text: for each situation whether acknowledged records were lost, and whether writes go on."""
    head = f"Kafka {version}, 3 replicas: acknowledged records lost / writes go on"
    said = [head, ""]
    for part in (0, 1):
        names = ("acks", "min.insync", "unclean") if part == 0 else ("", "replicas", "election")
        titles = "".join(f"{two[part]:<17}" for two in _TITLES.values())
        said.append(("".join(f"{name:<12}" for name in names) + titles).rstrip())
    for cell in cells:
        row = "".join(
            f"{value:<12}" for value in (cell.acks, cell.min_insync_replicas, "yes" if cell.unclean else "no")
        )
        for name in _TITLES:
            lost = "LOST" if cell.lost[name] else "kept"
            row += f"{lost + ' / ' + ('goes on' if cell.writes[name] else 'stops'):<17}"
        said.append(row.rstrip())
    said += [
        "",
        "One partition, leader and followers 10 ms apart; a killed broker stays away. 'kept' is what this run kept:",
        "acks=0 and acks=1 may lose whatever the followers have not fetched yet, acks=all what only lost power took.",
    ]
    return said
