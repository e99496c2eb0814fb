"""Trying again: how long, and how often, while a stream doesn't answer."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from magi.eventstore.bus import BusError
from magi.eventstore.history import StoreUnavailable

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds to go on trying while the stream doesn't answer: five times the longest election measured (5.5 s)."""
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


def nothing() -> None:
    """Counts nothing."""


async def patiently(
    operation: Callable[[], Awaitable[T]],
    stream: str,
    patience: float = PATIENCE,
    on_retry: Callable[[], None] = nothing,
) -> T:
    """Do it, again and again while `stream` doesn't answer. Raises StoreUnavailable after `patience` seconds."""
    give_up = asyncio.get_running_loop().time() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            return await operation()
        except BusError as error:
            if asyncio.get_running_loop().time() + pause > give_up:
                raise StoreUnavailable(f"{stream}: {error}") from error
            on_retry()
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(2 * pause, _LONGEST_PAUSE)
