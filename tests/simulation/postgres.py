"""A Postgres in memory, as far as the projector's runner asks for one: a position, and rows in the same transaction."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import msgspec

from magi.domain.voting_request import RequestEvent
from magi.eventstore import subjects
from magi.eventstore.codec import Codec
from magi.eventstore.direct import StoredMessage
from magi.projections.fold import Batch, LogFold, OpenRequest
from magi.projections.layout import sql

Rows = list[tuple[str, Any]]


class Database:
    """What is committed. Lives longer than those who connect to it."""

    def __init__(self) -> None:
        self.position: tuple[str, int, str] | None = None
        self.rows: Rows = []
        self.open: dict[str, OpenRequest] = {}
        self.commits = 0


class Connection:
    """Stands for psycopg's."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._swap: tuple[str, int, str] | None = None
        self.rows: Rows = []
        self.open: dict[str, OpenRequest] | None = None

    async def execute(self, query: Any, parameters: Any = None) -> Any:
        await asyncio.sleep(0.0005)
        database, rows, count = self.database, [], 0
        if query == sql("begin_position"):
            database.position = database.position or (parameters["identity"], 0, "")
        elif query == sql("position"):
            rows = [database.position]
        elif query == sql("advance_position"):
            at = database.position
            if at and at[:2] == (parameters["identity"], parameters["from"]):
                self._swap, count = (at[0], parameters["to"], parameters["digest"]), 1
        elif "magi_meta.skips" not in str(query):
            raise NotImplementedError(f"the simulated Postgres doesn't know {query!r}")

        async def fetchone() -> Any:
            return rows[0] if rows else None

        async def fetchall() -> Any:
            return rows

        return SimpleNamespace(fetchone=fetchone, fetchall=fetchall, rowcount=count)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self._swap, self.rows, self.open = None, [], None
        yield
        await asyncio.sleep(0.0005)
        # From here on it is committed, whether whoever asked for it hears of it or not.
        if self._swap:
            self.database.position = self._swap
            self.database.rows += self.rows
            self.database.open = self.open or {}
            self.database.commits += 1


class Requests:
    """The projection of MAGI_LOG into such a database: the fold is MAGI's own."""

    name = "requests"
    stream = subjects.LOG

    def __init__(self) -> None:
        self._codec: Codec[RequestEvent] = Codec(RequestEvent)
        self._fold = LogFold()

    async def load(self, connection: Connection) -> None:
        self._fold = LogFold(connection.database.open.items())

    def apply(self, message: StoredMessage) -> None:
        aggregate = message.subject[len(subjects.LOG_PREFIX) :]
        events = [recorded.event for recorded in self._codec.recorded(message.sequence, message.data)]
        self._fold.apply(aggregate, message.sequence, *events)

    async def write(self, connection: Connection) -> None:
        connection.rows = rows_of(self._fold.take())
        connection.open = dict(self._fold.open)


def rows_of(batch: Batch) -> Rows:
    """What a batch adds, flat."""
    tables = (("requests", batch.requests.values()), ("votes", batch.votes), ("verdicts", batch.verdicts))
    return [(name, msgspec.to_builtins(row)) for name, rows in tables for row in rows]
