"""One part, scraped again and again: what it answered last, and for how long it has owed an answer."""

import asyncio
import time

import aiohttp
import msgspec

from magi.cli.scrape import Target
from magi.cli.top.places import metrics_url
from magi.cli.top.scraped import Reading, read
from magi.eventstore.tls import explain

WITHIN = 1.0
"""Seconds that a frame waits for an answer: it takes milliseconds, and a view that is to be live can't wait for one
that hangs."""
AT_MOST = 9.0
"""Seconds that a part may take. An orchestrator whose NATS hangs does take some, and then tells all that it knows."""
LARGEST = 16 * 1024 * 1024
"""Bytes of an answer. A hundred voters make half a megabyte."""


class Scraping:
    def __init__(self, http: aiohttp.ClientSession, target: Target) -> None:
        self._http = http
        self._target = target
        """With the part that it turned out to be, when it was named without one."""
        self._task: asyncio.Task[Reading] | None = None
        self._asked = 0.0
        self._last: Reading | None = None

    async def look(self) -> Reading:
        """What it answers, or, when that takes too long, what it answered before, with how late it is."""
        if self._task is None:
            self._asked = time.monotonic()
            self._task = asyncio.create_task(self._scrape())
        await asyncio.wait([self._task], timeout=WITHIN)
        if self._task.done():
            self._last, self._task = self._task.result(), None
            self._target = self._last.target
            return self._last
        late = time.monotonic() - self._asked
        if self._last is None or not self._last.up:
            return self._down(f"no answer for {late:.0f} s")
        return msgspec.structs.replace(self._last, late=late)

    def stop(self) -> None:
        if self._task:
            self._task.cancel()

    async def _scrape(self) -> Reading:
        try:
            async with self._http.get(metrics_url(self._target), timeout=aiohttp.ClientTimeout(AT_MOST)) as answer:
                body = b""
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > LARGEST:
                        return self._down(f"answers with more than {LARGEST} bytes")
        except TimeoutError:
            return self._down(f"no answer within {AT_MOST:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return self._down(explain(error) or _reason(error))
        if answer.status != 200:
            return self._down(f"answers HTTP {answer.status}")
        return read(self._target, time.monotonic(), body.decode(errors="replace"))

    def _down(self, why: str) -> Reading:
        return Reading(self._target, time.monotonic(), error=why)


def _reason(error: Exception) -> str:
    """What happened, without the address, which stands beside it."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
