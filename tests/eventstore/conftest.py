"""Fixtures of the event store's tests: a bus to the shared server, and streams shaped like the log."""

from collections.abc import AsyncIterator

import pytest

from magi.eventstore.bus import Bus
from tests.eventstore.logs import make_stream, new_name
from tests.proxy import Proxy
from tests.servers import NatsServer


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    """A bus to the shared server, which holds no stream at the start of the test."""
    bus = await Bus.connect(nats_server.url, name="test")
    yield bus
    await bus.close()


@pytest.fixture
async def log_stream(bus: Bus) -> str:
    """The name of an empty stream like MAGI_LOG with subjects ``test.log.>``; messages can be deleted from it."""
    return await make_stream(bus, new_name("LOG"), "test.log.>")


@pytest.fixture
async def proxy(nats_server: NatsServer) -> AsyncIterator[Proxy]:
    """What is between `shaky` and the shared server."""
    async with Proxy(nats_server.port) as proxy:
        yield proxy


@pytest.fixture
async def shaky(proxy: Proxy) -> AsyncIterator[Bus]:
    """A bus to the shared server whose connection can be cut."""
    bus = await Bus.connect(proxy.url, name="shaky")
    yield bus
    await bus.close()
