"""Fixtures of the voters' tests: streams and registered voters on a real server, and a voter's desk."""

from collections.abc import AsyncIterator

import pytest

from magi.eventstore import consumers
from magi.voters import agent
from tests.orchestrator.world import World
from tests.servers import NatsServer
from tests.voters.desk import Desk


@pytest.fixture
async def world(fresh_nats: NatsServer) -> AsyncIterator[World]:
    """Streams, and the registered voters a, b and c; nobody to read the inbox."""
    async with World.over(fresh_nats) as world:
        yield world


@pytest.fixture
def desk(world: World) -> Desk:
    """The desk of the voter a."""
    return Desk(world)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> float:
    """Tasks go to another instance after a second without a word, and are tried again soon. To be asked for first."""
    monkeypatch.setattr(consumers, "TASK_ACK_WAIT", 1.0)
    monkeypatch.setattr(agent, "_KEEP", 0.3)
    monkeypatch.setattr(agent, "RETRY_AFTER", 0.1)
    return 1.0
