"""Fixtures of all tests: a real nats-server, shared or one's own, and a connection to it."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
import structlog
from nats.aio.client import Client

from magi.telemetry import detail
from tests.servers import NatsServer
from tests.waiting import eventually

LONG = ("test_kills.py", "test_three_servers.py", "test_mutants.py")
"""Real processes under load, three and a half minutes in all."""


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: most tests wait for servers half of their time."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first, on one worker: begun last, it would be waited for by all the others."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that runs in this process sets logging up for it; the tests after it listen to what is logged."""
    yield
    structlog.reset_defaults()
    detail.want(True)


@pytest.fixture(scope="session")
def shared_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """The server behind `nats_server`. Ask for that one."""
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        # When its last stream is deleted the server removes the folder of all streams, some time after it has answered,
        # and with it that of a stream created meanwhile ("error creating store for stream", 1 time in 300). Not when
        # something else is in it.
        folder = server.directory / "jetstream" / "jetstream" / "$G" / "streams"
        folder.mkdir(parents=True)
        (folder / ".keep").touch()
        yield server


@pytest.fixture
async def nats_server(shared_nats: NatsServer) -> NatsServer:
    """A running server that the whole session shares, with default sync (fast), empty of streams. Don't stop it."""
    if not shared_nats.running:
        shared_nats.restart()
    client = await nats.connect(shared_nats.url)
    try:
        await delete_all_streams(client)
    finally:
        await client.close()
    # The server removes the files behind its answer. A stream made anew under the same name before that was seen to
    # bring old messages back, in 56 of 1,500 tries; after it in none.
    eventually(lambda: not _files_of_streams(shared_nats), "the deleted streams' files are gone")
    return shared_nats


@pytest.fixture
def fresh_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A server of the test's own: stop, kill and restart it as you like."""
    with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def nc(nats_server: NatsServer) -> AsyncIterator[Client]:
    """A connection to the shared server, which holds no stream at the start of the test."""
    client = await nats.connect(nats_server.url)
    yield client
    await client.close()


async def delete_all_streams(client: Client) -> None:
    """Make the server as good as new. Deleting a stream is allowed even where purging one is denied."""
    while True:
        reply = await client.request("$JS.API.STREAM.NAMES", b"{}")
        names: list[str] = json.loads(reply.data)["streams"] or []
        if not names:
            return
        for name in names:
            await client.request(f"$JS.API.STREAM.DELETE.{name}", b"")


def _files_of_streams(server: NatsServer) -> list[Path]:
    return [
        file for file in server.directory.glob("jetstream/jetstream/*/streams/*") if not file.name.startswith(".keep")
    ]
