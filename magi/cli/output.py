"""Printing what commands report: for people with colours where there is a terminal, for programs as text."""

import typer
from rich.console import Console
from rich.text import Text


def show(what: str | Text) -> None:
    """Print it on stdout, lines as they are: a terminal folds what is too wide, a pipe gets all of it."""
    if isinstance(what, str):
        typer.echo(what)
    else:
        Console(highlight=False, soft_wrap=True).print(what)
