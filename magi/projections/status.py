"""How far the projections are, where they stand, and what was passed over."""

from msgspec import Struct
from psycopg import sql as composed

from magi.eventstore.bus import Bus, BusError
from magi.projections import versions
from magi.projections.halts import Halt, all_halts
from magi.projections.identity import stream_state
from magi.projections.layout import LAYOUT
from magi.projections.postgres import Connection
from magi.projections.projector import all_projections
from magi.projections.skips import Skip
from magi.projections.versions import Version, lock_key


class Progress(Struct, frozen=True):
    """One projection of one version."""

    version: int
    projection: str
    stream: str
    position: int
    behind: int | None
    """Messages; None when NATS didn't say."""
    same_stream: bool | None
    updated_at: str
    """When its last batch was written."""


class Size(Struct, frozen=True):
    version: int
    bytes: int
    requests: int
    """Estimated."""


class Status(Struct, frozen=True):
    layout: int
    """That this MAGI writes."""
    versions: tuple[Version, ...]
    progress: tuple[Progress, ...]
    halts: tuple[Halt, ...]
    skips: tuple[Skip, ...]
    sizes: tuple[Size, ...]
    working: tuple[str, ...]
    """Projections that a projector is connected for."""

    @property
    def live_halts(self) -> tuple[Halt, ...]:
        """Those of the version behind the views."""
        live = {v.version for v in self.versions if v.state == "live"}
        return tuple(halt for halt in self.halts if halt.version in live)


async def status(connection: Connection, bus: Bus | None) -> Status:
    """Raises NoTables when nothing was ever projected, and psycopg's errors."""
    await versions.prepared(connection)
    known = await versions.versions(connection)
    skipped = await connection.execute(
        "SELECT identity, sequence, last_sequence, projection, subject, reason, by FROM magi_meta.skips ORDER BY at"
    )
    return Status(
        layout=LAYOUT,
        versions=tuple(known),
        progress=tuple([p for version in known for p in await _progress(connection, bus, version)]),
        halts=tuple(await all_halts(connection)),
        skips=tuple([Skip(*row) for row in await skipped.fetchall()]),
        sizes=tuple([await _size(connection, version) for version in known]),
        working=await _working(connection),
    )


async def _progress(connection: Connection, bus: Bus | None, version: Version) -> list[Progress]:
    rows = await connection.execute(
        composed.SQL(
            "SELECT projection, identity, sequence,"
            " to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM {} ORDER BY 1"
        ).format(composed.Identifier(version.schema, "positions"))
    )
    streams = {p.name: p.stream for p in all_projections(version)}
    found: list[Progress] = []
    for name, identity, sequence, updated_at in await rows.fetchall():
        behind: int | None = None
        same: bool | None = None
        if bus is not None and name in streams:
            try:
                state = await stream_state(bus, streams[name])
                same = state.identity == identity
                behind = max(0, state.last_sequence - sequence) if same else None
            except BusError:
                pass  # said by `behind` being None
        found.append(Progress(version.version, name, streams.get(name, ""), sequence, behind, same, updated_at))
    return found


async def _size(connection: Connection, version: Version) -> Size:
    row = await (
        await connection.execute(
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint,"
            " coalesce(max(greatest(c.reltuples, 0)) FILTER (WHERE c.relname = 'requests'), 0)::bigint"
            " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relkind = 'r'",
            (version.schema,),
        )
    ).fetchone()
    assert row is not None
    return Size(version.version, row[0], row[1])


async def _working(connection: Connection) -> tuple[str, ...]:
    rows = await connection.execute(
        "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    held = {row[0] for row in await rows.fetchall()}
    names = [p.name for p in all_projections(Version(1, "live", LAYOUT, False, ""))]
    return tuple(name for name in names if lock_key(name) in held)
