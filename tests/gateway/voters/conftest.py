"""Fixtures of the tests of voters over WebSocket: see `office`."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.voters.office import Office, opened
from tests.orchestrator.world import World
from tests.servers import NatsServer


@pytest.fixture
async def world(nats_server: NatsServer) -> AsyncIterator[World]:
    async with World.over(nats_server) as world:
        yield world


@pytest.fixture
async def office(world: World) -> AsyncIterator[Office]:
    async with opened(world) as office:
        yield office
