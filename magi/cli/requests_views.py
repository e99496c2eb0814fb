"""Finding requests in the Postgres view `magi.requests`: as fast as its indexes, and as late as the projector."""

from datetime import UTC, datetime
from typing import Literal, cast

from magi.audit.summaries import Query, Summary
from magi.cli.context import Context
from magi.cli.projector import postgres_url
from magi.domain.clock import milliseconds, rfc3339
from magi.projections.postgres import make_pool
from magi.projections.queries import Filters, RequestSummary, list_requests


async def find_in_views(ctx: Context, query: Query) -> list[Summary]:
    """The requests that match, the newest first. Raises ProjectionError, SettingsError."""
    async with make_pool(postgres_url(ctx), most=1) as pool:
        return [summary_of(one) for one in await list_requests(pool, filters_of(query))]


def filters_of(query: Query) -> Filters:
    """The same question to the view."""
    return Filters(
        since=_moment(query.since),
        until=_moment(query.until),
        initiator=query.initiator or None,
        voter=query.voter or None,
        verdict=cast(Literal["pass", "fail", "open"], query.verdict) if query.verdict else None,
        strategy=query.strategy or None,
        limit=query.limit,
    )


def summary_of(one: RequestSummary) -> Summary:
    """The same answer as from the log."""
    return Summary(
        initiator_id=one.initiator_id,
        request_id=one.request_id,
        received_at=_text(one.received_at),
        voters=one.panel,
        strategy=one.strategy,
        votes=one.votes,
        verdict=cast(Literal["pass", "fail", "open"], one.verdict or "open"),
        outcome_reason=one.reason or "",
        decided_by=one.decided_by or "",
        decided_at=_text(one.decided_at) if one.decided_at else "",
    )


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


def _text(at: datetime) -> str:
    return rfc3339(milliseconds(at.isoformat()))
