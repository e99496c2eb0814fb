"""Keeps one server running: starts it again when it ends by itself, and gives up when that leads nowhere."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NoReturn

import msgspec
import structlog

from magi.embedded.errors import EmbeddedError, ServerFailed, ServerStartError
from magi.embedded.process import Child

_log = structlog.get_logger(__name__)

STEADY: Final = 1.0
"""Seconds that a server has to live after its start for the failures before it to be forgotten."""

MOST_FAILURES: Final = 10
"""In a row. With the pauses below that is about 12 s of trying: longer than a port stays taken by a stranger's
short connection or a killed postmaster's backends need to notice, short enough for an operator to see the error."""


class ServerRestarted(msgspec.Struct, frozen=True):
    """A server had ended and runs again, on the same ports."""

    server: str
    exit_code: int
    """-N when signal N ended it."""
    seconds: float
    """From its end to its being ready again."""


def pause(failures: int) -> float:
    """Seconds to wait before a start after so many failures in a row: none after the first, then 0.1 … 2."""
    return 0.0 if failures <= 1 else min(0.1 * 2 ** (failures - 2), 2.0)


class Supervisor:
    """One server, restarted as needed between `start()` and `stop()`.

    `launch` starts it and returns when it is ready; it raises EmbeddedError or OSError when it does not become so, and
    cleans up after itself then and when it is cancelled.
    """

    def __init__(
        self,
        name: str,
        launch: Callable[[], Awaitable[Child]],
        on_restart: Callable[[ServerRestarted], None],
        pause: Callable[[int], float] = pause,
    ) -> None:
        self._name = name
        self._launch = launch
        self._on_restart = on_restart
        self._pause = pause
        self._child: Child | None = None
        self._task: asyncio.Task[NoReturn] | None = None

    @property
    def child(self) -> Child | None:
        """The latest process: it may have ended, and its successor not be ready yet."""
        return self._child

    async def start(self) -> None:
        """Start it and keep it running from now on. Raises EmbeddedError."""
        self._child = await self._try()
        self._task = asyncio.create_task(self._watch(self._child), name=f"watch {self._name}")

    async def stop(self, steps: Sequence[tuple[signal.Signals, float]]) -> None:
        """Stop it for good, by `steps` as in `Child.stop`. Does nothing when it was not started."""
        try:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait({self._task})
        finally:
            if self._child is not None:
                await self._child.stop(steps)

    async def failed(self) -> NoReturn:
        """Wait until the server is given up; for ever if it is stopped before. Raises ServerFailed then."""
        if self._task is not None:
            await asyncio.wait({self._task})
            if not self._task.cancelled():
                self._task.result()
        await asyncio.Event().wait()
        raise AssertionError("an event that nobody sets")

    async def _try(self) -> Child:
        try:
            return await self._launch()
        except OSError as error:  # a full disk, a directory that was given to somebody else
            raise ServerStartError(self._name, str(error), "") from error

    async def _watch(self, child: Child) -> NoReturn:
        failures = 0
        while True:
            ready_at = time.monotonic()
            exit_code = await child.wait()
            ended_at = time.monotonic()
            failures = 1 if ended_at - ready_at >= STEADY else failures + 1
            last = f"it ended {ended_at - ready_at:.1f} s after its start with exit code {exit_code}"
            _log.warning("server_ended", server=self._name, exit_code=exit_code, failures=failures)
            child, failures = await self._again(failures, last)
            self._child = child
            restarted = ServerRestarted(self._name, exit_code, time.monotonic() - ended_at)
            _log.info("server_restarted", server=self._name, pid=child.pid, seconds=round(restarted.seconds, 3))
            self._on_restart(restarted)

    async def _again(self, failures: int, last: str) -> tuple[Child, int]:
        """Try to start it until it runs: the process and the failures so far. Raises ServerFailed."""
        while failures <= MOST_FAILURES:
            await asyncio.sleep(self._pause(failures))
            try:
                return await self._try(), failures
            except EmbeddedError as error:
                failures += 1
                last = str(error)
                _log.warning("server_not_restarted", server=self._name, error=last, failures=failures)
        _log.error("server_given_up", server=self._name, failures=failures - 1)
        raise ServerFailed(self._name, failures - 1, last)
