"""Who is measured side by side, started: the floor, MAGI, and what others would build the same on."""

import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from msgspec import Struct

from bench.floor import create_streams
from bench.peers.processes import started
from bench.peers.redis_server import redis_server
from bench.peers.redis_server import version as redis_version
from bench.rivals import Rival, floor_rival, magi_rival
from magi.embedded import DataDir, EmbeddedServers, find_running
from magi.embedded.runfile import read_note
from tests.servers import NatsServer
from tests.waiting import until

UP_WITHIN = 60.0
"""Seconds until a peer serves; DBOS makes its tables, Celery imports a lot."""


class Contender(Struct):
    rival: Rival
    settings: str
    """What it runs on, and when it calls a request stored."""
    survives: str
    """What an acknowledged request survives: ``kill -9``, ``power cut``."""
    folders: tuple[Path, ...] = ()
    """Where it stores, besides a database."""
    database: str = ""
    """The URL of its Postgres."""


def survives(sync: str) -> str:
    return "power cut" if sync == "always" else "kill -9"


@asynccontextmanager
async def the_floor(folder: Path, sync: str) -> AsyncIterator[Contender]:
    async with floor_rival(folder, sync) as rival:
        settings = f"nats-py {version('nats-py')} on JetStream (file, sync_interval {sync})"
        yield Contender(rival, settings, survives(sync), (folder / "floor" / "jetstream",))


@asynccontextmanager
async def magi(folder: Path, sync: str) -> AsyncIterator[Contender]:
    """All that `magi serve` runs is its own: the projector and its Postgres too."""
    async with magi_rival(folder, sync) as rival:
        data = folder / "magi"
        for part, note in (("projector", "projector"), ("Postgres", "postgres"), ("unused voters", "voters")):
            pid = read_note(data / "run" / f"{note}.json").pid
            if pid is not None:
                rival.pids[part] = pid
        running = find_running(data)
        assert running is not None
        rival.pids["serve"] = running.pid
        settings = f"JetStream (file, sync_interval {sync}); views in Postgres"
        yield Contender(rival, settings, survives(sync), (data / "nats",), running.postgres_url or "")


@asynccontextmanager
async def on_dbos(folder: Path, sync: str) -> AsyncIterator[Contender]:
    async with _postgres(folder / "dbos") as (url, postgres), AsyncExitStack() as stack:
        rival = await _sharing_a_port(
            stack, "dbos", folder, lambda n: ["bench.peers.on_dbos", "{port}", "{ready}", url, f"executor-{n}"], 2
        )
        rival.pids["Postgres"] = postgres
        settings = f"dbos {version('dbos')} on Postgres (fsync, synchronous_commit on)"
        yield Contender(rival, settings, "power cut", database=url)


@asynccontextmanager
async def on_eventsourcing(folder: Path, sync: str) -> AsyncIterator[Contender]:
    async with _postgres(folder / "eventsourcing") as (url, postgres), AsyncExitStack() as stack:
        parts = urlsplit(url)
        environment = {
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": parts.path.strip("/"),
            "POSTGRES_HOST": str(parts.hostname),
            "POSTGRES_PORT": str(parts.port),
            "POSTGRES_USER": str(parts.username),
            "POSTGRES_PASSWORD": str(parts.password),
            "POSTGRES_ENABLE_DB_FUNCTIONS": "y",
        }
        rival = await _sharing_a_port(
            stack,
            "eventsourcing",
            folder,
            lambda _: ["bench.peers.on_eventsourcing", "{port}", "{ready}"],
            2,
            **environment,
        )
        rival.pids["Postgres"] = postgres
        settings = f"eventsourcing {version('eventsourcing')} on Postgres (fsync, synchronous_commit on)"
        yield Contender(rival, settings, "power cut", database=url)


@asynccontextmanager
async def on_celery(folder: Path, sync: str) -> AsyncIterator[Contender]:
    """Raises NoRedis."""
    fsync = "always" if sync == "always" else "everysec"
    with redis_server(folder / "redis", fsync) as (url, redis):
        async with AsyncExitStack() as stack:
            command = "-m celery -A bench.peers.on_celery worker --concurrency 2 --loglevel WARNING"
            quiet = "--without-gossip --without-mingle --without-heartbeat"
            worker = stack.enter_context(
                started(
                    [sys.executable, *command.split(), *quiet.split()], folder / "celery-worker.log", BENCH_REDIS=url
                )
            )

            async def forked() -> bool:
                _must_run(worker.poll(), folder / "celery-worker.log")
                return len(psutil.Process(worker.pid).children()) >= 2

            await until(forked, "Celery's workers are up", UP_WITHIN)
            rival = await _sharing_a_port(
                stack, "celery", folder, lambda _: ["bench.peers.on_celery", "{port}", "{ready}"], 1, BENCH_REDIS=url
            )
            rival.pids |= {"workers": worker.pid, "Redis": redis}
            settings = f"celery {version('celery')} with Redis {redis_version()} (appendonly, appendfsync {fsync})"
            lasts = "power cut" if fsync == "always" else "kill -9"
            yield Contender(rival, settings, lasts, (folder / "redis",))


@asynccontextmanager
async def on_faststream(folder: Path, sync: str) -> AsyncIterator[Contender]:
    with NatsServer(folder / "faststream", jetstream=f"sync_interval: {sync}") as server:
        async with AsyncExitStack() as stack:
            await create_streams(server.url)
            module = "bench.peers.on_faststream"
            pids = {"nats-server": server.pid}
            for part in ("orchestrator", "voters"):
                ready = folder / f"faststream-{part}.ready"
                pids[part] = await _ready(stack, [module, part, server.url, str(ready)], ready)
            rival = await _sharing_a_port(
                stack, "faststream", folder, lambda _: [module, "front", server.url, "{ready}", "{port}"], 1
            )
            rival.pids |= pids
            settings = f"faststream {version('faststream')} on JetStream (file, sync_interval {sync})"
            yield Contender(rival, settings, survives(sync), (folder / "faststream" / "jetstream",))


ALL: dict[str, Callable[[Path, str], AbstractAsyncContextManager[Contender]]] = {
    "floor": the_floor,
    "magi": magi,
    "eventsourcing": on_eventsourcing,
    "faststream": on_faststream,
    "celery": on_celery,
    "dbos": on_dbos,
}
"""By the name that tables give them; each is given a folder and nats-server's sync_interval."""


@asynccontextmanager
async def _postgres(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """A PostgreSQL of its own, as MAGI starts it: its URL and process id."""
    with DataDir.open(folder) as data:
        async with EmbeddedServers(data, want_nats=False) as servers:
            pid = servers.postgres.pid
            assert pid is not None
            yield servers.postgres_url, pid


async def _sharing_a_port(
    stack: AsyncExitStack,
    name: str,
    folder: Path,
    command: Callable[[int], list[str]],
    number: int,
    **environment: str,
) -> Rival:
    """`number` fronts on one port, ready; ``{port}`` and ``{ready}`` in a command are filled in."""
    keeper = stack.enter_context(socket.socket())  # bound and not listening: the port stays ours, and gets nothing
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    keeper.bind(("127.0.0.1", 0))
    port: int = keeper.getsockname()[1]
    pids: dict[str, int] = {}
    for n in range(number):  # one after the other: the first makes the tables
        ready = folder / f"{name}-{n}.ready"
        filled = [word.replace("{port}", str(port)).replace("{ready}", str(ready)) for word in command(n)]
        pids["front" if number == 1 else f"process {n + 1}"] = await _ready(stack, filled, ready, **environment)
    return Rival(name, f"ws://127.0.0.1:{port}", "", pids)


async def _ready(stack: AsyncExitStack, module: list[str], ready: Path, **environment: str) -> int:
    """The process id of a Python module that has written its file `ready`. Raises RuntimeError when it ends before."""
    log = ready.with_suffix(".log")
    process = stack.enter_context(started([sys.executable, "-m", *module], log, **environment))

    async def is_ready() -> bool:
        _must_run(process.poll(), log)
        return os.path.exists(ready)  # noqa: ASYNC240 - local, and nobody else waits

    await until(is_ready, f"{ready.stem} is ready", UP_WITHIN)
    return process.pid


def _must_run(exit_code: int | None, log: Path) -> None:
    if exit_code is not None:
        raise RuntimeError(f"it ended with exit code {exit_code}; {log.name} says:\n{log.read_text()[-2000:]}")
