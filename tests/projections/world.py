"""Both streams, a database, and projectors between them."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from magi.eventstore.bus import Bus
from magi.projections.feed import Batching
from magi.projections.postgres import connect
from magi.projections.projector import Projector, ProjectorSettings
from magi.projections.rebuild import Rebuild
from magi.projections.sources import Projection, RequestsProjection, VotersProjection
from magi.projections.status import Status, status
from magi.projections.verify import Verified, verify
from magi.projections.versions import Version, live_version
from tests.projections.histories import Stream
from tests.waiting import until

QUICK = Batching(events=500, seconds=0.005, most=5000)


class World:
    def __init__(self, bus: Bus, url: str, log: Stream, directory: Stream) -> None:
        self.bus = bus
        self.url = url
        self.log = log
        self.directory = directory
        self._projectors: list[Projector] = []

    def projections(self, version: Version) -> Sequence[Projection]:
        return (
            RequestsProjection(content=version.content, stream=self.log.name, prefix=self.log.prefix),
            VotersProjection(self.directory.name, self.directory.prefix),
        )

    async def projector(
        self, *, content: bool = False, batching: Batching = QUICK, bus: Bus | None = None
    ) -> Projector:
        """A started one. It is stopped at the end."""
        projector = Projector(bus or self.bus, ProjectorSettings(self.url, content, batching), self.projections)
        await projector.start()
        self._projectors.append(projector)
        return projector

    def rebuild(self, **options: Any) -> Rebuild:
        return Rebuild(self.bus, self.url, projections=self.projections, **options)

    async def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        connection = await psycopg.AsyncConnection.connect(self.url, autocommit=True)
        async with connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(query, parameters)
            return await cursor.fetchall() if cursor.description else []

    async def positions(self) -> dict[str, int]:
        """Of the live version; none when Postgres is away, or not that far."""
        try:
            live = await self.rows("SELECT version FROM magi_meta.versions WHERE state = 'live'")
            rows = await self.rows(f"SELECT projection, sequence FROM magi_v{live[0]['version']}.positions")
        except (psycopg.OperationalError, psycopg.errors.UndefinedTable, IndexError):
            return {}
        return {row["projection"]: row["sequence"] for row in rows}

    async def caught_up(self, within: float = 30.0) -> None:
        """Return when all that was put is projected."""

        async def there() -> bool:
            at = await self.positions()
            return at.get("requests") == len(self.log.stored) and at.get("voters") == len(self.directory.stored)

        await until(there, "everything is projected", within)

    async def halted(self, within: float = 30.0) -> Status:
        """Return when a projection stands."""
        found: list[Status] = []

        async def there() -> bool:
            if await self.positions():
                found.append(await self.status())
            return bool(found and found[-1].halts)

        await until(there, "a projection stands", within)
        return found[-1]

    async def status(self) -> Status:
        connection = await connect(self.url)
        try:
            return await status(connection, self.bus)
        finally:
            await connection.close()

    async def verified(self) -> Verified:
        connection = await connect(self.url)
        try:
            live = await live_version(connection)
        finally:
            await connection.close()
        assert live is not None
        return await verify(self.bus, self.url, live, self.projections(live))

    async def close(self) -> None:
        for projector in self._projectors:
            await projector.stop()
