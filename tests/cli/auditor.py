"""An auditor's machine in tests: a NATS with a log in it, no `magi serve`, no Postgres."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from magi.audit.events import parts, request_event
from magi.domain.voting_request import Received
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.declarations import load_declarations
from magi.eventstore.direct import StoredMessage
from magi.eventstore.streams import apply
from tests.cli.commands import Result, magi
from tests.servers import NatsServer

AS_AGENT = ("--initiator", "agent")


class Auditor(Struct, frozen=True):
    server: NatsServer
    data: Path
    """A data directory that nothing runs over; its settings name the server."""
    messages: list[StoredMessage]
    directory: list[StoredMessage]

    def magi(self, *arguments: str) -> Result:
        return magi(*arguments, data=self.data)

    def history(self, request: str) -> list[StoredMessage]:
        """What is stored of a request."""
        aggregate = next(
            event.originator_id
            for message in self.messages
            for data in parts(message.data)
            if isinstance(event := request_event(data), Received) and event.request_id == request
        )
        return [message for message in self.messages if message.subject.endswith(aggregate)]

    def events(self, request: str) -> list[bytes]:
        """The stored bytes of each of its events."""
        return [data for message in self.history(request) for data in parts(message.data)]


def auditor_of(
    server: NatsServer, folder: Path, messages: list[StoredMessage], directory: list[StoredMessage]
) -> Auditor:
    """Settings for the server are written into a data directory in `folder`."""
    data = folder / "auditor"
    data.mkdir(parents=True)
    (data / "magi.toml").write_text(f'[nats]\nurl = "{server.url}"\n')
    return Auditor(server, data, messages, directory)


@contextmanager
def holding(folder: Path, messages: Iterable[StoredMessage], directory: Iterable[StoredMessage]) -> Iterator[Auditor]:
    """An auditor over a server whose log and directory hold these messages, numbered anew."""
    messages, directory = list(messages), list(directory)
    with NatsServer(folder / "nats") as server:
        asyncio.run(_fill(server.url, [*messages, *directory]))
        yield auditor_of(server, folder, messages, directory)


async def _fill(url: str, messages: Iterable[StoredMessage]) -> None:
    bus = await Bus.connect(url, name="test")
    await apply(bus.nc, load_declarations())
    for message in messages:
        await bus.store(message.subject, message.data)
    await bus.close()


def put(auditor: Auditor, *messages: StoredMessage) -> None:
    """Store more messages."""
    asyncio.run(_store(auditor.server.url, messages))


async def _store(url: str, messages: Iterable[StoredMessage]) -> None:
    bus = await Bus.connect(url, name="test")
    for message in messages:
        assert (await bus.store(message.subject, message.data)).stream in (subjects.LOG, subjects.DIRECTORY)
    await bus.close()


def with_other_bytes(message: StoredMessage, old: bytes, new: bytes) -> StoredMessage:
    assert old in message.data
    return msgspec.structs.replace(message, data=message.data.replace(old, new))
