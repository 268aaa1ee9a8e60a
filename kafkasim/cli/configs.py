"""``kafkasim configs``: the catalogue of configs, searchable."""

from __future__ import annotations

from typing import Annotated

import typer


def configs(
    words: Annotated[list[str] | None, typer.Argument(metavar="[WORDS]", help="Words that must all occur.")] = None,
    side: Annotated[
        str | None, typer.Option("--side", help="Only broker, topic, producer, consumer or zookeeper.")
    ] = None,
    used: Annotated[bool, typer.Option("--used", help="Leave out what the model ignores.")] = False,
    version: Annotated[str | None, typer.Option("--kafka", help="Kafka release of the defaults.")] = None,
) -> None:
    """Search the configs of brokers, topics, clients and ZooKeeper: defaults, ranges, what the model uses."""
    from kafkasim.scenario.catalogue import SIDES, search
    from kafkasim.scenario.versions import LATEST, accept

    if side is not None and side not in SIDES:
        raise typer.BadParameter(f"one of {', '.join(SIDES)}", param_hint="--side")
    try:
        release = accept(version) if version else LATEST
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--kafka") from None
    found = search(words or [], side, used)
    for entry in found:
        default = entry.default_text(release) if entry.exists_in(release) else "(not in this release)"
        unit = f" {entry.unit}" if entry.unit and default[:1].isdigit() else ""
        valid = f"  {entry.valid}" if entry.valid and len(entry.valid) < 60 else ""
        print(f"{entry.side:<9} {entry.name} = {default}{unit}{valid}")
        print(f"          {entry.status}: {entry.note}")
    print(f"{len(found)} config{'' if len(found) == 1 else 's'}, defaults of Kafka {release.line}")
