"""The `magi` command as Typer knows it: its commands, and its own options."""

from typing import Annotated

import typer

import magi
from magi.cli.command_list import Commands

app = typer.Typer(
    name="magi",
    cls=Commands,
    help="MAGI: a panel of voters judges what machines make, before the world sees it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"magi {magi.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass
