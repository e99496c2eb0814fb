"""`magi doctor`: is everything there, does it promise what it must, and what to do about what doesn't.

Exit codes: 0 no error, 1 errors were found, 2 it could not look.
"""

import asyncio
from collections.abc import Awaitable, Sequence

import msgspec
import typer

from magi.cli.checks_bus import check_clock, check_durability, check_limits, check_server, check_streams
from magi.cli.checks_capacity import check_connections, check_files, check_payload
from magi.cli.checks_copies import check_copies
from magi.cli.checks_expiry import check_certificates
from magi.cli.checks_machine import (
    check_data,
    check_disk,
    check_gateway,
    check_postgres,
    check_programs,
    check_store_disk,
)
from magi.cli.checks_views import check_views
from magi.cli.checks_work import check_inbox, check_parts
from magi.cli.context import Context, NotRunning, run_async
from magi.cli.findings import Finding, error, findings_json, show_findings
from magi.cli.options import Data, Json
from magi.cli.output import show
from magi.eventstore.bus import Bus, BusError, CannotConnect
from magi.eventstore.declarations import DeclarationError
from magi.eventstore.history import StoreError
from magi.eventstore.presence import now_ms
from magi.eventstore.streams import StreamsError

ERRORS = 1


def doctor(data: Data = None, json: Json = False) -> None:
    """Check servers, streams, versions, clock, durability and who is at work; say what to do about each finding."""
    ctx = Context.load(data)
    findings = run_async(examine(ctx))
    show(findings_json(findings) if json else show_findings(findings))
    if any(finding.status == "error" for finding in findings):
        raise typer.Exit(ERRORS)


async def examine(ctx: Context) -> list[Finding]:
    """Everything there is to find, also when nothing runs. Raises SettingsError, OSError when it can't look."""
    here = [check_programs(), check_data(ctx), check_disk(ctx.data)]
    try:
        async with ctx.bus("operator") as bus:
            return [*here, *await _running(ctx, bus)]
    except NotRunning:
        return here if any(f.status == "error" for f in here) else [*here, _not_running(ctx)]
    except CannotConnect as problem:
        return [*here, error("nats", str(problem), "is it running, and are nats.url and nats.seed_file right?")]


def _not_running(ctx: Context) -> Finding:
    return error("nats", "there is none to connect to", "start everything with `magi serve`, or set nats.url")


async def _running(ctx: Context, bus: Bus) -> list[Finding]:
    nats = ctx.settings.nats
    clock = await _one("clock", check_clock(bus, nats.monitor_url))  # alone: what goes on beside it blurs it
    found = await asyncio.gather(
        check_store_disk(ctx),
        _many("streams", check_streams(ctx, bus)),
        _many("copies", check_copies(bus)),
        _one("sync_interval", check_durability(nats.monitor_url, nats.sync_interval, nats.replicas)),
        _many("jetstream", check_limits(bus, nats.monitor_url)),
        check_connections(nats.monitor_url),
        _many("inbox", check_inbox(bus)),
        _many("directory", check_parts(ctx, bus)),
        _one("gateway", check_gateway(ctx)),
        _one("postgres", check_postgres(ctx.settings.postgres.url)),
        check_views(ctx.settings.postgres.url, bus),
    )
    server = [check_server(bus), check_payload(bus), check_files(ctx), *check_certificates(ctx, bus, now_ms())]
    return [*server, *clock, *(finding for group in found for finding in group)]


async def _one(check: str, work: Awaitable[Finding]) -> list[Finding]:
    async def as_list() -> Sequence[Finding]:
        return [await work]

    return await _many(check, as_list())


async def _many(check: str, work: Awaitable[Sequence[Finding]]) -> list[Finding]:
    """What a check found; that it couldn't look is a finding, too, and keeps no other from looking."""
    try:
        return list(await work)
    except (BusError, StoreError, StreamsError, DeclarationError, msgspec.DecodeError) as problem:
        return [
            error(
                check,
                f"can't be looked at: {problem}",
                "see the other findings: it waits for what they name",
            )
        ]
