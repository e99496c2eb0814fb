"""What is measured: MAGI and the floor, each with its processes, its address, and a way to take its processor time."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec import Struct

from bench import floor
from magi.cli.context import Context, read_note
from magi.cli.local_token import token_file
from magi.domain import voter_commands as voters
from magi.domain.errors import Conflict
from magi.domain.ids import VoterId
from magi.embedded.runfile import read_note as read_server_note
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.direct import DirectReader
from magi.eventstore.directory import change_voter, directory_log
from magi.eventstore.presence import alive, now_ms
from tests.servers import NatsServer
from tests.waiting import until

HERE = Path(__file__).parents[1]


class Rival(Struct):
    name: str
    url: str
    token: str
    pids: dict[str, int]
    """Part to process id, for the processor time. A part's second process is ``orchestrator 2`` and so on."""
    urls: tuple[str, ...] = ()
    """Of all its gateways, if it has several; `url` is the first one's."""
    data: Path = Path()
    """MAGI's data directory."""
    ready: float = 0.0
    """Seconds from the start of `magi serve` until it could be asked."""


def _start(stack: AsyncExitStack, tree: Path, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start Python in `tree`, and so with the MAGI that is there."""
    process = subprocess.Popen(
        [sys.executable, *arguments], env={**os.environ, **environment}, stdout=subprocess.DEVNULL, cwd=tree
    )

    def stop() -> None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(stop)
    return process


@contextlib.asynccontextmanager
async def floor_rival(folder: Path, sync_interval: str) -> AsyncIterator[Rival]:
    """The bare pipeline on a nats-server of its own."""
    with NatsServer(folder / "floor", jetstream=f"sync_interval: {sync_interval}") as server:
        async with AsyncExitStack() as stack:
            await floor.create_streams(server.url)
            port_file = folder / "floor.port"
            pids = {"nats-server": server.pid}
            for part in ("orchestrator", "voters", "gateway"):
                process = _start(stack, HERE, "-m", "bench.floor", part, server.url, str(port_file))
                pids[part] = process.pid

            async def ready() -> bool:
                return port_file.exists() and port_file.read_text() != ""

            await until(ready, "the floor is up", 30)
            await asyncio.sleep(1)  # its consumers are made beside; nothing says when
            yield Rival("floor", f"ws://127.0.0.1:{port_file.read_text()}", "", pids)


@contextlib.asynccontextmanager
async def magi_rival(
    folder: Path,
    sync_interval: str,
    tree: Path = HERE,
    name: str = "magi",
    *,
    voter_ids: Sequence[str] = floor.VOTERS,
    voter_processes: int = 1,
    more: Sequence[str] = (),
    **settings: str,
) -> AsyncIterator[Rival]:
    """`magi serve` with voters that cost nothing, as an operator would run it; of the checkout `tree`.

    Each of `voter_processes` judges for all of the voters. `more` are parts that run once more than under `magi serve`:
    ``gateway`` or ``orchestrator``. `settings` are variables of the environment, for all parts.
    """
    data = folder / name
    environment = {
        "MAGI_NATS_SYNC_INTERVAL": sync_interval,
        "MAGI_VOTERS_BUILTIN": "",
        "MAGI_LOG_LEVEL": "warning",
        "MAGI_GATEWAY_LIMITS_MESSAGES_PER_SECOND": "100000",
        **settings,
    }
    async with AsyncExitStack() as stack:
        began = time.monotonic()
        serve = _start(stack, tree, "-m", "magi", "serve", "--data", str(data), "--port", "0", **environment)

        async def ready() -> bool:
            if serve.poll() is not None:
                raise RuntimeError("magi serve ended")
            note = read_note(data)
            return note is not None and note.url != ""

        await until(ready, "magi serve is ready", 300)  # on a machine that has much else to do
        took = time.monotonic() - began
        note = read_note(data)
        assert note is not None
        bus = await Context.load(data).connect("operator", "bench")
        store = directory_log(bus)
        await store.start()
        for voter_id in voter_ids:
            with contextlib.suppress(Conflict):  # it is there already, when the data directory was used before
                await change_voter(store, voters.Register(voter_id, "builtin", "", "default", "", "bench", now_ms()))
            # Suspended, if requests of the last run were never answered, since it was stopped.
            await change_voter(store, voters.Reinstate(voter_id, "another run", "bench", now_ms()))
            await ensure_task_consumer(bus, VoterId(voter_id))
        pids = {}
        for part in ("gateway", "orchestrator", "nats-server"):
            pid = read_server_note(data / "run" / f"{part}.json").pid
            assert pid is not None
            pids[part] = pid
        judges = [f"{voter_id}=bench.voters:passes" for voter_id in voter_ids]
        arguments = ["-m", "magi", "voter", *judges, "--data", str(data), "--capacity", "256"]
        for number in range(1, voter_processes + 1):
            process = _start(stack, tree, *arguments, MAGI_LOG_LEVEL="warning")
            pids[_numbered("voters", number)] = process.pid
        urls = [note.url]
        for part in more:
            number = 2 + sum(1 for there in pids if there.startswith(f"{part} "))
            process, port = await _one_more(stack, tree, data, part, number, environment)
            pids[f"{part} {number}"] = process.pid
            urls += [f"ws://127.0.0.1:{port}"] if port else []
        await _voters_are_there(bus, voter_processes * len(voter_ids))
        await bus.close()
        await asyncio.sleep(2)
        yield Rival(name, note.url, token_file(data).read_text().strip(), pids, tuple(urls), data, took)


async def _voters_are_there(bus: Bus, instances: int) -> None:
    """Return once so many say that they are. On a busy machine the first requests would have no votes otherwise."""
    reader = DirectReader(bus, subjects.PRESENCE)
    await reader.start()

    async def there() -> bool:
        await asyncio.sleep(0.1)
        return len(await alive(reader, "voter.*")) >= instances

    await until(there, f"{instances} instances of voters are there", 120)


def _numbered(part: str, number: int) -> str:
    return part if number == 1 else f"{part} {number}"


async def _one_more(
    stack: AsyncExitStack, tree: Path, data: Path, part: str, number: int, environment: dict[str, str]
) -> tuple[subprocess.Popen[bytes], int | None]:
    """One more process of a part beside a running `magi serve`, once it is ready; and its port, if it has one."""
    name = f"{part}-{number}"
    arguments = ["--port", "0"] if part == "gateway" else []
    process = _start(stack, tree, "-m", "magi", part, "--data", str(data), *arguments, **environment, MAGI_PART=name)
    file = data / "run" / f"{name}.json"

    async def ready() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"magi {part} ended")
        return read_server_note(file).pid == process.pid

    await until(ready, f"{name} is ready", 60)
    return process, read_server_note(file).port
