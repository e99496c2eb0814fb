"""Messages that an operator lets be passed over: recorded in the database, honoured when they can't be applied.

A message is passed over with all events that it holds: they were appended together.
"""

from collections.abc import Iterable

from msgspec import Struct

from magi.eventstore.direct import StoredMessage
from magi.projections.errors import NotAllowed
from magi.projections.postgres import Connection


class Skip(Struct, frozen=True):
    """One message, or the sequences of a hole."""

    identity: str
    """Of the stream."""
    sequence: int
    last_sequence: int
    projection: str
    subject: str
    """Of the message; empty for a hole."""
    reason: str
    by: str


class Skips:
    """What may be passed over in one stream."""

    def __init__(self, skipped: Iterable[Skip] = ()) -> None:
        self._events: dict[int, int] = {}
        self._subjects: dict[str, int] = {}
        self._holes: list[tuple[int, int]] = []
        for skip in skipped:
            if skip.subject:
                self._events[skip.sequence] = skip.sequence
                self._subjects.setdefault(skip.subject, skip.sequence)
            else:
                self._holes.append((skip.sequence, skip.last_sequence))

    def passes(self, message: StoredMessage) -> int | None:
        """The skipped sequence by which a message that can't be applied is passed over; None: it isn't.

        What comes after a skipped message of the same aggregate may not fit either: it follows it.
        """
        found = self._events.get(message.sequence)
        if found is not None:
            return found
        first = self._subjects.get(message.subject)
        return first if first is not None and first < message.sequence else None

    def behind_hole(self, sequence: int) -> int:
        """Where to go on when `sequence` comes next."""
        for first, last in sorted(self._holes):
            if first <= sequence <= last:
                sequence = last + 1
        return sequence


async def load(connection: Connection, identity: str) -> Skips:
    rows = await connection.execute(
        "SELECT identity, sequence, last_sequence, projection, subject, reason, by FROM magi_meta.skips"
        " WHERE identity = %s ORDER BY sequence",
        (identity,),
    )
    return Skips([Skip(*row) for row in await rows.fetchall()])


async def record(connection: Connection, skipped: Iterable[Skip]) -> None:
    """Write them down; those that are known stay as they are."""
    for skip in skipped:
        await connection.execute(
            "INSERT INTO magi_meta.skips (identity, sequence, last_sequence, projection, subject, reason, by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (skip.identity, skip.sequence, skip.last_sequence, skip.projection, skip.subject, skip.reason, skip.by),
        )


async def skip(connection: Connection, sequence: int, reason: str, by: str, projection: str = "") -> list[Skip]:
    """Allow what a projection stopped at to be passed over: it goes on within a second.

    `projection` is needed when more than one stands at this number, each in its own stream. Raises NotAllowed when
    nothing stands at `sequence`, it isn't an event or a hole, or it isn't said which.
    """
    async with connection.transaction():
        rows = await connection.execute(
            "DELETE FROM magi_meta.halts WHERE sequence = %s AND kind IN ('event', 'hole') AND %s IN ('', projection)"
            " RETURNING identity, sequence, last_sequence, projection, subject",
            (sequence, projection),
        )
        # The same halt may stand of several versions of the tables.
        skipped = [
            Skip(identity, first, last, name, subject, reason, by)
            for identity, first, last, name, subject in sorted(set(await rows.fetchall()))
        ]
        if not skipped:
            raise NotAllowed(f"no projection stands at {sequence}: `magi projections status` says where they stand")
        standing = {one.projection for one in skipped}
        if len(standing) > 1:
            raise NotAllowed(f"{' and '.join(sorted(standing))} stand at {sequence}, of two streams: name one")
        await record(connection, skipped)
    return skipped
