"""A MAGI of real processes, each kept running as `magi serve` keeps them: what the nemesis kills."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import psutil

from magi.cli.children import PartCommand, PartProcess
from magi.cli.local import issue_token
from magi.domain import initiator as initiators
from magi.domain import voter_commands as voters
from magi.domain.ids import VoterId
from magi.domain.voting_request import RequestEvent
from magi.embedded.datadir import DataDir
from magi.embedded.nats import NAME as NATS
from magi.embedded.nats import EmbeddedNats
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.declarations import load_declarations
from magi.eventstore.directory import change_initiator, change_voter, directory_log
from magi.eventstore.log import JetStreamLog
from magi.eventstore.presence import now_ms
from magi.eventstore.streams import apply

JUDGE = "tests.voters.judges:judge_slowly"
PARTS = (
    PartCommand("gateway", ("gateway",), "MAGI_GATEWAY_PORT"),
    PartCommand("orchestrator-1", ("orchestrator",)),
    PartCommand("orchestrator-2", ("orchestrator",)),
    PartCommand("voters-1", ("voter", f"a={JUDGE}", f"b={JUDGE}")),
    PartCommand("voters-2", ("voter", f"b={JUDGE}", f"c={JUDGE}")),
)
PROCESSES = (NATS, *(part.name for part in PARTS))
EVERYTHING = "everything"
"""All of them in one moment, as when a machine loses its power (but for what the kernel still writes to the disk)."""
TARGETS = (*PROCESSES, EVERYTHING)
VOTERS = ("a", "b", "c")
GHOST = "ghost"
"""A registered voter that nobody is."""


class Cluster:
    """Made by `running`."""

    def __init__(self, data: DataDir, nats: EmbeddedNats, parts: list[PartProcess], bus: Bus) -> None:
        self.bus = bus
        """A connection of the test's own."""
        self.log: JetStreamLog[RequestEvent] = JetStreamLog(bus, subjects.LOG, subjects.LOG_PREFIX, RequestEvent)
        self._data = data
        self._nats = nats
        self._parts = {part.name: part for part in parts}

    @property
    def url(self) -> str:
        """Where Initiators connect."""
        return f"ws://127.0.0.1:{self._parts['gateway'].port}"

    def signal(self, target: str, sign: signal.Signals) -> bool:
        """Send a signal to a process, however far its start is; whether there was one."""
        if target == EVERYTHING:
            found = [self.signal(process, sign) for process in PROCESSES]
            return any(found)
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            pid = self._pid(target)
            if pid is not None:
                os.kill(pid, sign)
                return True
        return False

    def _pid(self, target: str) -> int | None:
        if target == NATS:
            return self._nats.pid
        for child in psutil.Process().children():
            with suppress(psutil.Error):
                if child.status() != psutil.STATUS_ZOMBIE and child.environ().get("MAGI_PART") == target:
                    return int(child.pid)
        return None

    async def initiator(self, name: str) -> str:
        """Register an Initiator; returns its token."""
        directory = directory_log(self.bus)
        await directory.start()
        await change_initiator(directory, initiators.Register(name, "chaos", "test", now_ms()))
        return await issue_token(directory, name, "test")

    def said(self) -> str:
        """What all parts have logged."""
        return "\n".join(file.read_text(errors="replace") for file in sorted(self._data.logs.glob("*.log*")))


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Cluster]:
    """A cluster over the data directory `path`, all parts ready, with the voters a, b, c and the ghost."""
    async with AsyncExitStack() as stack:
        data = stack.enter_context(DataDir.open(path))
        nats = EmbeddedNats(data, sync_interval="always")
        await nats.start()
        stack.push_async_callback(nats.stop)
        seed = nats.seed_file.read_text().strip()
        bus = await Bus.connect(nats.url, name="chaos", seed=seed)
        stack.push_async_callback(bus.close)
        await apply(bus.nc, load_declarations())
        await _register(bus, (*VOTERS, GHOST))
        environment = {
            "MAGI_NATS_URL": nats.url,
            "MAGI_NATS_SEED_FILE": str(nats.seed_file),
            "MAGI_NATS_MONITOR_URL": nats.monitor_url,
            "MAGI_NATS_SYNC_INTERVAL": "always",
            # A voter that was killed misses deadlines; who asks for it by its name is to be served all the same.
            "MAGI_HEALTH_ENABLED": "false",
            "MAGI_GATEWAY_PORT": "0",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        parts = [PartProcess(data, command, environment) for command in PARTS]
        for part in parts:
            stack.push_async_callback(part.stop)
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part.start())
        cluster = Cluster(data, nats, parts, bus)
        await cluster.log.start()
        yield cluster


async def _register(bus: Bus, names: Iterable[str]) -> None:
    directory = directory_log(bus)
    await directory.start()
    for name in names:
        await change_voter(directory, voters.Register(name, "nats", "chaos", "default", "", "test", now_ms()))
        await ensure_task_consumer(bus, VoterId(name))
