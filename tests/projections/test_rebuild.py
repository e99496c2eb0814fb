import asyncio

import psycopg
import pytest

from magi.projections import versions
from magi.projections.errors import EventRefused, NoTables, NotAllowed
from magi.projections.layout import VIEWS
from magi.projections.postgres import connect
from tests.projections.histories import registered, requests, some_uuid
from tests.projections.test_projector import skip_it
from tests.projections.world import World
from tests.waiting import until


async def states(world: World) -> dict[int, str]:
    rows = await world.rows("SELECT version, state FROM magi_meta.versions ORDER BY version")
    return {row["version"]: row["state"] for row in rows}


async def test_readers_see_no_gap_no_error_and_no_step_back_while_tables_are_rebuilt_under_load(world: World) -> None:
    await world.directory.put(registered("melchior"))
    await world.log.put(requests(100))
    await world.projector()
    await world.caught_up()
    stop = asyncio.Event()
    looks = 0

    async def read() -> None:
        nonlocal looks
        most = 0
        connection = await psycopg.AsyncConnection.connect(world.url, autocommit=True)
        async with connection:
            while not stop.is_set():
                for view in VIEWS:
                    await connection.execute(f"SELECT * FROM magi.{view}")
                row = await (await connection.execute("SELECT count(*) FROM magi.requests")).fetchone()
                assert row is not None
                assert row[0] >= most >= 0
                most = max(100, row[0])
                looks += 1

    async def write() -> None:
        first = 100
        while not stop.is_set():
            await world.log.put(requests(5, seed=first, first=first))
            first += 5

    tasks = [asyncio.create_task(work) for work in (read(), read(), write())]
    for number in (2, 3):
        rebuilt = await world.rebuild().rebuild()
        assert (rebuilt.version, rebuilt.switched, rebuilt.verified.differences) == (number, True, ())
    stop.set()
    await asyncio.gather(*tasks)
    await world.caught_up()
    assert looks > 10
    assert await states(world) == {1: "retired", 2: "retired", 3: "live"}
    assert not (await world.verified()).differences


async def test_an_interrupted_rebuild_goes_on_where_it_was(world: World) -> None:
    await world.log.put(requests(1500))
    reached = asyncio.Event()
    at = 0

    def progressed(projection: str, sequence: int, to: int) -> None:
        nonlocal at
        if sequence < to:
            at = sequence
            reached.set()

    first = asyncio.create_task(world.rebuild(on_progress=progressed).rebuild())
    await asyncio.wait_for(reached.wait(), 30)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert await states(world) == {1: "building"}
    rebuilt = await world.rebuild().rebuild()
    assert rebuilt.version == 1
    assert rebuilt.resumed_at["requests"] >= at > 0
    assert rebuilt.switched
    assert not rebuilt.verified.differences


async def test_of_two_rebuilds_at_once_one_is_refused(world: World) -> None:
    await world.log.put(requests(300))
    results = await asyncio.gather(world.rebuild().rebuild(), world.rebuild().rebuild(), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NotAllowed", "Rebuilt"]


async def test_a_rebuild_stops_at_an_event_that_can_not_be_applied_and_goes_on_once_it_is_skipped(world: World) -> None:
    await world.log.put(requests(5))
    poison = await world.log.put_bytes(f"agent.{some_uuid()}", b"{}")
    with pytest.raises(EventRefused):
        await world.rebuild().rebuild()
    await skip_it(world, poison)
    assert (await world.rebuild().rebuild()).switched
    assert (await world.rebuild().rebuild()).switched  # what was skipped once is passed over by the next one too


async def test_switching_back_catches_up_first(world: World) -> None:
    await world.projector()
    await world.log.put(requests(10))
    await world.caught_up()
    await world.rebuild().rebuild()
    await world.log.put(requests(10, seed=2, first=10))
    await world.caught_up()
    await world.rebuild().switch(1)
    assert len(await world.rows("SELECT 1 FROM magi.requests")) == 20
    assert await states(world) == {1: "live", 2: "retired"}
    await world.log.put(requests(10, seed=3, first=20))
    await world.caught_up()
    assert not (await world.verified()).differences


async def test_only_tables_that_the_views_are_not_on_can_be_dropped(world: World) -> None:
    await world.rebuild().rebuild()
    await world.rebuild().rebuild()
    connection = await connect(world.url)
    try:
        with pytest.raises(NotAllowed):
            await versions.drop(connection, 2)
        await versions.drop(connection, 1)
        with pytest.raises(NoTables):
            await versions.drop(connection, 1)
    finally:
        await connection.close()
    assert await states(world) == {2: "live"}


async def test_a_switch_waits_for_a_long_query_on_a_view_and_lets_the_others_through(world: World) -> None:
    await world.rebuild().rebuild()
    reader = await psycopg.AsyncConnection.connect(world.url)
    await reader.execute("SELECT * FROM magi.requests")  # its transaction stays open
    waits = asyncio.Event()
    rebuilding = asyncio.create_task(world.rebuild(on_step=lambda s: waits.set() if "wait" in s else None).rebuild())
    await asyncio.wait_for(waits.wait(), 30)
    await reader.close()
    assert (await rebuilding).switched


async def test_readers_who_take_the_views_in_another_order_are_not_the_ones_who_lose(world: World) -> None:
    """A switch that waited for `votes` with `requests` in its hands would wait for this reader, and he for it."""
    await world.rebuild().rebuild()
    reader = await psycopg.AsyncConnection.connect(world.url)
    rebuilding = asyncio.create_task(world.rebuild().rebuild())

    async def waited_for() -> bool:
        return bool(await world.rows("SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'magi.votes'::regclass"))

    for _ in range(3):
        await reader.execute("SELECT * FROM magi.votes")  # its transaction stays open
        await until(waited_for, "the switch waits for the reader")
        await reader.execute("SELECT * FROM magi.requests")
        await reader.rollback()
    await reader.close()
    assert (await rebuilding).switched


async def test_tables_that_are_ahead_of_a_stream_that_lost_its_end_are_replaced(world: World) -> None:
    await world.log.put(requests(10))
    projector = await world.projector()
    await world.caught_up()
    await projector.stop()
    # As after a server was restored from an older copy of its files: the same stream, and less of it.
    await world.rows(
        "UPDATE magi_v1.positions SET sequence = sequence + 1000, digest = 'x' WHERE projection = 'requests'"
    )
    await world.projector()
    (halt,) = (await world.halted()).live_halts
    assert halt.kind == "stream"
    async with asyncio.timeout(30):
        assert (await world.rebuild().rebuild()).switched
    await world.log.put(requests(3, seed=2, first=10))
    await world.caught_up()
    assert not (await world.verified()).differences
