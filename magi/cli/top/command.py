"""`magi top`: its options, and whether it is live, printed once, or told as JSON."""

import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from magi.cli.context import NotRunning, run_async
from magi.cli.options import Data
from magi.cli.terminal import reporting, width, write, write_json

if TYPE_CHECKING:
    from magi.cli.top.places import Places

INTERVAL = 2.0
PRINTED = 120
"""Columns of what is printed once, where no terminal says how many it has."""
_SIZE = re.compile(r"(\d{2,3})x(\d{1,3})")


def top(
    data: Data = None,
    url: Annotated[
        list[str] | None,
        typer.Option(
            help="An operations port to look at, HOST:PORT, instead of a data directory's. May be given again.",
            show_default=False,
        ),
    ] = None,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2, max=60.0)] = INTERVAL,
    once: Annotated[
        bool, typer.Option("--once", help="Print one frame. So does an output that is no terminal.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print each frame as a line of JSON.")] = False,
    svg: Annotated[Path | None, typer.Option(help="With --once: write it to this file, as a picture.")] = None,
    size: Annotated[
        str | None, typer.Option(help="Of what is printed once, as COLUMNSxLINES.", show_default="as it needs")
    ] = None,
) -> None:
    """Watch a running MAGI: requests, voters, backlog, latencies, alerts. Ends with q."""
    places = _places(data, url)
    printed = _size(size)
    if svg and json:
        raise typer.BadParameter("a picture is no JSON", param_hint="--svg")
    _silence()
    if json:
        from magi.cli.top.loop import tell_frames

        with reporting():
            run_async(tell_frames(places, interval, _tell, frames=1 if once else None))
    elif once or svg or not sys.stdout.isatty():
        _print_once(places, interval, printed, svg)
    else:
        from rich.console import Console

        from magi.cli.top.loop import run

        run_async(run(places, interval, Console(highlight=False)))


def _places(data: Path | None, urls: list[str] | None) -> "Places":
    from magi.cli.top.places import OfData, OfUrls

    try:
        return OfUrls(urls) if urls else OfData(data)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from None


def _size(text: str | None) -> tuple[int, int] | None:
    """Columns and lines. Raises BadParameter."""
    if text is None:
        return None
    found = _SIZE.fullmatch(text)
    if not found:
        raise typer.BadParameter("expected COLUMNSxLINES, such as 120x42", param_hint="--size")
    return int(found[1]), int(found[2])


def _silence() -> None:
    """What is wrong is on the screen, or will be at the next look; lines of a log would stand in the middle of it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.root.addHandler(logging.NullHandler())


def _tell(line: str) -> None:
    write_json(line)
    sys.stdout.flush()  # whoever reads it wants it now


def _print_once(places: "Places", interval: float, size: tuple[int, int] | None, svg: Path | None) -> None:
    """Print a frame, or write it to `svg`. Raises NotRunning when no part answers, BadParameter."""
    from magi.cli.top.loop import one_frame
    from magi.cli.top.picture import as_svg
    from magi.cli.top.screen import draw, natural_height, without_blank_ends
    from magi.cli.top.view import View

    frame, trends = run_async(one_frame(places, interval))
    terminal = PRINTED if svg else width() or PRINTED
    columns, lines = size or (terminal, natural_height(frame, terminal))
    drawn = without_blank_ends(draw(frame, trends, View(), columns, lines)[:-1])  # without the keys
    if svg:
        try:
            svg.write_text(as_svg(drawn, columns, f"magi top, {frame.header.at}"), "utf-8")
        except OSError as error:
            raise typer.BadParameter(f"{svg}: {error.strerror}", param_hint="--svg") from None
    elif frame.parts:
        with reporting():
            write(*drawn)
    if not any(part.says.startswith("up") for part in frame.parts):
        raise NotRunning(frame.header.problem or f"no part answers at {frame.header.source}")
