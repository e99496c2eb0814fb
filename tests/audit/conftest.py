"""Fixtures of the auditor's tests: a log that a real MAGI has written, once a session."""

from collections.abc import AsyncIterator, Iterator

import pytest

from magi.eventstore.bus import Bus
from tests.audit.stored import Written, written


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Don't write to its streams, nor stop its server."""
    with written(tmp_path_factory.mktemp("written")) as found:
        yield found


@pytest.fixture
async def bus(log: Written) -> AsyncIterator[Bus]:
    """A connection to the server of `log`."""
    bus = await Bus.connect(log.server.url, name="auditor")
    yield bus
    await bus.close()
