import asyncio
import os
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import uvloop

from magi.embedded.process import Command, run, spawn
from tests.embedded.processes import alive
from tests.waiting import until

STUBBORN = "trap '' TERM INT; echo ready; while :; do sleep 0.01; done"


def shell(text: str, *, env: dict[str, str] | None = None) -> Command:
    return Command(argv=("/bin/sh", "-c", text), cwd=Path("/"), dies_by=signal.SIGKILL, env=env or {})


async def test_what_a_child_says_is_appended_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    child = await spawn(shell("echo out; echo err >&2; exit 3"), log)
    assert await child.wait() == 3
    assert log.read_text() == "before\nout\nerr\n"


async def test_a_new_log_is_for_this_user_only(tmp_path: Path) -> None:
    child = await spawn(shell("exit 0"), tmp_path / "log")
    await child.wait()
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


async def test_stopping_goes_from_asking_to_killing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    child = await spawn(shell(STUBBORN), log)

    async def ready() -> bool:
        return "ready" in log.read_text()

    await until(ready, "the trap is set")
    await child.stop(((signal.SIGTERM, 0.05), (signal.SIGINT, 0.05)))
    assert child.exit_code == -signal.SIGKILL


async def test_stopping_a_child_that_has_ended_does_nothing(tmp_path: Path) -> None:
    child = await spawn(shell("exit 0"), tmp_path / "log")
    await child.wait()
    await child.stop(((signal.SIGTERM, 5),))
    assert child.exit_code == 0


async def test_a_child_is_out_of_reach_of_the_terminal(tmp_path: Path) -> None:
    child = await spawn(shell("sleep 30"), tmp_path / "log")
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    await child.stop(())


async def test_our_environment_is_not_a_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    code, said = await run(shell("echo ${PGPORT-none} $GIVEN", env={"GIVEN": "given"}))
    assert (code, said) == (0, "none given\n")


async def test_a_program_gets_its_input_and_python_leaves_no_ignored_signals(tmp_path: Path) -> None:
    code, said = await run(shell("cat; kill -PIPE $$"), b"text")
    assert (code, said) == (-signal.SIGPIPE, "text")


@pytest.mark.parametrize("given", [b"", b"never read"])
def test_a_program_that_ends_before_it_is_given_its_input_tells_how_it_ended(
    given: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = asyncio.create_subprocess_exec

    async def create_too_late(*arguments: Any, **options: Any) -> asyncio.subprocess.Process:
        process = await create(*arguments, **options)
        await process.wait()
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", create_too_late)
    for runner in (uvloop.run, asyncio.run):
        assert runner(run(shell("echo said; exit 3"), given)) == (3, "said\n")


async def test_a_program_that_is_waited_for_no_more_is_killed_with_what_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    task = asyncio.create_task(run(shell(f"sleep 60 & echo $! > '{file}.new'; mv '{file}.new' '{file}'; wait")))

    async def started() -> bool:
        return file.exists()

    await until(started, "its child runs")
    pid = int(file.read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def gone() -> bool:
        return not alive(pid)

    await until(gone, "its child is gone")


async def test_a_program_that_takes_too_long_is_an_error() -> None:
    with pytest.raises(TimeoutError):
        await run(shell("sleep 60"), within=0.05)


async def test_a_program_that_is_not_there_says_so() -> None:
    code, said = await run(Command(argv=("/no/such/program",), cwd=Path("/"), dies_by=signal.SIGTERM))
    assert code == 126
    assert said == "can't run /no/such/program: [Errno 2] No such file or directory\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")
async def test_it_does_not_begin_when_its_parent_is_dead_already(tmp_path: Path) -> None:
    launch = Path(__file__).parents[2] / "magi" / "embedded" / "launch.py"
    someone_else = str(os.getppid())
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(launch), someone_else, "9", "-1", "-1", "-1", "--", "/bin/sleep", "30"
    )
    started = time.monotonic()
    assert await process.wait() == 0
    assert time.monotonic() - started < 20
