import asyncio

import pytest

from tests.projections.histories import in_messages, registered, requests
from tests.projections.world import World


@pytest.fixture
async def filled(world: World) -> World:
    """Projected, and no projector at work."""
    await world.directory.put(registered("melchior"))
    for message in in_messages(requests(30)):
        await world.log.put_together(message)
    projector = await world.projector()
    await world.caught_up()
    await projector.stop()
    return world


async def test_a_row_changed_by_hand_is_told_with_what_it_should_be(filled: World) -> None:
    await filled.rows("UPDATE magi_v1.requests SET verdict = 'pass', reason = 'bribed' WHERE verdict = 'fail'")
    changed = {row["id"] for row in await filled.rows("SELECT id::text FROM magi_v1.requests WHERE reason = 'bribed'")}
    found = (await filled.verified()).differences
    assert {difference.key["id"] for difference in found} == changed
    assert {difference.table for difference in found} == {"requests"}
    assert {(d.stored or {})["verdict"] for d in found} == {"pass"}
    assert {(d.folded or {})["verdict"] for d in found} == {"fail"}


@pytest.mark.parametrize("table", ["requests", "votes", "voter_totals", "voter_latencies", "verdict_hours"])
async def test_a_missing_row_is_told(filled: World, table: str) -> None:
    await filled.rows(f"DELETE FROM magi_v1.{table} WHERE ctid = (SELECT min(ctid) FROM magi_v1.{table})")
    (found,) = (await filled.verified()).differences
    assert (found.table, found.stored) == (table, None)
    assert found.folded


async def test_an_extra_row_is_told(filled: World) -> None:
    await filled.rows(
        "INSERT INTO magi_v1.directory_voters VALUES ('mole', 1, 'nats', '', 'default', '', 'active', now(), '')"
    )
    (found,) = (await filled.verified()).differences
    assert (found.table, found.key, found.folded) == ("directory_voters", {"voter_id": "mole"}, None)


async def test_verify_reads_one_moment_while_the_projector_goes_on(world: World) -> None:
    await world.projector()
    await world.log.put(requests(20))
    await world.caught_up()
    writing = asyncio.create_task(world.log.put(requests(300, seed=2, first=20)))
    rounds = 0
    while not writing.done() or rounds < 2:
        assert not (await world.verified()).differences
        rounds += 1
    await writing


async def test_a_position_changed_by_hand_is_told_and_not_waited_for(filled: World) -> None:
    await filled.rows("UPDATE magi_v1.positions SET sequence = sequence + 1000 WHERE projection = 'requests'")
    async with asyncio.timeout(30):
        (found,) = (await filled.verified()).differences
    assert (found.table, found.key) == ("positions", {"projection": "requests"})
    end = len(filled.log.stored)
    assert (found.stored, found.folded) == ({"sequence": end + 1000}, {"sequence": end})
