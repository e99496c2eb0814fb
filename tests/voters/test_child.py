"""A program within bounds: under asyncio's own event loop and under uvloop, which reap processes differently."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from magi.voters import child
from magi.voters.child import Finished, Stopped
from tests.waiting import eventually, until

ENV = {"PATH": os.environ["PATH"]}

STRAY = """
import os, time
if os.fork() == 0:
    os.setsid()
    with open({file!r}, "w") as file:
        print(os.getpid(), file=file)
    time.sleep(90)
else:
    print("said")
"""


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def do(request: pytest.FixtureRequest) -> Callable[[Awaitable[Any]], Any]:
    """Runs a coroutine in an event loop of its own."""

    def run(work: Any) -> Any:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(work)

    return run


def sh(script: str, given: bytes = b"", seconds: float = 60.0, max_output: int = 1000) -> Awaitable[Finished]:
    return child.run(["sh", "-c", script], ENV, given, seconds=seconds, max_output=max_output)


def gone(pid: int) -> bool:
    """Runs no more. Orphans stay zombies until the system's first process looks after them, which may take seconds."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


OTHERS: set[int] = set()
"""The children that were there before: other tests' servers."""


@pytest.fixture(autouse=True)
def count_from_here() -> None:
    OTHERS.clear()
    OTHERS.update(process.pid for process in psutil.Process().children(recursive=True))


def children() -> list[int]:
    """Pids of ours since the test began, zombies too."""
    return [process.pid for process in psutil.Process().children(recursive=True) if process.pid not in OTHERS]


def written(file: Path) -> int | None:
    """The pid in a file, once it is written whole."""
    text = file.read_text() if file.exists() else ""
    return int(text) if text.endswith("\n") else None


def test_what_it_is_given_and_what_it_says_pass_unchanged(do):
    given = os.urandom(700)
    assert do(sh("cat; echo done >&2", given)) == Finished(0, given, b"done\n")


def test_more_is_given_and_said_than_pipes_hold(do):
    given = os.urandom(1_000_000)
    assert do(sh("cat", given, max_output=1_000_000)).output == given


def test_it_need_not_read_what_it_is_given(do):
    assert do(sh("exec 0<&-; echo hello", b"x" * 1_000_000)).output == b"hello\n"


def test_its_standard_input_ends(do):
    assert do(sh("cat >/dev/null; echo end")).output == b"end\n"


@pytest.mark.parametrize(("script", "status"), [("exit 3", 3), ("kill -SEGV $$", -signal.SIGSEGV), ("true", 0)])
def test_how_it_ended_is_told(do, script: str, status: int):
    assert do(sh(script)).status == status


def test_only_the_end_of_its_errors_is_kept(do):
    finished = do(sh("yes line | head -n 50000 >&2; echo last >&2"))
    assert finished.errors.endswith(b"line\nlast\n")
    assert len(finished.errors) == 4096


def test_it_sees_the_environment_that_it_is_given_and_no_more(do):
    names = do(
        child.run(
            [sys.executable, "-ISc", "import os; print(*sorted(os.environ))"],
            {"A": "1", "LC_CTYPE": "C"},
            b"",
            seconds=20,
            max_output=1000,
        )
    ).output.split()
    assert names == [b"A", b"LC_CTYPE"]


def test_what_does_not_exist_or_is_no_program_is_an_os_error(do, tmp_path: Path):
    plain = tmp_path / "plain"
    plain.write_text("true")
    for argv in (["/no/such/program"], [str(plain)]):
        with pytest.raises(OSError):
            do(child.run(argv, ENV, b"", seconds=5, max_output=10))


def test_a_flood_is_cut_off(do):
    with pytest.raises(Stopped, match="wrote more than 1000 bytes"):
        do(sh("yes"))
    assert children() == []


def test_what_just_fits_is_no_flood(do):
    assert len(do(sh("head -c 1000 /dev/zero")).output) == 1000


def test_its_time_over_it_ends_with_all_that_it_started(do, tmp_path: Path):
    with pytest.raises(Stopped, match=r"took longer than 1\.5 s") as stopped:
        do(sh(f"echo slow >&2; sleep 60 & echo $! >{tmp_path}/pid; wait", seconds=1.5))
    assert stopped.value.errors == b"slow\n"
    pid = written(tmp_path / "pid")
    assert pid is not None
    eventually(lambda: gone(pid), "the grandchild is gone")
    assert children() == []


def test_it_may_tidy_up_when_its_time_is_over(do, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(child, "GRACE", 30.0)  # it needs milliseconds, when it gets them
    with pytest.raises(Stopped):
        do(sh(f"trap 'echo tidy >{tmp_path}/tidy; exit' TERM; while :; do sleep 0.01; done", seconds=1.5))
    assert (tmp_path / "tidy").read_text() == "tidy\n"


def test_what_ignores_the_first_signal_is_killed(do):
    with pytest.raises(Stopped):
        do(sh("trap '' TERM; while :; do sleep 0.01; done", seconds=0.3))
    assert children() == []


def test_what_it_leaves_behind_neither_lasts_nor_delays(do, tmp_path: Path):
    started = time.monotonic()
    finished = do(sh(f"sleep 90 & echo $! >{tmp_path}/pid; echo said"))
    assert finished.output == b"said\n"
    assert time.monotonic() - started < 40, "and not as long as what it left behind"
    pid = written(tmp_path / "pid")
    assert pid is not None
    eventually(lambda: gone(pid), "what it left behind is gone")


def test_a_stray_that_left_its_group_does_not_delay_for_long(do, tmp_path: Path):
    started = time.monotonic()
    script = STRAY.format(file=str(tmp_path / "pid"))
    finished = do(child.run([sys.executable, "-ISc", script], ENV, b"", seconds=60, max_output=1000))
    assert finished.output == b"said\n"
    assert time.monotonic() - started < 40, "and not as long as the stray"
    eventually(lambda: written(tmp_path / "pid") is not None, "the stray has begun")
    pid = written(tmp_path / "pid")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_when_the_caller_is_cancelled_it_ends_with_all_that_it_started(do, tmp_path: Path):
    async def cancel() -> int:
        work = asyncio.ensure_future(sh(f"sleep 60 & echo $! >{tmp_path}/pid; wait"))

        async def begun() -> bool:
            return written(tmp_path / "pid") is not None

        await until(begun, "it has begun")
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        assert work.cancelled()
        return written(tmp_path / "pid") or 0

    pid = do(cancel())
    eventually(lambda: gone(pid), "the grandchild is gone")
    assert children() == []


@pytest.mark.parametrize("turns", range(8))
def test_a_caller_that_is_cancelled_while_it_starts_leaves_nothing_behind(do, turns: int):
    mark = f"60.{os.getpid():07}{turns}"

    def running() -> list[int]:
        return [process.pid for process in psutil.process_iter(["cmdline"]) if mark in (process.info["cmdline"] or ())]

    async def cancel() -> bool:
        work = asyncio.ensure_future(sh(f"sleep {mark} & wait"))
        for _ in range(turns):
            await asyncio.sleep(0)
        time.sleep(0.03)  # the loop stalls: the program, if it was started, is up before the loop knows  # noqa: ASYNC251
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return work.cancelled()

    assert do(cancel())
    eventually(lambda: children() == [] and running() == [], "neither it nor what it started is left")


def test_a_caller_that_is_cancelled_again_kills_at_once(do, tmp_path: Path):
    async def cancel_twice() -> None:
        work = asyncio.ensure_future(sh(f"trap '' TERM; echo $$ >{tmp_path}/pid; while :; do sleep 0.01; done"))

        async def begun() -> bool:
            return written(tmp_path / "pid") is not None

        await until(begun, "it has begun")
        for _ in range(3):
            work.cancel()
            await asyncio.sleep(0)
        with contextlib.suppress(asyncio.CancelledError):
            await work

    do(cancel_twice())
    pid = written(tmp_path / "pid")
    assert pid is not None
    eventually(lambda: gone(pid), "it is killed")
