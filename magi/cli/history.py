"""`magi history`: the stored events of a request, straight from JetStream."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from nats.aio.msg import Msg

from magi.audit.events import RawEvent, raw_events
from magi.audit.source import LogSource
from magi.audit.state_at import up_to
from magi.cli.context import Context, run_async
from magi.cli.histories import aggregate_of, load_history, open_log, readable
from magi.cli.history_report import (
    Unreadable,
    event_lines,
    head_lines,
    layout,
    state_lines,
    title_line,
)
from magi.cli.local_token import LOCAL
from magi.cli.options import Data
from magi.cli.terminal import reporting, width, write, write_stored
from magi.cli.times import parse_moment
from magi.domain.clock import milliseconds
from magi.domain.voting_request import Adjudicated, Received, RequestEvent, fold
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.presence import now_ms

LOOK_AGAIN = 2.0
"""Seconds after which a follower looks by itself: what is published live may be lost."""

RequestArgument = Annotated[str, typer.Argument(metavar="REQUEST_ID", help="The request, as its Initiator named it.")]
Initiator = Annotated[str, typer.Option("--initiator", help="Whose request it is.")]


def history(
    request_id: RequestArgument,
    initiator: Initiator = LOCAL,
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="Print the events as they are stored, one a line.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the verdict is in.")] = False,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help="Only what had happened by then: a seq (3), a time, or a place in the log (log:4711)."
        ),
    ] = None,
) -> None:
    """Print the history of a request: who said what, when, and what came of it."""
    if follow and at:
        raise typer.BadParameter("--follow and --at exclude each other")
    try:
        moment = parse_moment(at, now_ms()) if at else None
    except ValueError as error:
        raise typer.BadParameter(f"--at: {error}") from error
    ctx = Context.load(data)

    async def run() -> None:
        async with ctx.bus("auditor") as bus:
            source = await open_log(bus)
            printer = _Stored() if json else _Timeline()
            if follow:
                await _follow(bus, source, request_id, initiator, printer)
            else:
                messages = await load_history(source, request_id, initiator)
                printer.show(up_to(messages, moment) if moment else list(raw_events(messages)))
                printer.end()

    with reporting():
        run_async(run())


class _Stored:
    """Prints events as they are stored."""

    def show(self, events: Sequence[RawEvent]) -> None:
        for event in events:
            write_stored(event.data)
        sys.stdout.flush()  # whoever reads a pipe follows too

    def end(self) -> None:
        pass


class _Timeline:
    """Prints events for people, as they come."""

    def __init__(self) -> None:
        self._events: list[RequestEvent | Unreadable] = []
        self._width = width()
        self._layout = layout((), 0, self._width)

    def show(self, events: Sequence[RawEvent]) -> None:
        new = readable(events)
        if new and not self._events:
            received = next((event for event in new if isinstance(event, Received)), None)
            if received:
                self._layout = layout(received.voters, milliseconds(received.at), self._width)
                write(*head_lines(received, self._width), "")
            write(title_line(self._layout))
        self._events += new
        write(*(line for event in new for line in event_lines(event, self._layout)))

    def end(self) -> None:
        state = fold(event for event in self._events if not isinstance(event, Unreadable))
        write("", *state_lines(state, self._width))


async def _follow(bus: Bus, source: LogSource, request_id: str, initiator: str, printer: _Stored | _Timeline) -> None:
    """Show what is stored and then what comes, until the verdict. The live messages only say when to look."""
    news = asyncio.Event()

    async def on_news(_: Msg) -> None:
        news.set()

    await bus.subscribe(f"{subjects.LIVE_PREFIX}{aggregate_of(request_id, initiator)}", on_news)
    messages = await load_history(source, request_id, initiator)
    while True:
        if messages:
            events = list(raw_events(messages))
            printer.show(events)
            if any(isinstance(event, Adjudicated) for event in readable(events)):
                printer.end()
                return
            start = messages[-1].sequence + 1
        try:
            async with asyncio.timeout(LOOK_AGAIN):
                await news.wait()
        except TimeoutError:
            pass
        news.clear()
        messages = await source.history(aggregate_of(request_id, initiator), start)
