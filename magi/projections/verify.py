"""Verify: fold the log again, into tables that only we see, and compare every row."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from psycopg import IsolationLevel
from psycopg import sql as composed

from magi.eventstore.bus import Bus
from magi.projections.errors import NoTables, OtherLayout
from magi.projections.feed import STEADY, Batching
from magi.projections.identity import stream_state
from magi.projections.layout import KEYS, LAYOUT, SCRATCH, sql
from magi.projections.postgres import Connection, connect, reachable
from magi.projections.runner import Runner, position_of
from magi.projections.sources import Projection
from magi.projections.versions import Version

MOST = 100
"""Differing rows that are told of each table."""

OnProgress = Callable[[str, int, int], None]
"""Called with a projection's name, its position and where it goes."""


class Difference(Struct, frozen=True):
    """A row that isn't what the log says."""

    table: str
    key: dict[str, Any]
    stored: dict[str, Any] | None
    """What differs, as it stands; None: the row is missing."""
    folded: dict[str, Any] | None
    """What it should be; None: the log leads to no such row."""


class Verified(Struct, frozen=True):
    version: int
    positions: dict[str, int]
    """How far each projection was when it was compared."""
    rows: int
    differences: tuple[Difference, ...]


def nobody(projection: str, at: int, to: int) -> None:
    """Ignores the progress."""


async def verify(
    bus: Bus,
    url: str,
    version: Version,
    projections: Sequence[Projection],
    *,
    on_progress: OnProgress = nobody,
    batching: Batching = STEADY,
) -> Verified:
    """Compare the tables of `version` as they are at one moment; whoever writes to them meanwhile goes on.

    Raises PostgresUnreachable, OtherLayout, NoTables, Halted when the log itself can't be read, BusError.
    """
    if version.layout != LAYOUT:
        raise OtherLayout("verify", f"version {version.version} is of layout {version.layout}, not {LAYOUT}")
    with reachable():
        connection = await connect(url, SCRATCH)
        try:
            # Temporary tables: no log of Postgres' own, nobody else sees them, and they end with the connection.
            await connection.execute("SELECT set_config('temp_buffers', '64MB', false)")
            await connection.execute(sql("tables"))
            check = _Check(bus, connection, version, projections, on_progress, batching)
            await check.fold()  # nearly all of it, before the moment: a long transaction would keep old rows alive
            await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            async with connection.transaction():
                positions = await check.fold()
                return Verified(version.version, positions, await check.rows(), tuple(await check.differences()))
        finally:
            await connection.close()


class _Check:
    def __init__(
        self,
        bus: Bus,
        connection: Connection,
        version: Version,
        projections: Sequence[Projection],
        on_progress: OnProgress,
        batching: Batching,
    ) -> None:
        self._bus = bus
        self._connection = connection
        self._version = version
        self._projections = projections
        self._on_progress = on_progress
        self._batching = batching

    async def fold(self) -> dict[str, int]:
        """Fold the log up to where the version's tables are."""
        reached: dict[str, int] = {}
        for projection in self._projections:
            stored = await self._stored_position(projection)
            # No further than the stream goes: a position beyond its end is a difference, and nothing to wait for.
            at = min(stored, (await stream_state(self._bus, projection.stream)).last_sequence)

            def progressed(sequence: int, name: str = projection.name, to: int = at) -> None:
                self._on_progress(name, sequence, to)

            runner = Runner(
                self._bus,
                self._connection,
                projection,
                schema=SCRATCH,
                batching=self._batching,
                on_progress=progressed,
            )
            await runner.run(at)
            reached[projection.name] = at
        return reached

    async def _stored_position(self, projection: Projection) -> int:
        statement = composed.SQL("SELECT sequence FROM {} WHERE projection = %s").format(
            composed.Identifier(self._version.schema, "positions")
        )
        row = await (await self._connection.execute(statement, (projection.name,))).fetchone()
        if row is None:
            raise NoTables(f"{projection.name}: nothing was projected into version {self._version.version} yet")
        return int(row[0])

    async def rows(self) -> int:
        counts = composed.SQL(" + ").join(
            composed.SQL("(SELECT count(*) FROM {})").format(composed.Identifier(self._version.schema, table))
            for table in KEYS
        )
        row = await (await self._connection.execute(composed.SQL("SELECT {}").format(counts))).fetchone()
        assert row is not None
        return int(row[0])

    async def differences(self) -> list[Difference]:
        found: list[Difference] = []
        for projection in self._projections:
            found += await self._identity_difference(projection.name)
        for table, key in KEYS.items():
            await self._connection.execute(composed.SQL("ANALYZE {}").format(composed.Identifier(SCRATCH, table)))
            statement = composed.SQL(sql("differences").decode()).format(
                stored=composed.Identifier(self._version.schema, table),
                folded=composed.Identifier(SCRATCH, table),
                key=composed.SQL(", ").join(map(composed.Identifier, key)),
            )
            rows = await self._connection.execute(statement, {"limit": MOST})
            found += [difference(table, key, *row) for row in await rows.fetchall()]
        return found

    async def _identity_difference(self, name: str) -> list[Difference]:
        """The position's own row: a stream's identity that was changed by hand would hide a replaced stream."""
        folded = await position_of(self._connection, name)
        statement = composed.SQL("SELECT identity, sequence, digest FROM {} WHERE projection = %s").format(
            composed.Identifier(self._version.schema, "positions")
        )
        stored = await (await self._connection.execute(statement, (name,))).fetchone()
        if folded is None or stored is None or stored == (folded.identity, folded.sequence, folded.digest):
            return []
        keys = ("identity", "sequence", "digest")
        should = (folded.identity, folded.sequence, folded.digest)
        return [
            difference(
                "positions",
                ("projection",),
                {"projection": name, **dict(zip(keys, stored, strict=True))},
                {"projection": name, **dict(zip(keys, should, strict=True))},
            )
        ]


def difference(
    table: str, key: Sequence[str], stored: Mapping[str, Any] | None, folded: Mapping[str, Any] | None
) -> Difference:
    """What differs between two rows, one of which may be missing."""
    some = stored if stored is not None else folded
    assert some is not None
    names = {name: some[name] for name in key}
    if stored is None or folded is None:
        return Difference(table, names, _or_none(stored), _or_none(folded))
    differing = [column for column in stored if stored[column] != folded[column]]
    return Difference(table, names, {c: stored[c] for c in differing}, {c: folded[c] for c in differing})


def _or_none(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if row is None else dict(row)
