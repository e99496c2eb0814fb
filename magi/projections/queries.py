"""Questions that commands ask of the views."""

from datetime import datetime
from typing import Any, Literal

import msgspec
import psycopg
from msgspec import Struct
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from magi.projections.errors import NoTables
from magi.projections.layout import sql
from magi.projections.postgres import Connection, reachable


class Filters(Struct, frozen=True):
    """Which requests; None: any."""

    since: datetime | None = None
    """Received at this time or later; with a zone."""
    until: datetime | None = None
    """Received before."""
    initiator: str | None = None
    voter: str | None = None
    """On the panel, whether it voted or not."""
    verdict: Literal["pass", "fail", "open"] | None = None
    strategy: str | None = None
    limit: int = 100


class RequestSummary(Struct, frozen=True, kw_only=True):
    """A row of `magi.requests` (docs/projections.md)."""

    initiator_id: str
    request_id: str
    aggregate: str
    received_at: datetime
    deadline: datetime
    decided_at: datetime | None
    panel: tuple[str, ...]
    votes: int
    strategy: str
    parameters: dict[str, Any]
    decide: str
    verdict: str | None
    decided_by: str | None
    reason: str | None
    tally_pass: int | None
    tally_fail: int | None
    tally_abstain: int | None
    tally_missing: int | None
    latency_ms: int | None
    received_seq: int
    decided_seq: int | None


def parameters_of(filters: Filters) -> dict[str, object]:
    """What ``list_requests.sql`` is asked with."""
    is_open = filters.verdict == "open"
    return {
        "since": filters.since,
        "until": filters.until,
        "initiator": filters.initiator,
        "voter": filters.voter,
        "verdict": None if is_open else filters.verdict,
        "open": True if is_open else None,
        "strategy": filters.strategy,
        "limit": filters.limit,
    }


async def list_requests(pool: AsyncConnectionPool[Connection], filters: Filters) -> list[RequestSummary]:
    """The requests that match, the latest first. Raises PostgresUnreachable, NoTables."""
    with reachable():
        async with pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            try:
                # Not prepared: a plan for every value of the parameters could use no index.
                await cursor.execute(sql("list_requests"), parameters_of(filters), prepare=False)
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
                raise NoTables("nothing was projected into this database yet: does `magi projector` run?") from error
            return [msgspec.convert(row, RequestSummary) for row in await cursor.fetchall()]
