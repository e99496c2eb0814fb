"""Which versions of the tables there are: made, filled, put behind the public views, dropped."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator
from typing import Literal

import psycopg
from msgspec import Struct
from psycopg import sql as composed

from magi.projections.errors import NoTables, NotAllowed
from magi.projections.layout import LAYOUT, VIEWS, schema_of, sql, views_digest
from magi.projections.postgres import Connection

State = Literal["building", "live", "retired"]

LOCK_TIMEOUT = "150ms"
"""How long a switch waits for the queries that are using one of the views. Those that come after it wait too: for all
five together less than Postgres' `deadlock_timeout` (1 s), so that a reader who holds one view and wants another, in
another order than ours, sees us give up and is not the one that Postgres picks to end a deadlock."""
SWITCH_TRIES = 60
"""With the pauses between them 12 s at least."""


class Version(Struct, frozen=True):
    version: int
    state: State
    layout: int
    content: bool
    """Whether its tables hold what was submitted."""
    views: str
    """Of which program the views were made, when they were put on it."""

    @property
    def schema(self) -> str:
        return schema_of(self.version)


def lock_key(name: str) -> int:
    """The number of an advisory lock of ours."""
    return zlib.crc32(f"magi projections {name}".encode())


@contextlib.asynccontextmanager
async def catalogue_lock(connection: Connection) -> AsyncIterator[None]:
    """A transaction in which nobody else changes versions."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key("versions"),))
        yield


async def prepare(connection: Connection) -> None:
    """Make the bookkeeping tables if they are missing."""
    found = await connection.execute("SELECT to_regclass('magi_meta.skips') IS NOT NULL")
    if await found.fetchone() != (True,):
        async with catalogue_lock(connection):
            await connection.execute(sql("meta"))


async def prepared(connection: Connection) -> None:
    """Raises NoTables when nothing was ever projected into this database."""
    found = await connection.execute("SELECT to_regclass('magi_meta.skips') IS NOT NULL")
    if await found.fetchone() != (True,):
        raise NoTables("nothing was projected into this database yet: does `magi projector` run?")


async def versions(connection: Connection) -> list[Version]:
    rows = await connection.execute(
        "SELECT version, state, layout, content, views FROM magi_meta.versions ORDER BY version"
    )
    return [Version(*row) for row in await rows.fetchall()]


async def live_version(connection: Connection) -> Version | None:
    return next((v for v in await versions(connection) if v.state == "live"), None)


async def get(connection: Connection, version: int) -> Version:
    """Raises NoTables."""
    for found in await versions(connection):
        if found.version == version:
            return found
    raise NoTables(f"there is no version {version}: `magi projections status` lists them")


async def create(connection: Connection, *, content: bool) -> Version:
    """The next version: empty tables without indexes, not behind the views. Run within `catalogue_lock`."""
    taken = [v.version for v in await versions(connection)]
    new = Version(max(taken, default=0) + 1, "building", LAYOUT, content, "")
    await connection.execute(composed.SQL("CREATE SCHEMA {}").format(composed.Identifier(new.schema)))
    await _with_schema(connection, new.schema, sql("tables"))
    await connection.execute(
        "INSERT INTO magi_meta.versions (version, state, layout, content) VALUES (%s, %s, %s, %s)",
        (new.version, new.state, new.layout, new.content),
    )
    return new


async def make_indexes(connection: Connection, version: Version) -> None:
    """Make those that are missing. Takes seconds a million rows."""
    async with connection.transaction():
        await _with_schema(connection, version.schema, sql("indexes"))


async def first_version(connection: Connection, *, content: bool) -> Version:
    """The live version; made, with its views, when there is none and none was ever built."""
    async with catalogue_lock(connection):
        live = await live_version(connection)
        if live is None:
            live = await create(connection, content=content)
            await put_views_on(connection, live)
        elif live.layout == LAYOUT and live.views != views_digest():
            await put_views_on(connection, live)
        return live


async def put_views_on(connection: Connection, version: Version) -> None:
    """Make `version` the live one: all views, in the caller's transaction. Raises psycopg.errors.LockNotAvailable."""
    await connection.execute("SELECT set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
    for view in VIEWS:
        try:
            async with connection.transaction():
                await _with_schema(connection, version.schema, sql(f"views/{view}"))
        except psycopg.errors.InvalidTableDefinition:
            # Its columns are others: it can't be replaced. Readers who wait for it find the new one by its name, but
            # what was granted on it is gone.
            await connection.execute(composed.SQL("DROP VIEW magi.{}").format(composed.Identifier(view)))
            await _with_schema(connection, version.schema, sql(f"views/{view}"))
    await connection.execute("UPDATE magi_meta.versions SET state = 'retired' WHERE state = 'live'")
    await connection.execute(
        "UPDATE magi_meta.versions SET state = 'live', switched_at = now(), views = %s WHERE version = %s",
        (views_digest(), version.version),
    )


async def drop(connection: Connection, number: int) -> None:
    """Remove a version's tables. Raises NotAllowed for the one behind the views, NoTables."""
    async with catalogue_lock(connection):
        version = await get(connection, number)
        if version.state == "live":
            raise NotAllowed(f"version {number} is behind the views: switch to another one first")
        await connection.execute(composed.SQL("DROP SCHEMA {} CASCADE").format(composed.Identifier(version.schema)))
        await connection.execute("DELETE FROM magi_meta.versions WHERE version = %s", (number,))


async def with_patience(connection: Connection, tries: int = SWITCH_TRIES) -> AsyncIterator[int]:
    """Numbers of tries, with pauses between; leave the loop when one succeeds."""
    for attempt in range(1, tries + 1):
        yield attempt
        await asyncio.sleep(0.2)
    raise NotAllowed("queries that take long are using the views: try again, or cancel them (pg_stat_activity)")


async def _with_schema(connection: Connection, schema: str, statements: bytes) -> None:
    """Run statements that name tables without a schema."""
    before = await (await connection.execute("SELECT current_setting('search_path')")).fetchone()
    assert before is not None
    await connection.execute("SELECT set_config('search_path', %s, true)", (f"{schema}, pg_catalog",))
    await connection.execute(statements)
    await connection.execute("SELECT set_config('search_path', %s, true)", before)
