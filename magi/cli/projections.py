"""`magi projections`: how far the Postgres views are, made anew, compared with the log, put on another version.

Exit codes: 0 fine, 1 something stands (`status`) or differs (`verify`, `rebuild`), 2 it could not be found out.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from magi.cli.administration import put_on_record
from magi.cli.context import Context, NotRunning, run_async
from magi.cli.directory import operator
from magi.cli.options import Data, Json
from magi.cli.projections_report import show_rebuilt, show_status, show_verified, to_json
from magi.cli.projector import postgres_url
from magi.cli.terminal import reporting, write, write_json
from magi.eventstore.bus import CannotConnect
from magi.projections import skips, versions
from magi.projections.errors import NoTables
from magi.projections.postgres import Connection, connect, reachable
from magi.projections.projector import all_projections
from magi.projections.rebuild import Rebuild, Rebuilt
from magi.projections.status import Status
from magi.projections.status import status as status_of
from magi.projections.verify import Verified
from magi.projections.verify import verify as verify_tables
from magi.projections.versions import Version

app = typer.Typer(name="projections", help="The Postgres views: state, rebuild, comparison with the log.")

DIFFERENT = 1

Number = Annotated[int, typer.Argument(min=1, help="Of a version, as `magi projections status` lists them.")]


@app.command("status")
def status_command(data: Data = None, json: Json = False) -> None:
    """Say how far the projections are and where they stand. Exits 1 when one of the live ones stands."""

    async def run(ctx: Context) -> Status:
        async with _postgres(ctx) as connection:
            try:
                async with ctx.bus("projector") as bus:
                    return await status_of(connection, bus)
            except (CannotConnect, NotRunning):
                return await status_of(connection, None)

    found = run_async(run(Context.load(data)))
    with reporting():
        if json:
            write_json(to_json(found))
        else:
            write(*show_status(found))
    if found.live_halts:
        raise typer.Exit(DIFFERENT)


@app.command("rebuild")
def rebuild_command(data: Data = None, json: Json = False) -> None:
    """Make all tables anew beside the live ones, verify them, and put the views on them at once.

    Readers notice nothing. Interrupted, it goes on where it was when it is started again.
    """

    async def run(ctx: Context) -> Rebuilt:
        async with ctx.bus("projector") as bus:
            with _Bars() as bars:
                rebuild = Rebuild(
                    bus,
                    postgres_url(ctx),
                    content=ctx.settings.projections.content,
                    on_progress=bars.progressed,
                    on_step=bars.step,
                )
                rebuilt = await rebuild.rebuild()
        outcome = "is live" if rebuilt.switched else "differs from the log and is not live"
        await put_on_record(ctx, "projections", f"version {rebuilt.version} {outcome}")
        return rebuilt

    rebuilt = run_async(run(Context.load(data)))
    with reporting():
        if json:
            write_json(to_json(rebuilt))
        else:
            write(*show_rebuilt(rebuilt))
    if not rebuilt.switched:
        raise typer.Exit(DIFFERENT)


@app.command("verify")
def verify_command(
    version: Annotated[int | None, typer.Option(min=1, help="By default the one behind the views.")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Fold the log again and compare every row. Exits 1 and prints what differs."""

    async def run(ctx: Context) -> Verified:
        async with ctx.bus("projector") as bus:
            async with _postgres(ctx) as connection:
                await versions.prepared(connection)
                found = await _wanted(connection, version)
            with _Bars() as bars:
                bars.step("verify")
                return await verify_tables(
                    bus, postgres_url(ctx), found, all_projections(found), on_progress=bars.progressed
                )

    verified = run_async(run(Context.load(data)))
    with reporting():
        if json:
            write_json(to_json(verified))
        else:
            write(*show_verified(verified))
    if verified.differences:
        raise typer.Exit(DIFFERENT)


@app.command("switch")
def switch_command(version: Number, data: Data = None) -> None:
    """Put the views on a version that was live before, after it has caught up."""

    async def run(ctx: Context) -> Version:
        async with ctx.bus("projector") as bus:
            with _Bars() as bars:
                rebuild = Rebuild(bus, postgres_url(ctx), on_progress=bars.progressed, on_step=bars.step)
                switched = await rebuild.switch(version)
        await put_on_record(ctx, "projections", f"version {switched.version} is live")
        return switched

    switched = run_async(run(Context.load(data)))
    write(f"the views are on version {switched.version}")


@app.command("drop")
def drop_command(version: Number, data: Data = None) -> None:
    """Remove the tables of a version that the views are not on."""

    async def run(ctx: Context) -> None:
        async with _postgres(ctx) as connection:
            await versions.prepared(connection)
            await versions.drop(connection, version)
        await put_on_record(ctx, "projections", f"version {version} is gone")

    run_async(run(Context.load(data)))
    write(f"version {version} is gone")


@app.command("skip")
def skip_command(
    sequence: Annotated[int, typer.Argument(min=1, help="Where a projection stands.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    projection: Annotated[
        str, typer.Option(help="Which one: `requests` or `voters`. Needed when both stand at this number.")
    ] = "",
    data: Data = None,
) -> None:
    """Let a projection pass over the event, or the hole, that it stands at. It is recorded who said so, and why."""

    async def run(ctx: Context) -> list[skips.Skip]:
        async with _postgres(ctx) as connection:
            await versions.prepared(connection)
            skipped = await skips.skip(connection, sequence, reason, operator(), projection)
        for one in skipped:
            what = f"{one.projection} passes over {one.subject or 'a hole'} at {one.sequence}"
            await put_on_record(ctx, "projections", what, reason)
        return skipped

    for skipped in run_async(run(Context.load(data))):
        write(f"{skipped.projection} passes over {skipped.sequence}")


@contextlib.asynccontextmanager
async def _postgres(ctx: Context) -> AsyncIterator[Connection]:
    with reachable():
        connection = await connect(postgres_url(ctx))
        try:
            yield connection
        finally:
            await connection.close()


async def _wanted(connection: Connection, number: int | None) -> Version:
    if number is not None:
        return await versions.get(connection, number)
    live = await versions.live_version(connection)
    if live is None:
        raise NoTables("no version is behind the views: does `magi projector` run?")
    return live


class _Bars(contextlib.AbstractContextManager["_Bars"]):
    """A bar a step and projection on stderr, if that is a terminal: messages, rate, time left."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:<18}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>18}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._step = ""
        self._tasks: dict[str, int] = {}

    def __enter__(self) -> "_Bars":
        self._bars.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bars.stop()

    def step(self, name: str) -> None:
        """What is under way from now on."""
        self._step = name
        if name not in ("fold", "verify"):
            self._bars.console.print(name)

    def progressed(self, projection: str, at: int, to: int) -> None:
        name = f"{self._step} {projection}"
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=to, completed=at, rate="")
        task = self._bars.tasks[self._tasks[name]]
        speed = task.finished_speed or task.speed or 0
        self._bars.update(task.id, completed=at, total=to, rate=f"{speed:,.0f} messages/s" if speed else "")
