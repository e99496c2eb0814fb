import asyncio
import signal
from pathlib import Path

import pytest

from magi.embedded.errors import ServerFailed, ServerStartError
from magi.embedded.process import Child, Command, spawn
from magi.embedded.supervisor import MOST_FAILURES, ServerRestarted, Supervisor, pause


class Starter:
    """Launches `/bin/sh -c text`; the starts whose numbers (from 1) are in `broken` fail."""

    def __init__(self, text: str, log: Path, broken: range = range(0)) -> None:
        self.starts = 0
        self.restarts: asyncio.Queue[ServerRestarted] = asyncio.Queue()
        self._text, self._log, self._broken = text, log, broken

    async def __call__(self) -> Child:
        self.starts += 1
        if self.starts in self._broken:
            raise OSError(28, "No space left on device")
        return await spawn(Command(("/bin/sh", "-c", self._text), Path("/"), signal.SIGKILL), self._log)

    def supervisor(self) -> Supervisor:
        return Supervisor("it", self, self.restarts.put_nowait, pause=lambda failures: 0.0)


async def test_a_server_that_was_killed_is_started_again(tmp_path: Path) -> None:
    starter = Starter("sleep 60", tmp_path / "log")
    supervisor = starter.supervisor()
    await supervisor.start()
    first = supervisor.child
    assert first is not None
    first.send(signal.SIGKILL)
    restarted = await asyncio.wait_for(starter.restarts.get(), 30)
    assert (restarted.server, restarted.exit_code) == ("it", -signal.SIGKILL)
    second = supervisor.child
    assert second is not None
    assert second.pid != first.pid
    await supervisor.stop(((signal.SIGTERM, 30),))
    assert second.exit_code == -signal.SIGTERM


async def test_a_stopped_server_stays_stopped(tmp_path: Path) -> None:
    starter = Starter("sleep 60", tmp_path / "log")
    supervisor = starter.supervisor()
    await supervisor.stop(())
    await supervisor.start()
    await supervisor.stop(())
    assert starter.starts == 1
    assert supervisor.child is not None
    assert supervisor.child.exit_code is not None


async def test_one_that_ends_at_once_again_and_again_is_given_up(tmp_path: Path) -> None:
    starter = Starter("exit 7", tmp_path / "log")
    supervisor = starter.supervisor()
    await supervisor.start()
    with pytest.raises(ServerFailed, match="exit code 7"):
        await asyncio.wait_for(supervisor.failed(), 30)
    assert starter.starts == MOST_FAILURES + 1
    await supervisor.stop(())


async def test_starts_that_fail_are_repeated_until_one_works(tmp_path: Path) -> None:
    starter = Starter("sleep 60", tmp_path / "log", broken=range(2, 2 + MOST_FAILURES - 1))
    supervisor = starter.supervisor()
    await supervisor.start()
    assert supervisor.child is not None
    supervisor.child.send(signal.SIGKILL)
    await asyncio.wait_for(starter.restarts.get(), 30)
    await supervisor.stop(())


async def test_starts_that_go_on_failing_end_with_the_reason(tmp_path: Path) -> None:
    starter = Starter("exit 7", tmp_path / "log", broken=range(2, 99))
    supervisor = starter.supervisor()
    await supervisor.start()
    with pytest.raises(ServerFailed, match="No space left on device"):
        await asyncio.wait_for(supervisor.failed(), 30)


async def test_a_first_start_that_fails_is_the_callers_to_handle(tmp_path: Path) -> None:
    starter = Starter("exit 7", tmp_path / "log", broken=range(1, 2))
    with pytest.raises(ServerStartError, match="No space left on device"):
        await starter.supervisor().start()
    assert starter.starts == 1


def test_the_first_restart_does_not_wait_and_the_later_ones_ever_longer() -> None:
    pauses = [pause(failures) for failures in range(1, MOST_FAILURES + 1)]
    assert pauses[0] == 0
    assert pauses == sorted(pauses)
    assert 5 < sum(pauses) < 15
