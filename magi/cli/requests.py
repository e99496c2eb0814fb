"""`magi requests`: find requests."""

import sys
from typing import Annotated, Literal

import typer

from magi.audit.summaries import Query, Summary, find_in_log
from magi.cli.context import Context, run_async
from magi.cli.directory_report import to_json
from magi.cli.histories import open_log
from magi.cli.options import Data, Json
from magi.cli.requests_report import show_requests
from magi.cli.requests_views import find_in_views
from magi.cli.safe import printable
from magi.cli.selecting import Since, Until, time_of
from magi.cli.terminal import reporting, write, write_json
from magi.projections.errors import ProjectionError

app = typer.Typer(name="requests", help="Find requests.", no_args_is_help=True)

_VERDICTS = ("pass", "fail", "open")


@app.callback()
def requests() -> None:
    """Find requests."""


@app.command("list")
def list_command(
    since: Since = None,
    until: Until = None,
    initiator: Annotated[str, typer.Option(help="Of this Initiator.")] = "",
    voter: Annotated[str, typer.Option(help="With this voter on the panel.")] = "",
    verdict: Annotated[str, typer.Option(help="pass, fail or open.")] = "",
    strategy: Annotated[str, typer.Option(help="Decided by this strategy.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="The most that are listed.")] = 50,
    from_log: Annotated[
        bool, typer.Option("--from-log", help="From JetStream alone, also when Postgres is gone.")
    ] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """List requests, the newest first."""
    if verdict and verdict not in _VERDICTS:
        raise typer.BadParameter(f"--verdict: expected one of {', '.join(_VERDICTS)}, got {verdict!r}")
    query = Query(
        since=time_of("--since", since),
        until=time_of("--until", until),
        initiator=initiator,
        voter=voter,
        verdict=verdict,
        strategy=strategy,
        limit=limit,
    )
    ctx = Context.load(data)
    found = run_async(find_requests(ctx, query, "log" if from_log else "best"))
    with reporting():
        if json:
            write_json(to_json(found))
        else:
            write(show_requests(found))


async def find_requests(ctx: Context, query: Query, origin: Literal["best", "log"]) -> list[Summary]:
    """The requests that match, the newest first: from the view `magi.requests`, or, when `origin` is ``log`` or
    Postgres can't tell, from the log."""
    if origin == "best" and ctx.settings.postgres.url:
        try:
            return await find_in_views(ctx, query)
        except ProjectionError as error:
            sys.stderr.write(f"magi: {printable(str(error))}; reading the log instead\n")
    async with ctx.bus("auditor") as bus:
        source = await open_log(bus)
        return [summary async for summary in find_in_log(source, query)]
