"""`magi audit log`: who changed what, when, and why; what MAGI did by itself; and what was refused."""

import asyncio
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from magi.cli.actions_report import Action, Wanted, action_of, show_actions, to_line
from magi.cli.context import Context, run_async
from magi.cli.directory import directory_of
from magi.cli.options import Data
from magi.cli.terminal import reporting, write, write_json
from magi.cli.times import parse_time
from magi.cli.until_stopped import until_stopped
from magi.domain.directory import DirectoryEvent
from magi.eventstore import subjects
from magi.eventstore.follow import Follower
from magi.eventstore.history import Recorded
from magi.eventstore.presence import now_ms


def log(
    since: Annotated[str, typer.Option(help="From this time on: 2026-01-31T12:00:00Z, 2026-01-31, 2h (ago).")] = "",
    until: Annotated[str, typer.Option(help="Before this time.")] = "",
    by: Annotated[str, typer.Option(help="Whose actions: alice, or alice@host.")] = "",
    about: Annotated[str, typer.Option(help="About what: voter.casper, casper, or all of a kind: voter.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens now, until Ctrl-C.")] = False,
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")] = False,
) -> None:
    """List the administrative actions: who changed what, when and why, what was automatic, and what was refused."""
    wanted = Wanted(_time("--since", since), _time("--until", until), by, about)

    def on_action(action: Action) -> None:
        if not wanted(action):
            return
        if json:
            write_json(to_line(action))
        else:
            write(*show_actions([action]))
        if follow:
            sys.stdout.flush()

    with reporting():
        run_async(until_stopped(_read(Context.load(data), on_action, follow)))


def _time(option: str, text: str) -> int | None:
    try:
        return parse_time(text, now_ms()) if text else None
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from error


async def _read(ctx: Context, on_action: Callable[[Action], None], follow: bool) -> None:
    async with ctx.bus("auditor") as bus:
        store = await directory_of(bus)
        last = 0
        async for recorded in store.read():
            last = recorded.sequence
            on_action(action_of(recorded.event, last))
        if not follow:
            return

        async def on_event(recorded: Recorded[DirectoryEvent]) -> None:
            on_action(action_of(recorded.event, recorded.sequence))

        follower = Follower(bus, subjects.DIRECTORY, store.codec, on_event, last + 1)
        await follower.start()
        try:
            await asyncio.wait([follower.failed])
            follower.failed.result()
        finally:
            await follower.stop()
