from collections.abc import Callable
from datetime import timedelta

import pytest

from magi.projections.errors import NoTables, PostgresUnreachable
from magi.projections.postgres import make_pool
from magi.projections.queries import Filters, RequestSummary, list_requests
from tests.projections.histories import requests
from tests.projections.world import World


async def test_requests_are_found_by_each_filter(world: World) -> None:
    await world.log.put(requests(60))
    await world.projector()
    await world.caught_up()
    async with make_pool(world.url) as pool:
        everything = await list_requests(pool, Filters())
        assert [one.received_seq for one in everything] == [
            one.received_seq for one in sorted(everything, key=lambda o: (o.received_at, o.received_seq), reverse=True)
        ]
        middle = everything[30].received_at
        wanted: dict[Filters, Callable[[RequestSummary], bool]] = {
            Filters(since=middle): lambda one: one.received_at >= middle,
            Filters(until=middle): lambda one: one.received_at < middle,
            Filters(since=middle, until=middle + timedelta(milliseconds=1)): lambda one: one.received_at == middle,
            Filters(initiator="agent1"): lambda one: one.initiator_id == "agent1",
            Filters(voter="casper"): lambda one: "casper" in one.panel,
            Filters(verdict="pass"): lambda one: one.verdict == "pass",
            Filters(verdict="open"): lambda one: one.verdict is None,
            Filters(strategy="veto"): lambda one: one.strategy == "veto",
            Filters(strategy="veto", verdict="fail"): lambda one: (one.strategy, one.verdict) == ("veto", "fail"),
        }
        for filters, matches in wanted.items():
            found = await list_requests(pool, filters)
            assert found == [one for one in everything if matches(one)], filters
            assert found
        assert len(await list_requests(pool, Filters(limit=7))) == 7


async def test_an_empty_database_and_an_absent_one_are_told_apart(world: World) -> None:
    async with make_pool(world.url) as pool:
        with pytest.raises(NoTables):
            await list_requests(pool, Filters())
    async with make_pool("postgresql://nobody@127.0.0.1:1/none") as pool:
        pool.timeout = 0.2
        with pytest.raises(PostgresUnreachable):
            await list_requests(pool, Filters())
