"""Taking leave of NATS, which takes milliseconds, or for ever when it hangs."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

LEAVE = 0.3
"""Seconds that `magi serve` takes for it: the embedded nats-server is stopped next."""


async def at_most(seconds: float, leave: Callable[[], Awaitable[None]]) -> None:
    """Leave, or give it up after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await leave()
    except TimeoutError:
        log.info("left_without_a_word", what=getattr(leave, "__qualname__", ""))
