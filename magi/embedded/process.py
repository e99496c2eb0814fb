"""Child processes: started so that they end with MAGI, waited for, stopped by ever stronger signals."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Sequence
from pathlib import Path

import msgspec

_LAUNCH = Path(__file__).with_name("launch.py")

_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""All that a server sees of MAGI's environment: a stray PGPORT or PGDATA would change what it does."""


class Identity(msgspec.Struct, frozen=True):
    """The OS user that a program is run as, when that is not ours. Only root can do that."""

    uid: int
    gid: int
    name: str
    capability: int = -1
    """The one Linux capability that it keeps; -1 for none."""


class Command(msgspec.Struct, frozen=True):
    """A program to run."""

    argv: tuple[str, ...]
    """Its path and arguments."""
    cwd: Path
    dies_by: signal.Signals
    """What it gets when MAGI is killed: the signal that makes this program stop soon and in good order."""
    env: dict[str, str] = {}
    """Besides PATH and the like."""
    identity: Identity | None = None
    """None: as ourselves."""


class Child:
    """A running program. Made by `spawn`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; -N when signal N ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def stop(self, steps: Sequence[tuple[signal.Signals, float]]) -> None:
        """Send each signal and wait so many seconds for the end; then SIGKILL. Returns when it has ended.

        If the caller is cancelled meanwhile, the program is killed at once.
        """
        try:
            for number, seconds in steps:
                self.send(number)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.wait(), seconds)
                    return
        finally:
            self.send(signal.SIGKILL)
        await self.wait()


async def spawn(command: Command, log: Path) -> Child:
    """Start a program; what it says is appended to `log`. Raises OSError when it can't be started at all.

    It gets a session of its own: the Ctrl-C of a terminal goes to the whole foreground group, and servers that stop
    before the parts that use them would make a clean stop an orderly crash. That it still ends with MAGI is what
    `launch.py` and `leftovers.py` are for.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            *_launched(command),
            cwd=command.cwd,
            env=_environment(command),
            stdin=DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    return Child(process)


async def run(command: Command, stdin: bytes = b"", within: float = 60.0) -> tuple[int, str]:
    """Run a program to its end: its exit code and all that it said. Raises OSError; TimeoutError after `within` s.

    When it takes too long or the caller is cancelled, it is killed with all that it started.
    """
    process = await asyncio.create_subprocess_exec(
        *_launched(command),
        cwd=command.cwd,
        env=_environment(command),
        stdin=PIPE if stdin else DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        start_new_session=True,
    )
    try:
        said = await asyncio.wait_for(_talk(process, stdin), within)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own group: start_new_session
        await process.wait()
        raise
    code = process.returncode
    return (-1 if code is None else code), said.decode(errors="replace")


async def _talk(process: Process, stdin: bytes) -> bytes:
    """`Process.communicate`, which under uvloop raises RuntimeError when the program has ended before it is written to:
    a supervisor that was restarting PostgreSQL on a busy machine died of it."""

    async def give() -> None:
        if process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):
                process.stdin.write(stdin)
                await process.stdin.drain()
            process.stdin.close()

    assert process.stdout is not None
    _, said = await asyncio.gather(give(), process.stdout.read())
    await process.wait()
    return said


def _launched(command: Command) -> list[str]:
    who = command.identity
    uid, gid, capability = (who.uid, who.gid, who.capability) if who else (-1, -1, -1)
    numbers = (os.getpid(), int(command.dies_by), uid, gid, capability)
    return [sys.executable, "-I", "-S", str(_LAUNCH), *map(str, numbers), "--", *command.argv]


def _environment(command: Command) -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | command.env
