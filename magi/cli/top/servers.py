"""Whether NATS and Postgres answer: asked of themselves, beside the scrapes, so that neither holds up a frame."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aiohttp

from magi.cli.context import Context
from magi.cli.top.frame import UNKNOWN, Server

EVERY = 2.0
"""Seconds between two questions."""
WITHIN = 2.0
"""Seconds for an answer. Both give it in milliseconds."""

UP, DOWN = Server("good", "up"), Server("critical", "down")


class Servers:
    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.nats = UNKNOWN
        self.postgres = UNKNOWN
        self._http = http
        self._ctx: Context | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def follow(self, ctx: Context | None) -> None:
        """Ask those of `ctx` from now on."""
        self._ctx = ctx
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(self._forever(self._ask_nats)),
                asyncio.create_task(self._forever(self._ask_postgres)),
            ]

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _forever(self, ask: Callable[[Context], Awaitable[None]]) -> None:
        while True:
            if self._ctx:
                await ask(self._ctx)
            await asyncio.sleep(EVERY)

    async def _ask_nats(self, ctx: Context) -> None:
        nats = ctx.settings.nats
        if not nats.monitor_url:
            self.nats = UNKNOWN if nats.url else DOWN if ctx.note else UNKNOWN
            return
        url = f"{nats.monitor_url.rstrip('/')}/healthz?js-server-only=true"
        try:
            async with self._http.get(url, timeout=aiohttp.ClientTimeout(WITHIN)) as answer:
                self.nats = UP if answer.status == 200 else Server("critical", "unhealthy")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            self.nats = DOWN

    async def _ask_postgres(self, ctx: Context) -> None:
        url = ctx.settings.postgres.url
        if not url:
            self.postgres = UNKNOWN
            return
        with contextlib.suppress(TimeoutError):
            self.postgres = await asyncio.to_thread(_ping, url)


def _ping(url: str) -> Server:
    """As `pg_isready`: it asks whether connections are taken, and needs no password for it."""
    from psycopg import ProgrammingError, conninfo, pq  # here: a tenth of a second, and not everybody has a Postgres

    try:
        info = conninfo.make_conninfo(url, connect_timeout=int(WITHIN))
    except ProgrammingError:
        return Server("critical", "bad address")
    answer = pq.PGconn.ping(info.encode())
    if answer == pq.Ping.REJECT:
        return Server("warning", "starting")
    return UP if answer == pq.Ping.OK else DOWN
