"""A running `magi serve` that the tests of the command line share, with voters on it that say what a test wants."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

import pytest

from magi.domain.ids import VoterId
from magi.eventstore.bus import Bus
from magi.voters import Judge, VoterAgent
from tests.again import Shared
from tests.audit.stored import written
from tests.cli.auditor import Auditor, auditor_of
from tests.cli.commands import magi
from tests.cli.serving import Serve, environment

ON_THE_BUS = ("voter_1", "voter_2")
"""Voters with keys of their own; a test runs them in its own process (`voters`)."""
IN_A_PROCESS = {"yes": "passes", "no": "fails", "rude": "rude"}
"""Voters that one `magi voter` process runs, with the functions of `judges`."""
GROUP = "tests"
"""Theirs, so that no panel gets them that doesn't name them."""


class House:
    """A running `magi serve`, and what tests need to have on it, from when the first of them asks."""

    def __init__(self, serve: Serve, exits: ExitStack) -> None:
        self.serve = serve
        self._exits = exits

    @cached_property
    def seeds(self) -> dict[str, str]:
        """Those of the voters on the bus, as `magi voters add` printed them."""
        return {voter: self._added(voter, "nats") for voter in ON_THE_BUS}

    @cached_property
    def process(self) -> subprocess.Popen[bytes]:
        """In which the voters of `judges` run."""
        for voter in IN_A_PROCESS:
            self._added(voter, "builtin")
        judges = [f"{voter}=tests.cli.judges:{function}" for voter, function in IN_A_PROCESS.items()]
        process = subprocess.Popen(
            [sys.executable, "-m", "magi", "voter", *judges],
            env=environment(MAGI_DATA=str(self.serve.data), MAGI_NATS_SYNC_INTERVAL="any"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._exits.callback(process.wait, 30)
        self._exits.callback(process.terminate)
        return process

    def _added(self, voter: str, kind: str) -> str:
        added = magi("voters", "add", voter, "--kind", kind, "--group", GROUP, data=self.serve.data)
        assert added.code == 0, added.stderr
        return added.last_word


@contextmanager
def opened(data: Path) -> Iterator[House]:
    with ExitStack() as exits:
        yield House(exits.enter_context(Serve(data)), exits)


@pytest.fixture(scope="session")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared[House]]:
    with Shared(lambda: opened(tmp_path_factory.mktemp("serve") / "data")) as shared:
        yield shared


@pytest.fixture
def house(houses: Shared[House], request: pytest.FixtureRequest) -> House:
    """Shared by the whole session, but for tests that are tried again: what they named has its name no more."""
    return houses.of(request)


@pytest.fixture
def serve(house: House) -> Serve:
    """As `house`: don't stop or kill any of it, and name what you register as no other test does."""
    return house.serve


@pytest.fixture
def seeds(house: House) -> dict[str, str]:
    return house.seeds


@pytest.fixture
def process_voters(house: House) -> None:
    """`yes`, `no` and `rude` are registered and run."""
    assert house.process.poll() is None


class Voters:
    """Runs the voters on the bus in this process, on connections with their own keys, as anybody's program would."""

    def __init__(self, serve: Serve, seeds: dict[str, str], stack: AsyncExitStack) -> None:
        self._serve = serve
        self._seeds = seeds
        self._stack = stack

    async def start(self, voter: str, judge: Judge) -> None:
        """Run one instance of a voter, until the end of the test."""
        bus = await Bus.connect(
            self._serve.nats_url, name=voter, seed=self._seeds[voter], inbox_prefix=f"_INBOX_{voter}", attempts=5
        )
        self._stack.push_async_callback(bus.close)
        agent = VoterAgent(bus, VoterId(voter), judge)
        await agent.start()
        self._stack.push_async_callback(agent.stop, 0.2)


@pytest.fixture
async def voters(serve: Serve, seeds: dict[str, str]) -> AsyncIterator[Voters]:
    async with AsyncExitStack() as stack:
        yield Voters(serve, seeds, stack)


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A data directory that nothing runs over."""
    return tmp_path / "nothing"


@pytest.fixture(scope="session")
def auditor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Auditor]:
    """Whoever has nothing but NATS, where a real MAGI has judged requests. Don't write to its streams."""
    folder = tmp_path_factory.mktemp("auditor")
    with written(folder / "written") as log:
        yield auditor_of(log.server, folder, log.messages, log.directory)
