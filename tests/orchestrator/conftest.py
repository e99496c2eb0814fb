"""Fixtures of the orchestrator's tests: a MAGI of the test's own, without gateways."""

from collections.abc import AsyncIterator

import pytest

from magi.eventstore.bus import Bus
from tests.orchestrator.world import World
from tests.servers import NatsServer

PARTITIONS = 4


@pytest.fixture
async def world(fresh_nats: NatsServer) -> AsyncIterator[World]:
    """Streams, three voters (a, b, c), no orchestrator yet. On a server of its own: its streams have fixed names, and
    one that is deleted and made again may have its old messages."""
    bus = await Bus.connect(fresh_nats.url, name="test")
    world = World(fresh_nats, bus, PARTITIONS)
    await world.start()
    yield world
    await world.close()
    await bus.close()
