"""Running a program within bounds: of time, of output, and so that nothing it started outlives it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from typing import cast

from msgspec import Struct

GRACE = 0.5
"""Seconds between SIGTERM and SIGKILL."""
_LAST = 1.0
"""Seconds to wait for the end of what was killed, and of output that a program's strays hold open."""
_TAIL = 4096
"""Bytes of standard error that are kept: its end, which says what went wrong."""


class Finished(Struct, frozen=True):
    """A program that has ended by itself."""

    status: int
    """Its exit status; -N when signal N ended it."""
    output: bytes
    errors: bytes
    """The end of what it wrote to standard error."""


class Stopped(Exception):
    """The program was stopped since it passed a bound. The message says which."""

    def __init__(self, message: str, errors: bytes) -> None:
        super().__init__(message)
        self.errors = errors
        """As in `Finished`."""


async def run(
    argv: Sequence[str], environment: Mapping[str, str], given: bytes, *, seconds: float, max_output: int
) -> Finished:
    """Run a program with `given` on its standard input until it ends. Raises OSError (it can't be started), Stopped.

    `max_output` bounds the bytes on its standard output. It leads a process group of its own, which ends with it: by
    SIGTERM, then SIGKILL, when a bound is passed or the caller is cancelled, and by SIGKILL when it ended by itself and
    left something behind. A process that made itself a session of its own is not reached.
    """
    # Not create_subprocess_exec: with Python 3.11 its wait() lasts until the pipes are closed, which strays can delay,
    # and its streams hold as much as a program likes to write.
    transport, program = await _start(argv, environment, max_output)
    try:
        stdin = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
        if not stdin.is_closing():  # a program that doesn't read is no error
            stdin.write(given)
            stdin.close()  # once all is written
        async with asyncio.timeout(seconds):
            await program.done.wait()
    except BaseException as error:  # cancelled, too
        await _end(transport, program, signal.SIGTERM)
        if isinstance(error, TimeoutError):
            raise Stopped(f"took longer than {seconds:.3g} s", bytes(program.errors)) from None
        raise
    await _end(transport, program, signal.SIGTERM if program.flooded else signal.SIGKILL)
    if program.flooded:
        raise Stopped(f"wrote more than {max_output} bytes", bytes(program.errors))
    status = transport.get_returncode()
    return Finished(-signal.SIGKILL if status is None else status, bytes(program.output), bytes(program.errors))


async def _start(
    argv: Sequence[str], environment: Mapping[str, str], max_output: int
) -> "tuple[asyncio.SubprocessTransport, _Program]":
    """Start a program. One whose caller is cancelled meanwhile is ended: it may run already, and uvloop only forgets
    it."""
    starting = asyncio.ensure_future(
        asyncio.get_running_loop().subprocess_exec(
            lambda: _Program(max_output), *argv, env=dict(environment), start_new_session=True
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _end(*await starting, signal.SIGTERM)
        raise


async def _end(transport: asyncio.SubprocessTransport, program: "_Program", first: signal.Signals) -> None:
    """End the program's group, wait for the last of its output, and let go of it."""
    group = transport.get_pid()
    try:
        if first != signal.SIGKILL:
            _kill(group, first)
            await _within(program.exited, GRACE)
        _kill(group, signal.SIGKILL)
        await _within(program.exited, _LAST)
        await _within(program.silent, _LAST)
    finally:
        if not program.exited.is_set():
            _kill(group, signal.SIGKILL)  # cancelled a second time: there is no time to be kind
        transport.close()  # after its end, if at all possible: uvloop forgets what it closes, which stays a zombie


def _kill(group: int, number: signal.Signals) -> None:
    # The group is its leader's pid. When nothing of it is left, that number could by now lead another group, if the
    # system had used up all its numbers in the millisecond since.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


async def _within(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class _Program(asyncio.SubprocessProtocol):
    """Gathers what a program writes, and knows when it has ended."""

    def __init__(self, max_output: int) -> None:
        self.output = bytearray()
        self.errors = bytearray()
        self.flooded = False
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()
        """Nothing can be written any more."""
        self.done = asyncio.Event()
        """It has ended, or is to be."""
        self._max_output = max_output
        self._speaking = {1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self.errors = (self.errors + data)[-_TAIL:]
        elif len(self.output) + len(data) <= self._max_output:
            self.output += data
        else:
            self.flooded = True
            self.done.set()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._speaking.discard(fd)
        if not self._speaking:
            self.silent.set()

    def process_exited(self) -> None:
        self.exited.set()
        self.done.set()
