"""`magi gateway`, `magi orchestrator`, `magi voter`: each part as a process of its own, until SIGINT or SIGTERM."""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import structlog
import typer

from magi.cli import logs
from magi.cli.context import Context, run_async
from magi.cli.garbage import collect_rarely
from magi.cli.operations import operations
from magi.cli.options import Data, TlsCert, TlsKey
from magi.cli.service_manager import tell_manager
from magi.cli.setting_files import check_files
from magi.cli.settings import SettingsError
from magi.cli.traces import traced
from magi.cli.voter_functions import find_function
from magi.domain.ids import VoterId, check_name
from magi.embedded.runfile import ServerNote, write_note
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.rights import Component
from magi.eventstore.streams import check, ensure_presence, inbox_partitions
from magi.gateway.server import Gateway
from magi.orchestrator.orchestrator import Orchestrator, OrchestratorSettings
from magi.voters.agent import CAPACITY, VoterAgent
from magi.voters.hosted import HostedVoters

if TYPE_CHECKING:
    from magi.orchestrator.alert_webhook import AlertWebhook

log = structlog.get_logger(__name__)

CONNECT_ATTEMPTS = 20
"""Tries to reach NATS at the start: about half a minute, longer than a server that has to be started first."""


STOP_WITHIN = 2.0
"""Seconds in which everything of a part has to be stopped, if it doesn't say `stops_within`. Without NATS most of it
waits for answers in vain."""
LEAVE = 0.2
"""Seconds to take leave of NATS. It takes milliseconds, or for ever when nats-server hangs."""


_FILES_OF: dict[Component, tuple[str, ...]] = {
    "gateway": ("nats.", "gateway.", "tracing."),
    "orchestrator": ("nats.", "alerts.webhook", "tracing."),
    "voters": ("nats.", "tracing."),
}
"""How the settings begin whose files a part relies on."""


class PartFailed(Exception):
    """A part can't go on; it has to be started anew."""


class Part(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


async def run_part(
    ctx: Context,
    name: Component,
    make: Callable[[Bus, int], Sequence[Part]],
    ready: Callable[[Sequence[Part]], int | None],
) -> None:
    """Run what `make` returns for a connection and a number of partitions, until a signal.

    Refuses to start on streams weaker than declared. `ready` gives the port to report, if there is one. Raises
    PartFailed when the part breaks, and what connecting and checking raise.
    """
    logs.configure(ctx.settings.log, name)
    check_files(ctx, *_FILES_OF.get(name, ("nats.",)))
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    async with AsyncExitStack() as stack:
        traces = await stack.enter_async_context(traced(ctx, name))  # it ends last: what the others do then is in it
        bus = await ctx.connect(name, attempts=CONNECT_ATTEMPTS)
        stack.push_async_callback(_leave, bus)
        declarations = ctx.declarations()
        nats = ctx.settings.nats
        if name == "orchestrator":
            await ensure_presence(bus.nc, declarations)
        else:  # it may be missing, until an orchestrator makes it: nothing but heartbeats is in it
            declarations = tuple(d for d in declarations if d.name != subjects.PRESENCE)
        await check(bus.nc, declarations, monitor_url=nats.monitor_url, sync_interval=nats.sync_interval)
        parts = make(bus, await inbox_partitions(bus.nc))
        started: list[Part] = []
        stack.push_async_callback(_stop, started)
        for part in parts:
            await part.start()
            started.append(part)
        operations_port = await stack.enter_async_context(operations(ctx, name, bus, [*parts, traces]))
        logs.settle(ctx.settings.log, name)
        collect_rarely()
        log.info("part_ready", pid=os.getpid())
        _report(ctx.data, ready(parts), operations_port)
        tell_manager("READY=1")
        await _until(stop, bus, parts)
        log.info("part_stops")
        tell_manager("STOPPING=1")


async def _stop(parts: Sequence[Part]) -> None:
    """Stop them side by side; what takes too long is left, as if the process had been killed."""
    if not parts:
        return
    within = max(getattr(part, "stops_within", STOP_WITHIN) for part in parts)
    stops = [asyncio.create_task(part.stop()) for part in parts]
    done, late = await asyncio.wait(stops, timeout=within + 0.1)
    for stop in late:
        stop.cancel()
    for stop in done:
        if error := stop.exception():
            log.error("part_not_stopped", error=repr(error))
    if late:
        log.warning("part_stopped_late", left=len(late))


async def _leave(bus: Bus) -> None:
    try:
        async with asyncio.timeout(LEAVE):
            await bus.close()
    except TimeoutError:
        log.info("left_without_a_word")


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


def _report(data: Path, port: int | None, operations_port: int | None) -> None:
    """Tell `magi serve`, if it started us, that we are ready."""
    name = os.environ.get("MAGI_PART")
    if name:
        note = ServerNote(pid=os.getpid(), port=port, operations_port=operations_port)
        write_note(data / "run" / f"{name}.json", note)


def gateway(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0: any that is free.")] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
) -> None:
    """Serve Initiators over WebSocket."""
    options = {"gateway.host": host, "gateway.port": port, "gateway.tls_cert": tls_cert, "gateway.tls_key": tls_key}
    ctx = Context.load(data, options)
    section = ctx.settings.orchestrator

    def make(bus: Bus, partitions: int) -> list[Gateway]:
        return [
            Gateway(
                bus,
                ctx.settings.gateway,
                partitions=partitions,
                panel_size=section.panel_size,
                default_group=section.default_group,
                default_panel=section.default_panel,
                declared=ctx.declarations(),
            )
        ]

    run_async(run_part(ctx, "gateway", make, lambda parts: parts[0].port))  # type: ignore[attr-defined]


def orchestrator(data: Data = None) -> None:
    """Take submissions and ballots from the inbox and decide on them."""
    ctx = Context.load(data)
    section = ctx.settings.orchestrator

    def make(bus: Bus, partitions: int) -> list[Part]:
        settings = OrchestratorSettings(
            partitions,
            section.panel_size,
            section.default_group,
            health=ctx.settings.health,
            default_panel=section.default_panel,
        )
        webhooks = _alert_webhooks(ctx)
        return [*webhooks, Orchestrator(bus, settings, webhooks)]

    run_async(run_part(ctx, "orchestrator", make, lambda _: None))


def _alert_webhooks(ctx: Context) -> "list[AlertWebhook]":
    """Where alerts are posted, if anywhere. Raises SettingsError."""
    settings = ctx.settings.alerts
    if not settings.webhook_url:
        return []
    from magi.orchestrator.alert_webhook import AlertWebhook, read_secret  # here: few need an HTTP client

    try:
        return [AlertWebhook(settings.webhook_url, read_secret(settings.webhook_secret_file))]
    except (OSError, ValueError) as error:
        raise SettingsError(f"alerts.webhook_url or alerts.webhook_secret_file: {error}") from error


def voter(
    voters: Annotated[
        list[str] | None,
        typer.Argument(help="Registered voters by their ids, and Python functions of yours as ID=MODULE:FUNCTION."),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All that MAGI can run itself: built-in, http, llm and command.")
    ] = False,
    data: Data = None,
    capacity: Annotated[int | None, typer.Option(help="Tasks judged at once by each.", min=1)] = None,
) -> None:
    """Run voters, whatever is registered, changed or revoked meanwhile."""
    ctx = Context.load(data, {"voters.capacity": capacity})
    if all_ == bool(voters):
        raise typer.BadParameter("expected the names of voters, or --all")
    names = {VoterId(check_name(name.partition("=")[0], "voter")): name for name in voters or ()}
    functions = {name: find_function(given) for name, given in names.items() if "=" in given}
    registered = frozenset(names) - set(functions)

    def make(bus: Bus, _: int) -> list[Part]:
        from magi.voters.callbacks import CallbackServer
        from magi.voters.kinds import hosts, judges

        size = ctx.settings.voters.capacity
        parts: list[Part] = [VoterAgent(bus, n, judge, capacity=size or CAPACITY) for n, judge in functions.items()]
        if all_ or registered:
            callbacks = CallbackServer(ctx.settings.callbacks)
            only = None if all_ else registered
            parts += [callbacks, HostedVoters(bus, hosts, judges(callbacks), only=only, capacity=size or None)]
        return parts

    run_async(run_part(ctx, "voters", make, lambda _: None))
    if threading.active_count() > 1:
        # A judge that blocks in its thread would keep the process for as long: Python waits for threads at its exit.
        # Its task comes again.
        os._exit(0)
