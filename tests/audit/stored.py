"""A log that a real MAGI has written, and copies of it on the same server that somebody has been at."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from msgspec import Struct

from magi.audit.source import LogSource
from magi.domain import initiator as initiators
from magi.domain.messages import Opinion, Task
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.direct import StoredMessage
from magi.eventstore.directory import change_initiator
from magi.eventstore.presence import now_ms
from tests.eventstore.logs import api, make_stream, new_name
from tests.orchestrator.world import INITIATOR, World
from tests.servers import NatsServer

PREFIX = "copy.log."
REQUESTS = 6


class Written(Struct, frozen=True):
    """A server with a log, and what is in it."""

    server: NatsServer
    messages: list[StoredMessage]
    directory: list[StoredMessage]
    files: Path
    """JetStream's, as the server left them when it was stopped in good order."""


@contextmanager
def written(folder: Path) -> Iterator[Written]:
    """A server over which an orchestrator and three voters have judged six requests of three kinds."""
    with NatsServer(folder) as server:
        asyncio.run(_judge(server))
        messages, directory = asyncio.run(_read(server))
        server.stop()
        files = folder / "stopped"
        shutil.copytree(server.directory / "jetstream", files)
        server.start()
        yield Written(server, messages, directory, files)


async def _judge(server: NatsServer) -> None:
    async def agrees(task: Task) -> Opinion:
        return Opinion.passes("well said", 0.9)

    async def doubts(task: Task) -> Opinion:
        return (
            Opinion.fails("\x1b[31mred\x1b[0m \x9b and \u202eback") if "bad" in task.agent_answer else Opinion.passes()
        )

    async def shrugs(task: Task) -> Opinion:
        return Opinion.abstains("no opinion") if "odd" in task.agent_answer else Opinion.passes()

    async with World.over(server) as world:
        await change_initiator(world.directory, initiators.Register(INITIATOR, "", "test", now_ms()))
        await world.orchestrator()
        for voter, judge in zip("abc", (agrees, doubts, shrugs), strict=True):
            await world.voter(voter, judge)
        asked = []
        for number in range(REQUESTS):
            answer = ("good", "bad", "bad and odd")[number % 3]
            asked.append((await world.submit(request_id=f"request-{number}", agent_answer=answer)).aggregate)
        await world.until_decided(*asked)


async def _read(server: NatsServer) -> tuple[list[StoredMessage], list[StoredMessage]]:
    bus = await Bus.connect(server.url, name="test")
    try:
        return await everything(LogSource(bus)), await everything(
            LogSource(bus, subjects.DIRECTORY, subjects.DIRECTORY_PREFIX)
        )
    finally:
        await bus.close()


async def everything(source: LogSource) -> list[StoredMessage]:
    """All messages of a source that isn't started yet."""
    await source.start()
    last = await source.last_sequence()
    return [message async for batch in source.batches(1, last) for message in batch]


@asynccontextmanager
async def copy(bus: Bus, messages: Iterable[StoredMessage]) -> AsyncIterator[LogSource]:
    """A stream with these messages, in their order and numbered anew."""
    name = await make_stream(bus, new_name("COPY"), f"{PREFIX}>")
    for message in messages:
        await bus.store(f"{PREFIX}{message.subject.removeprefix(subjects.LOG_PREFIX)}", message.data)
    source = LogSource(bus, name, PREFIX)
    await source.start()
    try:
        yield source
    finally:
        await api(bus, f"STREAM.DELETE.{name}")
