"""`magi doctor`: is everything there, does it promise what it must, and what to do about what doesn't.

Exit codes: 0 no error, 1 errors were found, 2 it could not look.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack

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
from magi.cli.checks_watching import check_alerts, check_collector, check_setting_files, check_webhook
from magi.cli.checks_work import check_inbox, check_parts
from magi.cli.context import Context, NotRunning, run_async
from magi.cli.findings import Finding, error, findings_json, show_findings
from magi.cli.options import Data, Json
from magi.cli.output import show
from magi.cli.postgres_access import shown
from magi.eventstore.bus import Bus, BusError, CannotConnect
from magi.eventstore.declarations import DeclarationError
from magi.eventstore.history import StoreError
from magi.eventstore.presence import now_ms
from magi.eventstore.streams import StreamsError

ERRORS = 1
AT_ONCE = 1.0
"""Seconds within which a server that runs refuses somebody."""
LOOK_WITHIN = 12.0
"""Seconds for a check. Each takes milliseconds, or as long as its own patience: two questions of five seconds."""


def doctor(data: Data = None, json: Json = False) -> None:
    """Check servers, streams, versions, clock, durability and who is at work; say what to do about each finding."""
    ctx = Context.load(data)
    findings = run_async(examine(ctx))
    show(findings_json(findings) if json else show_findings(findings))
    if any(finding.status == "error" for finding in findings):
        raise typer.Exit(ERRORS)


async def examine(ctx: Context) -> list[Finding]:
    """Everything there is to find, also when nothing runs. Raises SettingsError, OSError when it can't look."""
    here = [check_programs(), check_data(ctx), check_disk(ctx.data), *check_setting_files(ctx)]
    beside = asyncio.create_task(_beside(ctx))  # what needs no NATS doesn't wait for one that hangs
    try:
        async with AsyncExitStack() as stack:
            found = await _running(ctx, await _connected(stack, ctx))
    except NotRunning:
        beside.cancel()
        elsewhere = [*await check_webhook(ctx), *await check_collector(ctx)]
        nothing = [] if any(f.status == "error" for f in here) else [_not_running(ctx)]
        return [*here, *nothing, *elsewhere]
    except CannotConnect as problem:
        hangs = isinstance(problem.__cause__, TimeoutError)
        why = f"no answer at {shown(ctx.settings.nats.url)}: it hangs, or is no nats-server" if hangs else str(problem)
        found = [error("nats", why, "is it running, and are nats.url and nats.seed_file right?")]
        found += check_certificates(ctx, None, now_ms())
    return [*here, *found, *await beside]


async def _connected(stack: AsyncExitStack, ctx: Context) -> Bus:
    """Raises NotRunning, CannotConnect."""
    for pause in (0.1, 0.3, None):
        began = time.monotonic()
        try:
            return await stack.enter_async_context(ctx.bus("operator", attempts=1))
        except CannotConnect:
            # At once: it may be reading its users anew, and cuts off whoever comes meanwhile. Late: it hangs.
            if pause is None or time.monotonic() - began > AT_ONCE:
                raise
            await asyncio.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _not_running(ctx: Context) -> Finding:
    return error("nats", "there is none to connect to", "start everything with `magi serve`, or set nats.url")


async def _beside(ctx: Context) -> list[Finding]:
    """What can be looked at without NATS."""
    found = await asyncio.gather(
        _many("nats disk", check_store_disk(ctx)),
        _one("gateway", check_gateway(ctx)),
        _one("postgres", check_postgres(ctx.settings.postgres.url)),
        _many("alert webhook", check_webhook(ctx)),
        _many("tracing", check_collector(ctx)),
    )
    return [finding for group in (*found, check_alerts(ctx)) for finding in group]


async def _running(ctx: Context, bus: Bus) -> list[Finding]:
    nats = ctx.settings.nats
    clock = await _one("clock", check_clock(bus, nats.monitor_url))  # alone: what goes on beside it blurs it
    found = await asyncio.gather(
        _many("streams", check_streams(ctx, bus)),
        _many("copies", check_copies(bus)),
        _one("sync_interval", check_durability(nats.monitor_url, nats.sync_interval, nats.replicas)),
        _many("jetstream", check_limits(bus, nats.monitor_url)),
        _many("connections", check_connections(nats.monitor_url)),
        _many("inbox", check_inbox(bus)),
        _many("directory", check_parts(ctx, bus)),
        _many("projections", check_views(ctx.settings.postgres.url, bus)),
    )
    server = [check_server(bus), check_payload(bus), check_files(ctx), *check_certificates(ctx, bus, now_ms())]
    return [*server, *clock, *(finding for group in found for finding in group)]


async def _one(check: str, work: Awaitable[Finding]) -> list[Finding]:
    async def as_list() -> Sequence[Finding]:
        return [await work]

    return await _many(check, as_list())


async def _many(check: str, work: Awaitable[Sequence[Finding]]) -> list[Finding]:
    """What a check found; that it couldn't look, or not in time, is a finding, too, and keeps no other from looking."""
    try:
        async with asyncio.timeout(LOOK_WITHIN):
            return list(await work)
    except TimeoutError:
        problem: object = f"no answer within {LOOK_WITHIN:.0f} s"
    except (BusError, StoreError, StreamsError, DeclarationError, msgspec.DecodeError) as failure:
        problem = failure
    return [error(check, f"can't be looked at: {problem}", "see the other findings: it waits for what they name")]
