"""The whole of MAGI for a test, on the shared server: see `stack`."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from tests.gateway.client import Client
from tests.gateway.stack import Stack, running
from tests.servers import NatsServer

_LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A module whose `LOOPS` names both runs on both: MAGI runs on uvloop, whose transports are others."""
    module = item.getparent(pytest.Module)
    return {name: _LOOPS[name] for name in getattr(module and module.obj, "LOOPS", ("asyncio",))}


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
