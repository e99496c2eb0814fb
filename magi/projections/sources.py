"""The two streams as projections: how each loads its memory from the tables, folds messages, and writes rows."""

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from psycopg import sql as composed

from magi.domain.directory import DirectoryEvent
from magi.domain.voter import Voter
from magi.domain.voting_request import RequestEvent
from magi.eventstore import subjects
from magi.eventstore.codec import Codec, unpack
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory, E
from magi.projections.directory_fold import DirectoryFold
from magi.projections.errors import CannotApply
from magi.projections.fold import LogFold, OpenRequest
from magi.projections.layout import sql
from magi.projections.postgres import Connection
from magi.projections.rows import ContentRow, RequestRow, VoteRow
from magi.projections.text import copy_line

_encode = msgspec.json.Encoder().encode


class Projection(Protocol):
    """One stream, folded into its tables. `name` is its key in `positions`."""

    name: str
    stream: str

    async def load(self, connection: Connection) -> None:
        """Remember what the tables hold; forget what was folded since."""
        ...

    def apply(self, message: StoredMessage) -> None:
        """Fold in all events of one message. Raises CannotApply, and has then changed nothing."""
        ...

    async def write(self, connection: Connection) -> None:
        """Write what was folded since the last time, in the caller's transaction."""
        ...


class RequestsProjection:
    """MAGI_LOG: requests, votes, and what is summed up from them."""

    name = "requests"

    def __init__(self, *, content: bool, stream: str = subjects.LOG, prefix: str = subjects.LOG_PREFIX) -> None:
        self.stream = stream
        self._prefix = len(prefix)
        self._content = content
        self._codec: Codec[RequestEvent] = Codec(RequestEvent)
        self._fold = LogFold(content=content)

    async def load(self, connection: Connection) -> None:
        rows = await (await connection.execute(sql("open_state"))).fetchall()
        known = ((name, OpenRequest(at, tuple(panel), set(voted))) for name, at, panel, voted in rows)
        self._fold = LogFold(known, content=self._content)

    def apply(self, message: StoredMessage) -> None:
        self._fold.apply(message.subject[self._prefix :], message.sequence, *_events(self._codec, message))

    async def write(self, connection: Connection) -> None:
        batch = self._fold.take()
        await _copy(connection, "requests", RequestRow, batch.requests.values())
        await _copy(connection, "contents", ContentRow, batch.contents)
        await _copy(connection, "votes", VoteRow, batch.votes)
        # In one order always, so that two writers (the loser of a compare-and-swap is one) can't wait for each other.
        await _upsert(connection, "write_verdicts", batch.verdicts)
        await _upsert(connection, "write_totals", [row for _, row in sorted(batch.totals.items())])
        await _upsert(connection, "write_latencies", [row for _, row in sorted(batch.latencies.items())])
        await _upsert(connection, "write_hours", [row for _, row in sorted(batch.hours.items())])


class VotersProjection:
    """MAGI_DIRECTORY: what is known of each voter."""

    name = "voters"

    def __init__(self, stream: str = subjects.DIRECTORY, prefix: str = subjects.DIRECTORY_PREFIX) -> None:
        self.stream = stream
        self._prefix = len(prefix)
        self._codec: Codec[DirectoryEvent] = Codec(DirectoryEvent)
        self._fold = DirectoryFold()

    async def load(self, connection: Connection) -> None:
        rows = await (await connection.execute(sql("directory_state"))).fetchall()
        self._fold = DirectoryFold((row[0], _voter(row)) for row in rows)

    def apply(self, message: StoredMessage) -> None:
        self._fold.apply(message.subject[self._prefix :], *_events(self._codec, message))

    async def write(self, connection: Connection) -> None:
        await _upsert(connection, "write_voters", self._fold.take())


def _events(codec: Codec[E], message: StoredMessage) -> list[E]:
    """Raises CannotApply when one of them can't be read."""
    try:
        return [codec.decode(data) for data in unpack(message.data)]
    except CorruptHistory as error:
        raise CannotApply(str(error)[:300]) from error


def _voter(row: tuple[Any, ...]) -> Voter:
    name, version, kind, description, group, key, status, since, reason = row
    # By name: a voter has more fields than lead to columns, and they may stand anywhere among these.
    return Voter(
        version=version,
        voter_id=name,
        kind=kind,
        description=description,
        group=group,
        public_key=key,
        status=status,
        since=since.isoformat(),
        reason=reason,
    )


async def _copy(connection: Connection, table: str, kind: type[msgspec.Struct], rows: Iterable[msgspec.Struct]) -> None:
    """Insert rows, none of which is there yet. Raises psycopg.IntegrityError when one is."""
    lines = "".join([copy_line(msgspec.structs.astuple(row)) for row in rows])
    if not lines:
        return
    columns = composed.SQL(", ").join(map(composed.Identifier, kind.__struct_fields__))
    statement = composed.SQL("COPY {} ({}) FROM STDIN").format(composed.Identifier(table), columns)
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(lines)


async def _upsert(connection: Connection, statement: str, rows: Iterable[msgspec.Struct]) -> None:
    rows = list(rows)
    if rows:
        await connection.execute(sql(statement), {"rows": _encode(rows).decode()})
