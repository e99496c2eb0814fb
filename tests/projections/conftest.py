"""Fixtures: a database of the test's own, streams of the shape of ours, and a projector over both."""

from collections.abc import AsyncIterator, Iterator

import pytest

from magi.eventstore.bus import Bus
from tests.projections.histories import new_directory, new_log
from tests.projections.postgres import PostgresServer
from tests.projections.world import World
from tests.servers import NatsServer


@pytest.fixture(scope="session")
def shared_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with PostgresServer(tmp_path_factory.mktemp("postgres") / "data").running() as server:
        yield server


@pytest.fixture
def database(shared_postgres: PostgresServer) -> str:
    """The URL of an empty database."""
    return shared_postgres.emptied_database()


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    bus = await Bus.connect(nats_server.url, name="test")
    yield bus
    await bus.close()


@pytest.fixture
async def world(bus: Bus, database: str) -> AsyncIterator[World]:
    """Empty streams and an empty database."""
    world = World(bus, database, await new_log(bus), await new_directory(bus))
    yield world
    await world.close()
