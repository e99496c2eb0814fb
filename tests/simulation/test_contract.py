"""The simulated nats-server shows what the real one shows: the same cases on both, and what they saw compared."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from magi.eventstore.bus import Bus
from tests.servers import NatsServer
from tests.simulation import contract_consuming, contract_storing  # noqa: F401 - each adds its cases
from tests.simulation.contract import CASES
from tests.simulation.contract_consuming import what_a_restart_leaves
from tests.simulation.virtual import URL, Machine


async def play(name: str, url: str, stream: str) -> Any:
    """What a case saw with its streams named so, or what it raised."""
    async with connections(url) as connect:
        try:
            return await CASES[name](connect, stream)
        except Exception as error:
            return repr(error)


@contextlib.asynccontextmanager
async def connections(url: str) -> AsyncIterator[Callable[[], Awaitable[Bus]]]:
    async with contextlib.AsyncExitStack() as stack:

        async def connect() -> Bus:
            bus = await Bus.connect(url, name="contract")
            stack.push_async_callback(bus.close)
            return bus

        yield connect


class Real:
    """A real server, and what each case saw there: all were played side by side, since they wait most of the time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.plays = 0
        self.seen = asyncio.run(self._all())

    async def _all(self) -> dict[str, Any]:
        seen = await asyncio.gather(*(play(name, self.url, name.upper()) for name in CASES))
        return dict(zip(CASES, seen, strict=True))

    def show(self, name: str) -> tuple[str, Any]:
        """How its streams were named, and what the case saw. One that is asked for again is played again."""
        if name in self.seen:
            return name.upper(), self.seen.pop(name)
        self.plays += 1
        stream = f"{name.upper()}_{self.plays}"
        return stream, asyncio.run(play(name, self.url, stream))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    with NatsServer(Path(tmp_path_factory.mktemp("contract"))) as server:
        yield Real(server.url)


@pytest.mark.parametrize("name", CASES)
def test_shows_what_the_real_one_shows(name: str, real: Real) -> None:
    stream, seen = real.show(name)
    assert isinstance(seen, list), f"on the real server: {seen}"
    assert Machine(name).run(lambda: play(name, URL, stream)) == seen


def test_forgets_what_the_real_one_forgets_when_it_is_killed(fresh_nats: NatsServer) -> None:
    async def restarted(url: str, restart: Callable[[], None]) -> Any:
        async with connections(url) as connect:
            return await what_a_restart_leaves(connect, restart)

    def kill_and_restart() -> None:
        fresh_nats.kill()
        fresh_nats.restart()

    machine = Machine("restart")

    def crash() -> None:
        machine.server.crash()
        machine.network.call(0.2, machine.server.start)

    real = asyncio.run(restarted(fresh_nats.url, kill_and_restart))
    assert machine.run(lambda: restarted(URL, crash)) == real
    assert real[6] == (4, False)  # what was acknowledged is stored once more
