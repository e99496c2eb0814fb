"""The whole of MAGI for a test, on the shared server: see `stack`."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.client import Client
from tests.gateway.stack import Stack, running
from tests.servers import NatsServer


@pytest.fixture
async def stack(nats_server: NatsServer) -> AsyncIterator[Stack]:
    """One gateway with the default limits (but for the rate), one orchestrator, `PANEL`."""
    async with running(nats_server.url) as stack:
        yield stack


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    """A connection of the Initiator ``agent``."""
    async with stack.client() as client:
        yield client
