"""The queries that are promised to be quick are planned with the indexes that were made for them."""

from collections.abc import Mapping
from datetime import UTC, datetime

import psycopg
import pytest

from magi.projections import versions
from magi.projections.layout import sql
from magi.projections.postgres import connect
from magi.projections.queries import Filters, parameters_of
from tests.projections.postgres import PostgresServer

FILL = """
INSERT INTO magi_v1.requests
SELECT md5(n::text)::uuid, 'agent-' || n % 500, 'r-' || n, timestamptz '2026-01-01Z' + n * interval '1 minute',
       timestamptz '2026-01-01Z' + n * interval '1 minute',
       ARRAY['common', CASE WHEN n % 500 = 0 THEN 'rare' ELSE 'usual' END],
       CASE WHEN n % 500 = 0 THEN 'veto' ELSE 'minority_rule' END, '{}', 'all', n,
       CASE WHEN n % 500 = 1 THEN NULL WHEN n % 500 = 0 THEN 'fail' ELSE 'pass' END
FROM generate_series(1, 20000) AS n;
INSERT INTO magi_v1.votes
SELECT md5(n::text)::uuid, 'voter-' || n % 500, 'pass', timestamptz '2026-01-01Z' + n * interval '1 minute', 5, NULL,
       NULL, n
FROM generate_series(1, 20000) AS n;
ANALYZE magi_v1.requests, magi_v1.votes;
"""


@pytest.fixture(scope="module")
def filled(shared_postgres: PostgresServer) -> str:
    import asyncio

    url = shared_postgres.new_database()

    async def fill() -> None:
        connection = await connect(url)
        await versions.prepare(connection)
        version = await versions.first_version(connection, content=False)
        await versions.make_indexes(connection, version)
        await connection.execute(FILL.encode())
        await connection.close()

    asyncio.run(fill())
    return url


def plan(url: str, query: str | bytes, parameters: Mapping[str, object] | None = None) -> str:
    text = query if isinstance(query, bytes) else query.encode()
    with psycopg.Connection.connect(url) as connection:
        rows = connection.execute(b"EXPLAIN (COSTS OFF) " + text, parameters, prepare=False).fetchall()
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize(
    ("where", "index"),
    [
        ("received_at > '2026-01-14Z'", "requests_by_time"),
        ("true ORDER BY received_at DESC LIMIT 50", "requests_by_time"),
        ("initiator_id = 'agent-7'", "requests_by_initiator"),
        ("initiator_id = 'agent-7' ORDER BY received_at DESC LIMIT 5", "requests_by_initiator"),
        ("request_id = 'r-77'", "requests_by_name"),
        ("verdict = 'fail'", "requests_by_verdict"),
        ("verdict = 'fail' ORDER BY received_at DESC LIMIT 10", "requests_by_verdict"),
        ("strategy = 'veto'", "requests_by_strategy"),
        ("panel @> ARRAY['rare']", "requests_by_voter"),
    ],
)
def test_requests_by(filled: str, where: str, index: str) -> None:
    assert index in plan(filled, f"SELECT request_id, received_at FROM magi.requests WHERE {where}")


@pytest.mark.parametrize(
    ("where", "index"),
    [
        ("voter_id = 'voter-7'", "votes_by_voter"),
        ("voter_id = 'voter-7' ORDER BY voted_at DESC LIMIT 5", "votes_by_voter"),
        ("voted_at > '2026-01-14 20:00Z'", "votes_by_time"),
        ("request_id = 'r-77'", "requests_by_name"),
    ],
)
def test_votes_by(filled: str, where: str, index: str) -> None:
    found = plan(filled, f"SELECT request_id, vote FROM magi.votes WHERE {where}")
    assert index in found
    assert "Seq Scan" not in found


def test_open_requests_are_found_without_reading_the_others(filled: str) -> None:
    found = plan(filled, "SELECT * FROM magi.open_requests")
    assert "requests_open" in found or "requests_by_verdict" in found
    assert "Seq Scan" not in found


def test_content_costs_nothing_when_it_is_not_asked_for(filled: str) -> None:
    assert "contents" not in plan(filled, "SELECT request_id FROM magi.requests")


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (Filters(), "requests_by_time"),
        (Filters(since=datetime(2026, 1, 14, tzinfo=UTC)), "requests_by_time"),
        (Filters(initiator="agent-7"), "requests_by_initiator"),
        (Filters(voter="rare"), "requests_by_voter"),
        (Filters(verdict="fail"), "requests_by_verdict"),
        (Filters(verdict="open"), "requests_open"),
        (Filters(strategy="veto"), "requests_by_strategy"),
    ],
)
def test_list_requests_by(filled: str, filters: Filters, index: str) -> None:
    assert index in plan(filled, sql("list_requests"), parameters_of(filters))
