"""Fixtures of the orchestrator's tests: a MAGI of the test's own, without gateways."""

from collections.abc import AsyncIterator

import pytest

from magi.eventstore import consumers, presence
from magi.orchestrator import arrivals, partitions
from tests.orchestrator.world import World
from tests.servers import NatsServer


@pytest.fixture
async def world(fresh_nats: NatsServer) -> AsyncIterator[World]:
    """Streams, three voters (a, b, c), no orchestrator yet. On a server of its own: its streams have fixed names, and
    one that is deleted and made again may have its old messages."""
    async with World.over(fresh_nats) as world:
        yield world


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> float:
    """Everybody waits for the dead a third as long as they do in earnest. Returns the new ack_wait in seconds."""
    for module in (consumers, arrivals):
        monkeypatch.setattr(module, "ACK_WAIT", 1.5)
    monkeypatch.setattr(consumers, "PIN_TIMEOUT", 1.0)
    monkeypatch.setattr(partitions, "PULL_EXPIRES", 0.3)
    monkeypatch.setattr(partitions, "HEARING", 0.6)
    for module in (presence, partitions):
        monkeypatch.setattr(module, "HEARTBEAT", 0.3)
    monkeypatch.setattr(World, "presence_forgets_after", 1.3)
    return 1.5
