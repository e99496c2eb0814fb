"""A MAGI of real processes, each kept running as `magi serve` keeps them: what the nemesis strikes.

Initiators → proxy → gateway-1, gateway-2 → proxies → nats-server ← proxies ← orchestrators, voters, projector
                                                                                    Postgres ← proxy ← projector
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from magi.cli.children import PartCommand, PartProcess
from magi.cli.local import issue_token
from magi.domain import initiator as initiators
from magi.domain import voter_commands as voters
from magi.domain.ids import VoterId
from magi.domain.voting_request import RequestEvent
from magi.embedded.datadir import DataDir
from magi.embedded.nats import NAME as NATS
from magi.embedded.nats import EmbeddedNats
from magi.embedded.postgres import EmbeddedPostgres
from magi.embedded.runfile import ServerNote, write_note
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.declarations import Overrides, load_declarations
from magi.eventstore.directory import change_initiator, change_voter, directory_log
from magi.eventstore.log import JetStreamLog
from magi.eventstore.presence import now_ms
from magi.eventstore.streams import apply
from tests.chaos.content import GHOST, VOTERS
from tests.chaos.nemesis import Blow
from tests.chaos.tap import Deliveries, Tap
from tests.ports import lasting_port
from tests.proxy import Proxy

ROOT = Path(__file__).parents[2]
POSTGRES = "postgres"
PROJECTOR = "projector"
GATEWAYS = ("gateway-1", "gateway-2")
ORCHESTRATORS = ("orchestrator-1", "orchestrator-2")
VOTING = ("voters-1", "voters-2")
JUDGE = "tests.voters.judges:judge_slowly"
PARTS = (
    *(PartCommand(name, ("gateway",), "MAGI_GATEWAY_PORT") for name in GATEWAYS),
    *(PartCommand(name, ("orchestrator",)) for name in ORCHESTRATORS),
    PartCommand(VOTING[0], ("voter", f"a={JUDGE}", f"b={JUDGE}")),
    PartCommand(VOTING[1], ("voter", f"b={JUDGE}", f"c={JUDGE}")),
    PartCommand(PROJECTOR, ("projector",)),
)
WITHOUT_VIEWS = PARTS[:-1]
EVERYTHING = "everything"
"""All of them in one moment, as when a machine loses its power (but for what the kernel still writes to the disk)."""
CLIENTS = "clients"
"""The connections of the Initiators to the gateways."""

FIRST: tuple[tuple[str, Blow], ...] = (
    (ORCHESTRATORS[0], "kill"),
    (ORCHESTRATORS[1], "mute"),
    (NATS, "kill"),
    (POSTGRES, "kill"),
    (CLIENTS, "cut"),
    (GATEWAYS[0], "kill"),
    (VOTING[0], "kill"),
)
"""The blows that come even in a short run."""
BLOWS: tuple[tuple[str, Blow], ...] = (
    *FIRST,
    (ORCHESTRATORS[1], "kill"),
    (GATEWAYS[1], "kill"),
    (VOTING[1], "kill"),
    (PROJECTOR, "kill"),
    (EVERYTHING, "kill"),
    *((name, "pause") for name in (NATS, POSTGRES, *(part.name for part in PARTS))),
    *((name, "cut") for name in (POSTGRES, *(part.name for part in PARTS))),
    (ORCHESTRATORS[0], "mute"),
    *((name, "mute") for name in (*GATEWAYS, *VOTING, PROJECTOR)),
    *((name, "freeze") for name in ORCHESTRATORS),
)

ENVIRONMENT = {
    "MAGI_NATS_SYNC_INTERVAL": "always",
    # A voter that was killed misses deadlines; who asks for it by its name is to be served all the same.
    "MAGI_HEALTH_ENABLED": "false",
    "MAGI_OPERATIONS_ENABLED": "false",
    "PYTHONPATH": str(ROOT),
}


class Cluster:
    """Made by `running`, or around servers of one's own."""

    def __init__(
        self, data: DataDir, bus: Bus, environment: Mapping[str, str], servers: Mapping[str, Callable[[], int | None]]
    ) -> None:
        """`environment` is what all parts have in common; `servers` gives the process id of each server, by its name,
        None while there is none."""
        self.bus = bus
        """A connection of the test's own, past the proxies."""
        self.log: JetStreamLog[RequestEvent] = JetStreamLog(bus, subjects.LOG, subjects.LOG_PREFIX, RequestEvent)
        self.deliveries = Deliveries()
        self.data = data
        self.parts: dict[str, PartProcess] = {}
        self.proxies: dict[str, Proxy] = {}
        """Before whom a part's connections can be cut: by the part's name, and `postgres` and `clients`."""
        self._environment = {**ENVIRONMENT, **environment}
        self._servers = servers

    @property
    def url(self) -> str:
        """Where Initiators connect: the one address of both gateways."""
        return f"ws://127.0.0.1:{self.proxies[CLIENTS].port}"

    @property
    def postgres_url(self) -> str:
        """Past the proxy; empty where there is none."""
        return self._environment.get("MAGI_POSTGRES_URL", "")

    @property
    def processes(self) -> list[str]:
        """By name: servers and parts."""
        return [*self._servers, *self.parts]

    def signal(self, target: str, sign: signal.Signals) -> bool:
        """Send a signal to a process, however far its start is; whether there was one."""
        if target == EVERYTHING:
            found = [self.signal(process, sign) for process in self.processes]
            return any(found)
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            pid = self._pid(target)
            if pid is not None:
                os.kill(pid, sign)
                return True
        return False

    def _pid(self, target: str) -> int | None:
        if target in self._servers:
            return self._servers[target]()
        for child in psutil.Process().children():
            with suppress(psutil.Error):
                if child.status() != psutil.STATUS_ZOMBIE and child.environ().get("MAGI_PART") == target:
                    return int(child.pid)
        return None

    async def start(
        self, stack: AsyncExitStack, commands: Iterable[PartCommand], own: Mapping[str, Mapping[str, str]]
    ) -> None:
        """Start parts side by side, and the one address of the gateways. `own` is what the environment of each has
        besides, by its name."""
        for command in commands:
            port = {command.port_variable: str(lasting_port())} if command.port_variable else {}
            part = PartProcess(self.data, command, {**self._environment, **port, **own.get(command.name, {})})
            self.parts[command.name] = part
            stack.push_async_callback(part.stop)
        async with asyncio.TaskGroup() as group:
            for part in self.parts.values():
                group.create_task(part.start())
        ports = [part.port for name, part in self.parts.items() if name in GATEWAYS and part.port]
        self.proxies[CLIENTS] = await stack.enter_async_context(Proxy(*ports))
        await self.log.start()

    async def initiator(self, name: str) -> str:
        """Register an Initiator; returns its token."""
        directory = directory_log(self.bus)
        await directory.start()
        await change_initiator(directory, initiators.Register(name, "chaos", "test", now_ms()))
        return await issue_token(directory, name, "test")

    async def magi(self, *arguments: str) -> tuple[int, str]:
        """Run a command as an operator does: its exit code, and what it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "magi", *arguments, "--data", str(self.data.path)),
            env=os.environ | self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode(errors="replace")

    def said(self) -> str:
        """What all parts have logged."""
        return "\n".join(file.read_text(errors="replace") for file in sorted(self.data.logs.glob("*.log*")))


@asynccontextmanager
async def running(
    path: Path, parts: Iterable[PartCommand] = PARTS, more: Mapping[str, str] | None = None
) -> AsyncIterator[Cluster]:
    """A cluster over the data directory `path`, all parts ready, with the voters a, b, c and the ghost.

    With Postgres if a projector is among the parts. `more` is set in the environment of the parts.
    """
    commands = tuple(parts)
    async with AsyncExitStack() as stack:
        data = stack.enter_context(DataDir.open(path))
        nats = EmbeddedNats(data, sync_interval="always")
        postgres = EmbeddedPostgres(data) if any(c.name == PROJECTOR for c in commands) else None
        write_note(data.run / "nats-server.json", ServerNote(None, lasting_port(), lasting_port()))
        write_note(data.run / "postgres.json", ServerNote(None, lasting_port()))
        servers: list[EmbeddedNats | EmbeddedPostgres] = [nats, *([postgres] if postgres else [])]
        for server in servers:
            stack.push_async_callback(server.stop)
        await asyncio.gather(*(server.start() for server in servers))
        bus = await Bus.connect(nats.url, name="chaos", seed=nats.seed_file.read_text().strip())
        stack.push_async_callback(bus.close)
        await prepare(bus)
        environment = {
            "MAGI_NATS_URL": nats.url,
            "MAGI_NATS_SEED_FILE": str(nats.seed_file),
            "MAGI_NATS_MONITOR_URL": nats.monitor_url,
            **({"MAGI_POSTGRES_URL": postgres.url} if postgres else {}),
        }
        pids: dict[str, Callable[[], int | None]] = {NATS: lambda: nats.pid}
        if postgres:
            pids[POSTGRES] = lambda: postgres.pid
        cluster = Cluster(data, bus, environment, pids)
        through: dict[str, str] = {}
        if postgres:
            proxy = cluster.proxies[POSTGRES] = await stack.enter_async_context(Proxy(postgres.port))
            through["MAGI_POSTGRES_URL"] = postgres.url.replace(f":{postgres.port}/", f":{proxy.port}/")
        own: dict[str, Mapping[str, str]] = {}
        for command in commands:
            tap = await stack.enter_async_context(Tap(command.name, cluster.deliveries, nats.port))
            cluster.proxies[command.name] = tap
            own[command.name] = {**through, "MAGI_NATS_URL": tap.url, **(more or {})}
        await cluster.start(stack, commands, own)
        yield cluster


async def prepare(bus: Bus, replicas: int = 1) -> None:
    """Make the streams, and register the voters and the ghost."""
    await apply(bus.nc, load_declarations(overrides=Overrides(replicas=replicas)))
    await _register(bus, (*VOTERS, GHOST))


async def _register(bus: Bus, names: Iterable[str]) -> None:
    directory = directory_log(bus)
    await directory.start()
    for name in names:
        await change_voter(directory, voters.Register(name, "nats", "chaos", "default", "", "test", now_ms()))
        await ensure_task_consumer(bus, VoterId(name))
