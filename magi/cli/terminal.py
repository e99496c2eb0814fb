"""Long output for people and programs: as wide as the terminal, safe on it, and no fuss when a pipe closes."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from magi.cli.safe import printable_json

BROKEN_PIPE = 2
"""Exit code when whoever read our output has gone: 1 would say that something is wrong with what was looked at."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich itself would exit with 1


def width() -> int | None:
    """Columns of the terminal that stdout is; None when it is none, and lines may be as long as they are.

    As it says itself: COLUMNS, which a shell may have left in the environment, counts for one that doesn't.
    """
    if not sys.stdout.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or Console().width
    except OSError:
        return Console().width


def write(*lines: Text | str) -> None:
    """Print lines as they are: laid out by whoever made them. Strings are not looked at for markup."""
    console = _Console(highlight=False, markup=False, soft_wrap=True)
    for line in lines:
        console.print(line)


def write_stored(data: bytes) -> None:
    """Print stored JSON on a line: byte for byte, but on a terminal with what could steer it escaped."""
    if sys.stdout.isatty():
        typer.echo(printable_json(data.decode("utf-8", "backslashreplace")))
    else:
        sys.stdout.buffer.write(data + b"\n")


def write_json(text: str) -> None:
    """Print JSON of ours; on a terminal, what could steer it is escaped."""
    typer.echo(printable_json(text) if sys.stdout.isatty() else text)


@contextlib.contextmanager
def reporting() -> Iterator[None]:
    """Around everything that a command prints: a reader that has gone ends it quietly."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would be written once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(BROKEN_PIPE) from None


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, if that is a terminal; gives the function that moves it on by a number."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total, rate="")

        def advance(number: int) -> None:
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed or 0
            bar.update(task, advance=number, rate=f"{speed:,.0f} messages/s")

        yield advance
