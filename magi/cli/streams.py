"""`magi streams apply | diff | check`: the live streams beside their declarations.

Exit codes: 0 as declared (or applied), 1 they differ (`diff`) or are weaker (`check`), 2 it could not be found out.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from nats.errors import Error as NatsError
from rich.console import Console, RenderableType

from magi.cli.administration import put_on_record
from magi.cli.context import Context, NotRunning, run_async
from magi.cli.lost_streams import refuse_lost, remember
from magi.cli.streams_report import (
    run_apply,
    run_check,
    run_diff,
    show_applied,
    show_check,
    show_differences,
    to_json,
    told,
)
from magi.eventstore.bus import CannotConnect
from magi.eventstore.declarations import DeclarationError
from magi.eventstore.differences import Difference
from magi.eventstore.streams import Applied, StreamsError, diff

app = typer.Typer(name="streams", help="The streams in NATS: apply, compare and check their declarations.")

DIFFERENT = 1
FAILED = 2

Data = Annotated[Path | None, typer.Option("--data", help="The data directory of `magi serve`.", envvar="MAGI_DATA")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("apply")
def apply_command(data: Data = None, json: Json = False) -> None:
    """Create the streams that are missing and update those that differ. Running it again changes nothing."""

    async def run(ctx: Context) -> list[Applied]:
        async with ctx.nats() as nc:
            nats = ctx.settings.nats
            missing = [d.stream for d in await diff(nc, ctx.declarations()) if d.field == "stream"]
            await refuse_lost(ctx.data, nats.url, nats.monitor_url, missing)
            applied = await run_apply(nc, ctx.declarations())
            if changed := told(applied):
                await put_on_record(ctx, "streams", changed)
            await remember(ctx.data, nats.url, nc, {one.stream for one in applied if one.action == "created"})
        return applied

    with _errors():
        applied = run_async(run(Context.load(data)))
    _show(to_json(applied) if json else show_applied(applied))


@app.command("diff")
def diff_command(data: Data = None, json: Json = False) -> None:
    """Print what differs, field by field. Exits 1 when anything does."""

    async def run(ctx: Context) -> list[Difference]:
        async with ctx.nats() as nc:
            nats = ctx.settings.nats
            return await run_diff(nc, ctx.declarations(), nats.monitor_url, nats.sync_interval)

    with _errors():
        found = run_async(run(Context.load(data)))
    _show(to_json(found) if json else show_differences(found))
    if found:
        raise typer.Exit(DIFFERENT)


@app.command("check")
def check_command(data: Data = None, json: Json = False) -> None:
    """Do what every part does when it starts: see that no stream is weaker than declared. Exits 1 when one is."""

    async def run(ctx: Context) -> list[Difference]:
        async with ctx.nats() as nc:
            nats = ctx.settings.nats
            return await run_check(nc, ctx.declarations(), nats.monitor_url, nats.sync_interval)

    with _errors():
        weaker = run_async(run(Context.load(data)))
    _show(to_json(weaker) if json else show_check(weaker))
    if weaker:
        raise typer.Exit(DIFFERENT)


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turn what can go wrong into a message on stderr and the exit code 2."""
    try:
        yield
    except (StreamsError, DeclarationError, CannotConnect, NotRunning, NatsError, OSError) as error:
        typer.echo(f"magi streams: {error}", err=True)
        raise typer.Exit(FAILED) from error


def _show(what: str | RenderableType) -> None:
    if isinstance(what, str):
        typer.echo(what)
    else:
        Console().print(what)
