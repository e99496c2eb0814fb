"""What no verdict needs is tried again."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from magi.cli.retried import Pauses, Retried
from magi.embedded.errors import ServerStartError
from magi.embedded.process import Child, Command, spawn
from magi.embedded.supervisor import Supervisor
from tests.waiting import until

QUICK = Pauses(0.01, 0.02)


class Program:
    """A program under a supervisor. It can be started while it `works`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.works = True
        self.starts = self.ups = 0
        self._supervisor = Supervisor("program", self._launch, lambda _: None, pause=lambda failures: 0.0)

    async def start(self) -> None:
        self.starts += 1
        await self._supervisor.start()

    async def failed(self) -> None:
        await self._supervisor.failed()

    async def up(self) -> None:
        self.ups += 1

    def kill(self) -> None:
        assert self._supervisor.child
        self._supervisor.child.send(signal.SIGKILL)

    async def _launch(self) -> Child:
        if not self.works:
            raise ServerStartError("program", "it is broken", "")
        command = Command((sys.executable, "-S", "-c", "import time; time.sleep(60)"), self._folder, signal.SIGKILL, {})
        return await spawn(command, self._folder / "log")

    @asynccontextmanager
    async def retried(self) -> AsyncIterator[Retried]:
        retried = Retried("program", self, self.up, QUICK)
        try:
            yield retried
        finally:
            await retried.leave()
            await self._supervisor.stop(())


async def test_what_can_not_be_started_is_tried_until_it_can(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.works = False
    async with program.retried() as retried:
        await retried.start(10)
        assert (program.starts, program.ups) == (1, 0)

        async def tried_often() -> bool:
            return program.starts > 4

        await until(tried_often, "it is tried again and again")
        program.works = True

        async def is_up() -> bool:
            return program.ups == 1

        await until(is_up, "it is up")


async def test_what_was_given_up_is_started_again(tmp_path: Path) -> None:
    program = Program(tmp_path)
    async with program.retried() as retried:
        await retried.start(10)
        assert program.ups == 1
        program.works = False
        program.kill()

        async def given_up() -> bool:
            return program.starts > 2

        await until(given_up, "its supervisor has given up, and it was tried anew")
        program.works = True

        async def is_up() -> bool:
            return program.ups == 2

        await until(is_up, "it is up again")


async def test_what_hangs_keeps_nobody_waiting_for_longer_than_the_patience(tmp_path: Path) -> None:
    program = Program(tmp_path)
    go_on = asyncio.Event()

    async def hang() -> None:
        await go_on.wait()
        await Program.start(program)

    program.start = hang  # type: ignore[method-assign]
    async with program.retried() as retried:
        async with asyncio.timeout(30):
            await retried.start(0.01)
        assert program.ups == 0
        go_on.set()
        await retried.start(10)
        assert program.ups == 1


async def test_left_alone_it_is_not_started_any_more(tmp_path: Path) -> None:
    program = Program(tmp_path)
    program.works = False
    async with program.retried() as retried:
        await retried.start(10)
        await retried.leave()
        before = program.starts
        await asyncio.sleep(5 * QUICK.longest)
        assert program.starts == before
