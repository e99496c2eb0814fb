"""The target of attacks: see `target`."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.hostile.target import Target, attacked
from tests.servers import NatsServer


@pytest.fixture
async def target(nats_server: NatsServer) -> AsyncIterator[Target]:
    """A gateway with the default limits, but for the rate. Looked at when the test is over: nothing was harmed."""
    async with attacked(nats_server.url) as target:
        yield target
