"""`magi serve`: everything over one data directory, on embedded servers or given ones, until Ctrl-C."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct

from magi.cli import logs
from magi.cli.alerting import alerts_of_serve
from magi.cli.children import PartProcess
from magi.cli.context import Context, ServeNote, run_async, write_note
from magi.cli.leaving import LEAVE, at_most
from magi.cli.local import BY
from magi.cli.lost_streams import refuse_lost, remember
from magi.cli.nats_access import EDGE, component_users
from magi.cli.options import Data, TlsCa, TlsCert, TlsKey
from magi.cli.panels import definition, parse_panel
from magi.cli.postgres_access import without_password
from magi.cli.serve_directory import keep_directory
from magi.cli.serve_parts import start_parts
from magi.cli.service_manager import tell_manager
from magi.cli.setting_files import check_files
from magi.cli.settings import LogSection
from magi.cli.streams_report import told
from magi.cli.until_stopped import INTERRUPTED, until_stopped
from magi.cli.views import Views
from magi.cli.voter_functions import check_builtin
from magi.domain.clock import rfc3339
from magi.domain.operations import OperatorActed
from magi.domain.template import Define
from magi.embedded import DataDir, EmbeddedServers
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.directory import directory_log, record_operation
from magi.eventstore.presence import now_ms
from magi.eventstore.streams import apply, check, diff


class Running(Struct, frozen=True):
    """A MAGI that is up: all parts are ready."""

    data: Path
    url: str
    """Where Initiators connect."""
    tls_ca: str
    """The file with the CA of its certificate; empty: the system's."""
    bus: Bus
    servers: EmbeddedServers
    parts: list[PartProcess]
    """Those that verdicts need."""
    embedded_nats: bool

    async def watch(self) -> None:
        """Return never; raises EmbeddedError when what a verdict needs could not be kept running."""
        vital = [part.failed for part in self.parts]
        vital += [self.servers.nats.failed] if self.embedded_nats else []
        waits: list[asyncio.Future[None]] = [asyncio.ensure_future(failed()) for failed in vital]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for wait in waits:
                wait.cancel()


@asynccontextmanager
async def running(data: Path, options: dict[str, Any], panels: Sequence[Define] = ()) -> AsyncIterator[Running]:
    """Start all parts over a data directory; stop them in the end. Raises EmbeddedError, SettingsError, StreamsError …

    The voters' rights on the embedded NATS follow the directory for as long. `panels` are defined if they aren't.
    """
    check_builtin(Context.load(data, options).settings.voters.builtin)
    check_files(Context.load(data, options), "nats.", "gateway.", "alerts.", "tracing.")
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(DataDir.open(data))
        note_file = directory.run / "magi.json"
        note_file.unlink(missing_ok=True)  # of an earlier life that was killed
        stack.callback(note_file.unlink, missing_ok=True)
        ctx = Context.load(data, options)
        settings = ctx.settings
        logs.configure(_log_settings(ctx), "serve")
        embedded = not settings.nats.url
        sync = settings.nats.sync_interval
        in_force = {setting.name: setting.value for setting in ctx.in_force if setting.source != "default"}
        note: ServeNote | None = None
        passfile = directory.keys / "pgpass"
        if settings.postgres.url:
            in_force["postgres.url"] = without_password(settings.postgres.url, passfile)

        def on_postgres(url: str) -> None:
            in_force["postgres.url"] = without_password(url, passfile)
            if note:  # it came late
                write_note(data, note)

        servers = EmbeddedServers(
            directory,
            sync_interval="2m" if sync == "any" else sync,
            components=component_users(directory.keys) if embedded else (),
            edge=EDGE,
            want_nats=embedded,
            want_postgres=False,
        )
        views = Views(directory, settings.postgres.url, on_postgres)
        await _servers(stack, servers, views)
        if embedded:
            in_force["nats.url"] = servers.nats_url
            in_force["nats.seed_dir"] = str(directory.keys)
            in_force["nats.monitor_url"] = servers.monitor_url
        note = ServeNote(url="", settings=in_force)
        write_note(data, note)
        ctx = Context.load(data, options)
        bus = await ctx.connect("operator", "magi serve")
        stack.push_async_callback(at_most, LEAVE, bus.close)
        await _streams(ctx, bus, embedded=embedded, repartition="orchestrator.partitions" in in_force)
        await keep_directory(stack, ctx, bus, servers if embedded else None, panels)
        parts = await start_parts(stack, directory, ctx, views, in_force.get("postgres.url"))
        port = next(part.port for part in parts if part.name == "gateway")
        url = gateway_url(settings.gateway.host, port, "wss" if settings.gateway.tls_cert else "ws")
        in_force["gateway.port"] = port
        note = ServeNote(url=url, settings=in_force)
        write_note(data, note)
        await stack.enter_async_context(alerts_of_serve(ctx))
        stack.callback(note_file.unlink, missing_ok=True)  # before anything is stopped
        yield Running(data, url, settings.gateway.tls_ca, bus, servers, parts, embedded)


async def _servers(stack: AsyncExitStack, servers: EmbeddedServers, views: Views) -> None:
    """Start the embedded servers side by side, and stop them so. Raises EmbeddedError when NATS can't be started."""

    async def stop() -> None:
        await asyncio.gather(servers.__aexit__(None, None, None), views.stop_postgres())

    stack.push_async_callback(stop)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(servers.__aenter__())
            group.create_task(views.start_postgres())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _log_settings(ctx: Context) -> LogSection:
    """A person at a terminal is told what is wrong; what else goes on is for whoever keeps the log, or asks for it."""
    asked = any(s.name in ("log.level", "log.parts") and s.source != "default" for s in ctx.in_force)
    log_ = ctx.settings.log
    return log_ if asked or not sys.stderr.isatty() else msgspec.structs.replace(log_, level="warning")


def gateway_url(host: str, port: int | None, scheme: str = "ws") -> str:
    """Where this machine's clients reach a gateway that listens on `host`."""
    if host in ("", "0.0.0.0", "::"):  # noqa: S104 - all addresses; loopback is one of them
        host = "127.0.0.1" if host != "::" else "::1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _streams(ctx: Context, bus: Bus, *, embedded: bool, repartition: bool) -> None:
    """Make the streams what they are declared to be; on somebody else's server only those that are missing."""
    declarations = ctx.declarations()
    nats = ctx.settings.nats
    wanted = {d.stream for d in await diff(bus.nc, declarations) if d.field == "stream"}
    await refuse_lost(ctx.data, "" if embedded else nats.url, nats.monitor_url, wanted)
    if not embedded:
        if repartition:  # a number was asked for in so many words
            wanted.add(subjects.INBOX)
        declarations = tuple(d for d in declarations if d.name in wanted)
    applied = await apply(bus.nc, declarations)
    if updated := told([one for one in applied if one.action == "updated"]):
        store = directory_log(bus)
        await store.start()
        acted = OperatorActed(at=rfc3339(now_ms()), action="serve", what=updated, by=BY)
        await record_operation(store, "streams", acted)
    await check(bus.nc, ctx.declarations(), monitor_url=nats.monitor_url, sync_interval=nats.sync_interval)
    if not embedded:
        await remember(ctx.data, nats.url, bus.nc)


def serve(
    data: Data = None,
    port: Annotated[int | None, typer.Option(help="The gateway's port; 0: any that is free.")] = None,
    nats: Annotated[str | None, typer.Option(help="A NATS of your own, instead of the embedded one.")] = None,
    postgres: Annotated[str | None, typer.Option(help="A Postgres of your own, instead of the embedded one.")] = None,
    partitions: Annotated[int | None, typer.Option(help="Partitions of the inbox.")] = None,
    panel: Annotated[
        list[str] | None,
        typer.Option(
            help="A panel to define, as 'code: melchior, balthasar, 1 of llm'; repeatable. See `magi panels`."
        ),
    ] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_ca: TlsCa = None,
) -> None:
    """Run everything until Ctrl-C: servers, gateway, orchestrator, projector and the built-in voters."""
    files = {"tls_cert": tls_cert, "tls_key": tls_key, "tls_ca": tls_ca}
    options = {
        "gateway.port": port,
        "nats.url": nats,
        "postgres.url": postgres,
        "orchestrator.partitions": partitions,
        **{f"gateway.{name}": _absolute(file) for name, file in files.items()},
    }
    panels = [definition(*parse_panel(text), None, "--panel", BY) for text in panel or ()]
    ready = asyncio.Event()
    ended_by = run_async(until_stopped(_run(Context.load(data, options).data, options, panels, ready)))
    if ended_by and not ready.is_set():
        sys.stderr.write("magi: stopped while it was starting; nothing of it runs any more\n")
        if ended_by == signal.SIGINT:  # whoever manages services ends them by SIGTERM, and that is a good end
            raise typer.Exit(INTERRUPTED)


def _absolute(file: str | None) -> str | None:
    """For the other commands, which are run elsewhere."""
    return str(Path(file).absolute()) if file else None


async def _run(data: Path, options: dict[str, Any], panels: Sequence[Define], ready: asyncio.Event) -> None:
    async with running(data, options, panels) as magi:
        ready.set()
        logs.settle(_log_settings(Context.load(data, options)), "serve")  # SIGUSR1 would end it
        sys.stdout.write(f"MAGI is ready at {magi.url}\n")
        sys.stdout.flush()
        tell_manager("READY=1")
        await magi.watch()
