"""`magi serve`: everything over one data directory, on embedded servers or given ones, until Ctrl-C."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from msgspec import Struct

from magi.cli import logs
from magi.cli.alerting import alerts_of_serve, check_alerts
from magi.cli.children import PartCommand, PartProcess
from magi.cli.context import Context, ServeNote, run_async, write_note
from magi.cli.local import BY, ensure_local_initiator, nats_users, register_builtin
from magi.cli.lost_streams import refuse_lost, remember
from magi.cli.nats_access import EDGE, component_users, seed_file
from magi.cli.options import Data, TlsCa, TlsCert, TlsKey
from magi.cli.panels import definition, parse_panel
from magi.cli.postgres_access import without_password
from magi.cli.scrape import write_targets
from magi.cli.service_manager import tell_manager
from magi.cli.settings import variable
from magi.cli.streams_report import told
from magi.cli.views import Views
from magi.cli.voter_functions import check_builtin
from magi.domain.clock import rfc3339
from magi.domain.directory import DirectoryEvent
from magi.domain.operations import OperatorActed
from magi.domain.template import Define
from magi.domain.voter import VoterKeyChanged, VoterRegistered, VoterRevoked
from magi.embedded import DataDir, EmbeddedServers, NatsUser
from magi.embedded.errors import EmbeddedError, UsersUnknown
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.directory import DirectoryView, change_template, directory_log, record_operation
from magi.eventstore.history import Recorded
from magi.eventstore.presence import now_ms
from magi.eventstore.rights import Component
from magi.eventstore.streams import apply, check, diff

log = structlog.get_logger(__name__)

GRACE = 1.5
"""Seconds, at most, that the gateway flushes what clients are owed, so that everything stops within 5 s."""
HEAD_START = 0.5
"""Seconds that the gateway gets before the other parts stop too. It needs 0.05 when all its clients read."""
LEAVE = 0.3
"""Seconds to take leave of NATS. It takes milliseconds, or for ever when nats-server hangs: it is stopped next."""
USERS_AGAIN = 1.0
"""Seconds until the voters' rights are set again when nats-server didn't say whether it took them."""


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
    check_alerts(Context.load(data, options))
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(DataDir.open(data))
        note_file = directory.run / "magi.json"
        note_file.unlink(missing_ok=True)  # of an earlier life that was killed
        stack.callback(note_file.unlink, missing_ok=True)
        ctx = Context.load(data, options)
        settings = ctx.settings
        logs.configure(settings.log, "serve")
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
        stack.push_async_callback(_at_most, LEAVE, bus.close)
        await _streams(ctx, bus, embedded=embedded, repartition="orchestrator.partitions" in in_force)
        await _directory(stack, ctx, bus, servers if embedded else None, panels)
        parts = await _parts(stack, directory, ctx, views, in_force.get("postgres.url"))
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


async def _at_most(seconds: float, leave: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await leave()
    except TimeoutError:
        log.info("left_without_a_word", what=getattr(leave, "__qualname__", ""))


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


async def _directory(
    stack: AsyncExitStack, ctx: Context, bus: Bus, servers: EmbeddedServers | None, panels: Sequence[Define]
) -> None:
    """Register what belongs to this machine, and keep the embedded server's users in step with the directory."""
    store = directory_log(bus)
    await store.start()
    changed = asyncio.Event()

    async def on_change(event: DirectoryEvent) -> None:
        if isinstance(event, VoterRegistered | VoterKeyChanged | VoterRevoked):
            changed.set()

    view = _SilentView(bus, on_change)
    await view.start()
    stack.push_async_callback(_at_most, LEAVE, view.stop)
    await register_builtin(store, ctx.settings.voters.builtin, ctx.settings.orchestrator.default_group)
    for panel in panels:
        await change_template(store, panel)
    await ensure_local_initiator(store, view, ctx.data)
    if servers is None:
        return

    async def follow() -> None:
        in_force: list[NatsUser] | None = None
        while True:
            await changed.wait()
            changed.clear()
            users = nats_users(view.directory)
            if users == in_force:
                continue  # nats-server cuts off whoever is about to connect while it reads them anew
            try:
                await servers.nats.set_users(users)
                in_force = users
            except UsersUnknown as error:
                log.warning("nats_users_not_set_yet", error=str(error))
                await asyncio.sleep(USERS_AGAIN)
                changed.set()
            except EmbeddedError as error:
                log.error("nats_users_not_set", error=str(error))

    changed.set()
    task = asyncio.create_task(follow())
    stack.callback(task.cancel)


async def _parts(
    stack: AsyncExitStack, directory: DataDir, ctx: Context, views: Views, postgres_url: str | None
) -> list[PartProcess]:
    """Start the parts side by side. They get the command line's settings by the environment: no secret is in it."""
    from_options = {s.name: s.value for s in ctx.in_force if s.source.startswith("--")}
    environment = {variable(name): str(value) for name, value in from_options.items()}
    if postgres_url:
        environment[variable("postgres.url")] = postgres_url
    environment[variable("gateway.grace_seconds")] = str(min(ctx.settings.gateway.grace_seconds, GRACE))
    commands = [
        PartCommand("orchestrator", ("orchestrator",), environment=_seed(ctx, "orchestrator")),
        PartCommand("gateway", ("gateway",), port_variable=variable("gateway.port"), environment=_seed(ctx, "gateway")),
        # All of our environment: models' keys and webhooks' secrets are in variables that have any name.
        PartCommand("voters", ("voter", "--all"), environment=_seed(ctx, "voters"), passed_on=("",)),
    ]
    commands.append(PartCommand("projector", ("projector",), environment=_seed(ctx, "projector")))
    section = ctx.settings.operations

    def on_ready() -> None:
        try:
            write_targets(directory.run, section.host)
        except OSError as error:  # a full disk: what is not measured runs all the same
            log.error("scrape_targets_not_written", error=str(error))

    def process(number: int, command: PartCommand) -> PartProcess:
        own = {variable("operations.port"): str(section.port + number)} if section.port else {}
        return PartProcess(directory, command, {**environment, **own}, on_ready)

    *parts, projector = [process(number, command) for number, command in enumerate(commands)]

    async def stop_all() -> None:
        # First nobody is let in any more, then what is under way is finished. A client that doesn't read keeps the
        # gateway for its grace: the others don't wait for that.
        leaving = [asyncio.create_task(part.stop()) for part in parts if part.name == "gateway"]
        await asyncio.wait(leaving, timeout=HEAD_START)
        others = [part.stop() for part in parts if part.name != "gateway"]
        await asyncio.gather(*leaving, *others, views.stop_projector())

    stack.push_async_callback(stop_all)
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part.start())
            group.create_task(views.start_projector(projector))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return parts


def _seed(ctx: Context, component: Component) -> dict[str, str]:
    """Tells a part where its own seed is, and no other; nothing where all have the same one."""
    nats = ctx.settings.nats
    if nats.seed_file or not nats.seed_dir:
        return {}
    return {variable("nats.seed_file"): str(seed_file(Path(nats.seed_dir), component))}


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
    run_async(until_stopped(_run(Context.load(data, options).data, options, panels)))


def _absolute(file: str | None) -> str | None:
    """For the other commands, which are run elsewhere."""
    return str(Path(file).absolute()) if file else None


async def until_stopped(work: Coroutine[Any, Any, None]) -> bool:
    """Do `work`; cancel it on SIGINT, SIGTERM or SIGHUP and let it clean up. Returns whether it came to its end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a terminal that is closed hangs up
        loop.add_signal_handler(sign, stop.set)
    task = asyncio.ensure_future(work)
    asked = asyncio.ensure_future(stop.wait())
    await asyncio.wait([task, asked], return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    finished = task.done()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    return finished


async def _run(data: Path, options: dict[str, Any], panels: Sequence[Define]) -> None:
    async with running(data, options, panels) as magi:
        logs.settle(Context.load(data, options).settings.log, "serve")  # SIGUSR1 would end it
        sys.stdout.write(f"MAGI is ready at {magi.url}\n")
        sys.stdout.flush()
        tell_manager("READY=1")
        await magi.watch()


class _SilentView(DirectoryView):
    """Each part tells of changes in its own log; ours is a person's terminal."""

    def tell(self, recorded: Recorded[DirectoryEvent]) -> None:
        """Nothing."""
