"""`magi gateway`, `magi orchestrator`, `magi voter`: each part as a process of its own, until SIGINT or SIGTERM."""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Protocol

import structlog
import typer

from magi.cli import logs
from magi.cli.context import Context, run_async
from magi.cli.options import Data
from magi.cli.voter_functions import find_judge
from magi.domain.ids import VoterId, check_name
from magi.embedded.runfile import ServerNote, write_note
from magi.eventstore.bus import Bus
from magi.eventstore.streams import check, ensure_presence, inbox_partitions
from magi.gateway.server import Gateway
from magi.orchestrator.orchestrator import Orchestrator, OrchestratorSettings
from magi.voters.agent import VoterAgent

log = structlog.get_logger(__name__)

CONNECT_ATTEMPTS = 20
"""Tries to reach NATS at the start: about half a minute, longer than a server that has to be started first."""


STOP_WITHIN = 2.0
"""Seconds in which everything of a part has to be stopped. Without NATS most of it waits for answers in vain."""


class PartFailed(Exception):
    """A part can't go on; it has to be started anew."""


class Part(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


async def run_part(
    ctx: Context, name: str, make: Callable[[Bus, int], Sequence[Part]], ready: Callable[[Sequence[Part]], int | None]
) -> None:
    """Run what `make` returns for a connection and a number of partitions, until a signal.

    Refuses to start on streams weaker than declared. `ready` gives the port to report, if there is one. Raises
    PartFailed when the part breaks, and what connecting and checking raise.
    """
    logs.configure(ctx.settings.log, name)
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    async with AsyncExitStack() as stack:
        bus = await ctx.connect(name, CONNECT_ATTEMPTS)
        stack.push_async_callback(bus.close)
        declarations = ctx.declarations()
        nats = ctx.settings.nats
        await ensure_presence(bus.nc, declarations)
        await check(bus.nc, declarations, monitor_url=nats.monitor_url, sync_interval=nats.sync_interval)
        parts = make(bus, await inbox_partitions(bus.nc))
        started: list[Part] = []
        stack.push_async_callback(_stop, started)
        for part in parts:
            await part.start()
            started.append(part)
        log.info("part_ready", pid=os.getpid())
        _report(ctx.data, ready(parts))
        await _until(stop, bus, parts)
        log.info("part_stops")


async def _stop(parts: Sequence[Part]) -> None:
    """Stop them side by side; what takes too long is left, as if the process had been killed."""
    if not parts:
        return
    stops = [asyncio.create_task(part.stop()) for part in parts]
    done, late = await asyncio.wait(stops, timeout=STOP_WITHIN)
    for stop in late:
        stop.cancel()
    for stop in done:
        if error := stop.exception():
            log.error("part_not_stopped", error=repr(error))
    if late:
        log.warning("part_stopped_late", left=len(late))


async def _until(stop: asyncio.Event, bus: Bus, parts: Sequence[Part]) -> None:
    """Wait for the end: asked for, or because a part can't go on."""
    waits: list[Awaitable[object]] = [stop.wait(), bus.closed.wait()]
    waits += [part.failed for part in parts if hasattr(part, "failed")]
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    tasks[0].cancel()
    tasks[1].cancel()
    if stop.is_set():
        return
    if bus.closed.is_set():
        raise PartFailed("NATS closed the connection for good")
    for task in done:
        if not task.cancelled() and (error := task.exception()):
            raise PartFailed(f"can't go on: {error}") from error


def _report(data: Path, port: int | None) -> None:
    """Tell `magi serve`, if it started us, that we are ready."""
    name = os.environ.get("MAGI_PART")
    if name:
        write_note(data / "run" / f"{name}.json", ServerNote(pid=os.getpid(), port=port))


def gateway(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0: any that is free.")] = None,
) -> None:
    """Serve Initiators over WebSocket."""
    ctx = Context.load(data, {"gateway.host": host, "gateway.port": port})
    section = ctx.settings.orchestrator

    def make(bus: Bus, partitions: int) -> list[Gateway]:
        return [
            Gateway(
                bus,
                ctx.settings.gateway,
                partitions=partitions,
                panel_size=section.panel_size,
                default_group=section.default_group,
            )
        ]

    run_async(run_part(ctx, "gateway", make, lambda parts: parts[0].port))  # type: ignore[attr-defined]


def orchestrator(data: Data = None) -> None:
    """Take submissions and ballots from the inbox and decide on them."""
    ctx = Context.load(data)
    section = ctx.settings.orchestrator

    def make(bus: Bus, partitions: int) -> list[Orchestrator]:
        settings = OrchestratorSettings(partitions, section.panel_size, section.default_group)
        return [Orchestrator(bus, settings)]

    run_async(run_part(ctx, "orchestrator", make, lambda _: None))


def voter(
    voters: Annotated[
        list[str], typer.Argument(help="Voters: a built-in one's id, or ID=MODULE:FUNCTION for one of your own.")
    ],
    data: Data = None,
    capacity: Annotated[int | None, typer.Option(help="Tasks judged at once by each.")] = None,
) -> None:
    """Run voters: the built-in ones, or Python functions of your own. They must be registered."""
    ctx = Context.load(data, {"voters.capacity": capacity})
    judges = {VoterId(check_name(name.partition("=")[0], "voter")): find_judge(name) for name in voters}

    def make(bus: Bus, _: int) -> list[VoterAgent]:
        size = ctx.settings.voters.capacity
        return [VoterAgent(bus, name, judge, capacity=size) for name, judge in judges.items()]

    run_async(run_part(ctx, "voter", make, lambda _: None))
    if threading.active_count() > 1:
        # A judge that blocks in its thread would keep the process for as long: Python waits for threads at its exit.
        # Its task comes again.
        os._exit(0)
