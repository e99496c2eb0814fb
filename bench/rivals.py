"""What is measured: MAGI and the floor, each with its processes, its address, and a way to take its processor time."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec import Struct

from bench import floor
from magi.cli.context import Context, read_note
from magi.cli.local import token_file
from magi.domain import voter_commands as voters
from magi.domain.ids import VoterId
from magi.embedded.runfile import read_note as read_server_note
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.directory import change_voter, directory_log
from magi.eventstore.presence import now_ms
from tests.servers import NatsServer
from tests.waiting import until

HERE = Path(__file__).parents[1]


class Rival(Struct):
    name: str
    url: str
    token: str
    pids: dict[str, int]
    """Part to process id, for the processor time."""


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
async def magi_rival(folder: Path, sync_interval: str, tree: Path = HERE, name: str = "magi") -> AsyncIterator[Rival]:
    """`magi serve` with three voters that cost nothing, as an operator would run it; of the checkout `tree`."""
    data = folder / name
    environment = {
        "MAGI_NATS_SYNC_INTERVAL": sync_interval,
        "MAGI_VOTERS_BUILTIN": "",
        "MAGI_LOG_LEVEL": "warning",
        "MAGI_GATEWAY_LIMITS_MESSAGES_PER_SECOND": "100000",
    }
    async with AsyncExitStack() as stack:
        serve = _start(stack, tree, "-m", "magi", "serve", "--data", str(data), "--port", "0", **environment)

        async def ready() -> bool:
            if serve.poll() is not None:
                raise RuntimeError("magi serve ended")
            note = read_note(data)
            return note is not None and note.url != ""

        await until(ready, "magi serve is ready", 300)  # on a machine that has much else to do
        note = read_note(data)
        assert note is not None
        bus = await Context.load(data).connect("operator", "bench")
        store = directory_log(bus)
        await store.start()
        for voter_id in floor.VOTERS:
            await change_voter(store, voters.Register(voter_id, "builtin", "", "default", "", "bench", now_ms()))
            await ensure_task_consumer(bus, VoterId(voter_id))
        await bus.close()
        judges = [f"{voter_id}=bench.voters:passes" for voter_id in floor.VOTERS]
        voter = _start(
            stack,
            tree,
            "-m",
            "magi",
            "voter",
            *judges,
            "--data",
            str(data),
            "--capacity",
            "256",
            MAGI_LOG_LEVEL="warning",
        )
        await asyncio.sleep(2)
        pids = {"voters": voter.pid}
        for part in ("gateway", "orchestrator", "nats-server"):
            pid = read_server_note(data / "run" / f"{part}.json").pid
            assert pid is not None
            pids[part] = pid
        yield Rival(name, note.url, token_file(data).read_text().strip(), pids)
