"""Rebuild: the next version of the tables, made beside the live one, verified, and put behind the views at once."""

import contextlib
from collections.abc import AsyncIterator, Callable

import psycopg
from msgspec import Struct
from psycopg import sql as composed

from magi.eventstore.bus import Bus
from magi.projections import halts, versions
from magi.projections.errors import Halted, NotAllowed, OtherLayout
from magi.projections.feed import Batching
from magi.projections.identity import stream_state
from magi.projections.layout import LAYOUT
from magi.projections.postgres import Connection, connect, reachable
from magi.projections.projector import Sources, all_projections
from magi.projections.runner import Runner, position_of
from magi.projections.verify import OnProgress, Verified, nobody, verify
from magi.projections.versions import Version, lock_key

CATCH_UP = Batching(events=5000, seconds=0.05, most=5000)
"""Nobody reads what is being built: large batches."""


class Rebuilt(Struct, frozen=True):
    version: int
    resumed_at: dict[str, int]
    """Where an interrupted rebuild was taken up; 0 for one from the start."""
    positions: dict[str, int]
    verified: Verified
    switched: bool
    """False when the rows differed: the views are where they were."""


def silent(step: str) -> None:
    """Ignores which step is under way."""


class Rebuild:
    """What `magi projections rebuild` and `switch` do. Reads what the projector wrote, and never waits for it."""

    def __init__(
        self,
        bus: Bus,
        url: str,
        *,
        content: bool = False,
        projections: Sources = all_projections,
        on_progress: OnProgress = nobody,
        on_step: Callable[[str], None] = silent,
    ) -> None:
        self._bus = bus
        self._url = url
        self._content = content
        self._projections = projections
        self._on_progress = on_progress
        self._on_step = on_step

    async def rebuild(self) -> Rebuilt:
        """Build the next version, or go on with the one that was interrupted; verify it; switch to it.

        Raises NotAllowed when another one is under way, Halted at an event that can't be applied, PostgresUnreachable,
        BusError. Call it again to go on.
        """
        with reachable():
            async with self._alone() as connection:
                version = await self._next(connection)
                resumed = await self._positions(version)
                self._on_step("fold")
                await self._fill(version)
                self._on_step("index")
                await versions.make_indexes(connection, version)
                await self._analyze(connection, version)
                self._on_step("verify")
                projections = self._projections(version)
                verified = await verify(
                    self._bus, self._url, version, projections, on_progress=self._on_progress, batching=CATCH_UP
                )
                if not verified.differences:
                    self._on_step("switch")
                    await self._switch(connection, version)
                positions = await self._positions(version)
                return Rebuilt(version.version, resumed, positions, verified, not verified.differences)

    async def switch(self, number: int) -> Version:
        """Put the views on a version that was live before, after it has caught up.

        Raises NotAllowed, NoTables, OtherLayout and what `rebuild` does.
        """
        with reachable():
            async with self._alone() as connection:
                version = await versions.get(connection, number)
                if version.state == "live":
                    raise NotAllowed(f"the views are on version {number} already")
                if version.state == "building":
                    raise NotAllowed(f"version {number} isn't built yet: `magi projections rebuild` goes on with it")
                if version.layout != LAYOUT:
                    raise OtherLayout("switch", f"version {number} is of layout {version.layout}, not {LAYOUT}")
                await self._fill(version)
                await self._switch(connection, version)
                return version

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[Connection]:
        connection = await connect(self._url)
        try:
            await versions.prepare(connection)
            row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (lock_key("rebuild"),))).fetchone()
            if row != (True,):
                raise NotAllowed("another rebuild or switch is under way")
            yield connection
        finally:
            await connection.close()

    async def _next(self, connection: Connection) -> Version:
        """The version that an interrupted rebuild left, if it is what would be built now; else a new one."""
        async with versions.catalogue_lock(connection):
            left = [v for v in await versions.versions(connection) if v.state == "building"]
        for version in left:
            if version.layout == LAYOUT and version.content == self._content and await self._is_of_our_streams(version):
                return version
            await versions.drop(connection, version.version)
        async with versions.catalogue_lock(connection):
            return await versions.create(connection, content=self._content)

    async def _is_of_our_streams(self, version: Version) -> bool:
        async with self._tables(version) as tables:
            for projection in self._projections(version):
                at = await position_of(tables, projection.name)
                if at and at.identity != (await stream_state(self._bus, projection.stream)).identity:
                    return False
        return True

    async def _fill(self, version: Version) -> None:
        """Fold what is stored by now."""
        async with self._tables(version) as tables:
            for projection in self._projections(version):
                to = (await stream_state(self._bus, projection.stream)).last_sequence
                await self._run(tables, version, projection.name, to)

    async def _run(self, tables: Connection, version: Version, name: str, to: int) -> None:
        projection = next(p for p in self._projections(version) if p.name == name)
        runner = Runner(
            self._bus,
            tables,
            projection,
            schema=version.schema,
            batching=CATCH_UP,
            on_progress=lambda sequence: self._on_progress(name, sequence, to),
        )
        try:
            await runner.run(to)
        except Halted as halted:
            await halts.record(tables, version.version, halted)
            raise
        await halts.clear(tables, version.version, name)

    async def _switch(self, connection: Connection, version: Version) -> None:
        """Put the views on `version` once it is as far as the live one: readers never go back in time."""
        async for attempt in versions.with_patience(connection):
            await self._fill(version)
            try:
                async with versions.catalogue_lock(connection):
                    live = await versions.live_version(connection)
                    if live:
                        await self._catch_up_with(connection, live, version)
                    await versions.put_views_on(connection, version)
                return
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                if attempt == 1:
                    self._on_step("wait for queries that use the views")

    async def _catch_up_with(self, connection: Connection, live: Version, version: Version) -> None:
        """Hold the live tables where they are, and bring `version` there: a batch or two."""
        held = await connection.execute(
            composed.SQL("SELECT projection, identity, sequence FROM {} ORDER BY projection FOR UPDATE").format(
                composed.Identifier(live.schema, "positions")
            )
        )
        async with self._tables(version) as tables:
            for name, identity, sequence in await held.fetchall():
                at = await position_of(tables, name)
                if at and at.identity == identity and at.sequence < sequence:
                    # A stream that has lost its end (a server restored from a copy) will not come to where the live
                    # tables are: a rebuild is the way out of that.
                    projection = next(p for p in self._projections(version) if p.name == name)
                    stored = (await stream_state(self._bus, projection.stream)).last_sequence
                    await self._run(tables, version, name, min(sequence, stored))

    async def _positions(self, version: Version) -> dict[str, int]:
        async with self._tables(version) as tables:
            found = {p.name: await position_of(tables, p.name) for p in self._projections(version)}
        return {name: at.sequence if at else 0 for name, at in found.items()}

    async def _analyze(self, connection: Connection, version: Version) -> None:
        """Without it the first queries after the switch would be planned for empty tables."""
        for table in ("requests", "votes", "contents"):
            await connection.execute(composed.SQL("ANALYZE {}").format(composed.Identifier(version.schema, table)))

    @contextlib.asynccontextmanager
    async def _tables(self, version: Version) -> AsyncIterator[Connection]:
        """A connection that finds the tables of `version`."""
        connection = await connect(self._url, version.schema, synchronous="off")
        try:
            yield connection
        finally:
            await connection.close()
