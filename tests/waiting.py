"""Waiting for a condition in tests: poll with a deadline, never sleep for a guessed time."""

import asyncio
import time
from collections.abc import Awaitable, Callable

INTERVAL = 0.005
"""Seconds between two looks: short beside anything that a server does, long enough not to burn a core."""


def eventually(condition: Callable[[], bool], what: str, within: float = 10.0) -> None:
    """Return once `condition()` is true. Raises AssertionError naming `what` after `within` seconds. Blocks."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(INTERVAL)


async def until(condition: Callable[[], Awaitable[bool]], what: str, within: float = 10.0) -> None:
    """`eventually` for a coroutine function, leaving the event loop free between two looks."""
    deadline = time.monotonic() + within
    while not await condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        await asyncio.sleep(INTERVAL)
