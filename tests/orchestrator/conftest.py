"""Fixtures of the orchestrator's tests: a MAGI of the test's own, without gateways."""

from collections.abc import AsyncIterator

import pytest

from tests.orchestrator.world import World
from tests.servers import NatsServer


@pytest.fixture
async def world(fresh_nats: NatsServer) -> AsyncIterator[World]:
    """Streams, three voters (a, b, c), no orchestrator yet. On a server of its own: its streams have fixed names, and
    one that is deleted and made again may have its old messages."""
    async with World.over(fresh_nats) as world:
        yield world
