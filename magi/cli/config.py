"""`magi config show`: the settings in force, and where each came from."""

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from magi.cli.context import Context
from magi.cli.directory_report import columns
from magi.cli.options import Data, Json
from magi.cli.output import show as write
from magi.cli.postgres_access import shown
from magi.cli.safe import printable
from magi.cli.setting_files import bad_files
from magi.cli.setting_words import is_secret
from magi.cli.settings import variable

PROBLEMS = 1

app = typer.Typer(name="config", help="The settings.", no_args_is_help=True)


@app.callback()
def config() -> None:
    """The settings."""


@app.command()
def show(
    data: Data = None,
    file: Annotated[Path | None, typer.Option("--config", help="A file instead of the data directory's own.")] = None,
    json: Json = False,
) -> None:
    """Print every setting: its value, where it came from, and the variable that sets it.

    Exit code 1: a file that one of them names can't be used.
    """
    ctx = Context.load(data, file=file)
    settings = [(s.name, _text(s.name, s.value), s.source, variable(s.name)) for s in ctx.in_force]
    if json:
        rows = [dict(zip(("name", "value", "source", "variable"), row, strict=True)) for row in settings]
        typer.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
    else:
        write(columns(("setting", "value", "from", "variable"), settings))
        write(f"\ndata directory: {ctx.data}")
    bad = bad_files(ctx)
    for one in bad:
        sys.stderr.write(f"magi: {printable(str(one))}\n")
    if bad:
        raise typer.Exit(PROBLEMS)


def _text(name: str, value: Any) -> str:
    if is_secret(str(value)):
        return "… (a secret; expected the name of a file)"
    if name.endswith("url"):
        return shown(str(value))  # passwords are nobody's business on a screen
    return ", ".join(value) if isinstance(value, tuple) else str(value)
