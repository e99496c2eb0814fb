"""Where a projection stopped and why: written down for operators, removed once it goes on."""

from msgspec import Struct

from magi.projections.errors import Halted
from magi.projections.postgres import Connection
from magi.projections.text import clean


class Halt(Struct, frozen=True):
    version: int
    projection: str
    kind: str
    """`event`, `hole`, `stream` or `layout`."""
    identity: str
    sequence: int
    last_sequence: int
    subject: str
    event: str
    """The JSON of the message without what was submitted."""
    reason: str
    at: str


async def record(connection: Connection, version: int, halted: Halted) -> None:
    await connection.execute(
        "INSERT INTO magi_meta.halts"
        " (version, projection, kind, identity, sequence, last_sequence, subject, event, reason)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (version, projection) DO UPDATE SET kind = excluded.kind, identity = excluded.identity,"
        " sequence = excluded.sequence, last_sequence = excluded.last_sequence, subject = excluded.subject,"
        " event = excluded.event, reason = excluded.reason, at = now()",
        (
            version,
            halted.projection,
            halted.kind,
            halted.identity,
            halted.sequence,
            halted.last_sequence,
            clean(halted.subject),
            clean(halted.event),
            clean(halted.reason),
        ),
    )


async def clear(connection: Connection, version: int, projection: str) -> None:
    await connection.execute(
        "DELETE FROM magi_meta.halts WHERE version = %s AND projection = %s", (version, projection)
    )


async def all_halts(connection: Connection) -> list[Halt]:
    rows = await connection.execute(
        "SELECT version, projection, kind, identity, sequence, last_sequence, subject, event, reason,"
        " to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM magi_meta.halts ORDER BY 1, 2"
    )
    return [Halt(*row) for row in await rows.fetchall()]


async def fingerprint(connection: Connection) -> tuple[int, ...]:
    """Changes when an operator has done something: skipped, or put the views on another version."""
    row = await (
        await connection.execute(
            "SELECT (SELECT count(*) FROM magi_meta.skips),"
            " coalesce((SELECT version FROM magi_meta.versions WHERE state = 'live'), 0)"
        )
    ).fetchone()
    assert row is not None
    return tuple(row)
