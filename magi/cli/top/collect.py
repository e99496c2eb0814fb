"""One look at everything: all parts scraped side by side, with what NATS and Postgres say meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable

import aiohttp

from magi.cli.scrape import Target
from magi.cli.top.alerting import Alerting, evaluated
from magi.cli.top.bus_view import BusView
from magi.cli.top.places import Place, Places
from magi.cli.top.scraping import Scraping
from magi.cli.top.seen import Seen
from magi.cli.top.servers import Servers

FIRST = 2.0
"""Seconds that the first look waits for what NATS tells."""


class Collector:
    def __init__(self, places: Places, http: aiohttp.ClientSession) -> None:
        self._places = places
        self._http = http
        self._bus = BusView()
        self._servers = Servers(http)
        self._alerting = Alerting()
        self._scrapings: dict[Target, Scraping] = {}

    async def look(self) -> Seen:
        """Never raises for what doesn't answer: that is what it is to show."""
        place = self._places.look()
        self._bus.follow(place.ctx)
        self._servers.follow(place.ctx)
        readings = tuple(await asyncio.gather(*(scraping.look() for scraping in self._those_of(place))))
        if not self._bus.looked.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bus.looked.wait(), FIRST)
        at, wall = time.monotonic(), time.time()
        own = self._alerting.observe(readings, at, wall)  # always: should nobody else do it, it knows the last minutes
        told = evaluated(place.ctx, wall) if place.ctx else None
        return Seen(
            at=at,
            wall=wall,
            readings=readings,
            missing=place.missing,
            pids=place.pids,
            registered=self._bus.registered,
            nats=self._servers.nats,
            postgres=self._servers.postgres,
            alerts=own if told is None else told,
            source=place.source,
            problem=place.problem,
        )

    def _those_of(self, place: Place) -> Iterable[Scraping]:
        """A scraping for each target, the same one as long as it is there."""
        for target in self._scrapings.keys() - set(place.targets):
            self._scrapings.pop(target).stop()
        for target in place.targets:
            if target not in self._scrapings:
                self._scrapings[target] = Scraping(self._http, target)
        return self._scrapings.values()

    async def close(self) -> None:
        for scraping in self._scrapings.values():
            scraping.stop()
        self._servers.stop()
        await self._bus.stop()


@contextlib.asynccontextmanager
async def collecting(places: Places) -> AsyncIterator[Collector]:
    """A collector, with all that it opens closed in the end."""
    async with aiohttp.ClientSession(trust_env=False, auto_decompress=True) as http:
        collector = Collector(places, http)
        try:
            yield collector
        finally:
            await collector.close()
