"""Fixtures of the event store's tests: a bus to the shared server, and streams shaped like the log."""

from collections.abc import AsyncIterator

import pytest

from magi.eventstore.bus import Bus
from tests.eventstore.logs import make_stream
from tests.servers import NatsServer


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    """A bus to the shared server, which holds no stream at the start of the test."""
    bus = await Bus.connect(nats_server.url, name="test")
    yield bus
    await bus.close()


@pytest.fixture
async def log_stream(bus: Bus) -> str:
    """The name of an empty stream like MAGI_LOG, with the subjects ``test.log.>``, from which messages can be deleted."""
    return await make_stream(bus, "TEST_LOG", "test.log.>")
