"""Data directories for the tests of the embedded servers. A cluster is made once and used by all: 0.7 s each."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from magi.embedded import DataDir, EmbeddedServers


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDir]:
    """A new data directory, open."""
    with DataDir.open(tmp_path / "data") as opened:
        yield opened


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which both servers have run, and been stopped. Leave it as it was."""
    path = tmp_path_factory.mktemp("embedded") / "a data directory"

    async def first_start() -> None:
        with DataDir.open(path) as opened:
            async with EmbeddedServers(opened):
                pass

    asyncio.run(first_start())
    return path


@pytest.fixture
def prepared_data(prepared: Path) -> Iterator[DataDir]:
    """`prepared`, open. Neither server runs."""
    with DataDir.open(prepared) as opened:
        yield opened
