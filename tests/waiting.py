"""Waiting for a condition in tests: poll with a deadline, never sleep for a guessed time."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

INTERVAL = 0.005
"""Seconds between two looks: short beside anything that a server does, long enough not to burn a core."""

PATIENCE = 30.0
"""Seconds. What takes milliseconds has taken more than ten seconds on two cores that run everything else, too."""


def eventually(condition: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
    """Return once `condition()` is true. Raises AssertionError naming `what` after `within` seconds. Blocks."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(INTERVAL)


async def until(condition: Callable[[], Awaitable[bool]], what: str, within: float = PATIENCE) -> None:
    """`eventually` for a coroutine function, leaving the event loop free between two looks."""
    deadline = time.monotonic() + within
    while not await condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        await asyncio.sleep(INTERVAL)


_BEAT = 0.01


class Stopwatch:
    """See `stopwatch`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_BEAT)
            self.seconds += _BEAT


@asynccontextmanager
async def stopwatch() -> AsyncIterator[Stopwatch]:
    """Counts the seconds that this event loop lived through: at most those that passed.

    For promises like "within a second", of what runs in this event loop and waits for clocks. One that a busy machine
    doesn't let run for two seconds lives through a hundredth of one. It is of no use for what takes long by computing.
    """
    watch = Stopwatch()
    running = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        running.cancel()
        await asyncio.wait([running])


async def until_none(count: Callable[[], Awaitable[int]], what: str, within: float) -> None:
    """Return once `count()` is 0, however long that takes as long as it falls: a busy machine is slow, one that stands
    still is not. Raises AssertionError naming `what` when it was never less than before for `within` seconds."""
    least, since = await count(), time.monotonic()
    while least:
        await asyncio.sleep(INTERVAL)
        left = await count()
        if left < least:
            least, since = left, time.monotonic()
        elif time.monotonic() - since > within:
            raise AssertionError(f"for {within:g} s {left} were left: {what}")
