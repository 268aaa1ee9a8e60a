"""The application: its commands and ``--version``."""

from __future__ import annotations

from typing import Annotated

import typer

from kafkasim.cli.configs import configs
from kafkasim.cli.durability import durability
from kafkasim.cli.gallery import list_gallery
from kafkasim.cli.run import run
from kafkasim.cli.schema import schema
from kafkasim.cli.validate import validate

app = typer.Typer(
    name="kafkasim",
    help="Simulates an Apache Kafka cluster in ZooKeeper mode: its load, its latency, and what happens when it breaks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run)
app.command("validate")(validate)
app.command("list")(list_gallery)
app.command("configs")(configs)
app.command("schema")(schema)
app.command("durability")(durability)


def _version(wanted: bool) -> None:
    if wanted:
        from kafkasim.cli.about import about

        print(about())
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and the build.")
    ] = False,
) -> None:
    """Options of the program as a whole."""


def main() -> None:
    """The console entry point."""
    app()
