"""Several orchestrators share the partitions, hand them over, and meet on one without harm."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from magi.eventstore import consumers, subjects
from magi.eventstore.direct import DirectReader
from magi.eventstore.presence import Instance
from magi.orchestrator import arrivals, partitions
from magi.orchestrator.orchestrator import Orchestrator
from tests.orchestrator.deaths import Mortal
from tests.orchestrator.world import Asked, World
from tests.servers import NatsServer
from tests.voters.judges import judge_by_content
from tests.waiting import until

ALL = frozenset(range(8))


@pytest.fixture
async def world(fresh_nats: NatsServer) -> AsyncIterator[World]:
    """With eight partitions, and three voters that vote."""
    async with World.over(fresh_nats, partitions=8) as world:
        for voter in "abc":
            await world.voter(voter, judge_by_content)
        yield world


async def until_shared(*orchestrators: Orchestrator, most: int, within: float = 30.0) -> None:
    """Wait until each partition is read by exactly one of them, and none reads more than its share."""

    async def shared() -> bool:
        owned = [orchestrator.owned for orchestrator in orchestrators]
        return (
            sum(len(one) for one in owned) == 8
            and frozenset().union(*owned) == ALL
            and all(len(one) <= most for one in owned)
        )

    await until(shared, f"each reads at most {most} of 8 partitions", within)


async def until_forgotten(*orchestrators: Orchestrator) -> None:
    async def forgotten() -> bool:
        return all(orchestrator.open == 0 for orchestrator in orchestrators)

    await until(forgotten, "no request is in memory")


async def one_each(world: World) -> list[Asked]:
    """A submission in each partition."""
    asked: dict[int, Asked] = {}
    while len(asked) < world.partitions:
        submission = world.submission()
        partition = world.partition_of(submission)
        if partition not in asked:
            asked[partition] = await world.submit(submission)
    return list(asked.values())


async def check_all(world: World, asked: list[Asked], within: float = 30.0) -> None:
    """Wait for the verdicts, and see to it that each has all three votes."""
    await world.until_decided(*(one.aggregate for one in asked), within=within)
    for one in asked:
        verdict = await world.check(one.aggregate)
        assert verdict.decided_by == "votes"


async def took(world: World, open_ones: list[Asked]) -> float:
    """The seconds until one request of each partition, and those that are open, are decided."""
    begun = time.monotonic()
    await check_all(world, [*open_ones, *await one_each(world)], within=60)
    return time.monotonic() - begun


async def test_orchestrators_share_evenly_as_they_come_and_go(hasty: float, world: World) -> None:
    first = await world.orchestrator()
    assert first.owned == ALL
    second = await world.orchestrator()
    await until_shared(first, second, most=4)
    third = await world.orchestrator()
    await until_shared(first, second, third, most=3)
    asked = [one for _ in range(3) for one in await one_each(world)]
    await check_all(world, asked)
    await third.stop()
    await until_shared(first, second, most=4)
    await second.stop()
    await until_shared(first, most=8)
    await check_all(world, await one_each(world))
    await world.until_inbox_empty()
    assert first.open == second.open == third.open == 0


async def test_one_that_stops_hands_over_at_once(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    for module in (consumers, arrivals):
        monkeypatch.setattr(module, "ACK_WAIT", 90.0)
    monkeypatch.setattr(consumers, "PIN_TIMEOUT", 90.0)  # nobody can wait for a pin to run out
    first = await world.orchestrator()
    second = await world.orchestrator()
    await until_shared(first, second, most=4)
    before = [one for _ in range(5) for one in await one_each(world)]
    await first.stop()
    after = await one_each(world)
    await check_all(world, before + after)
    assert second.owned == ALL
    assert first.open == 0


async def test_one_that_dies_is_replaced_within_six_seconds(world: World) -> None:
    first = await Mortal.begin(world)
    second = await world.orchestrator()
    await until_shared(first.orchestrator, second, most=4)
    usual = await took(world, [])
    before = [one for _ in range(5) for one in await one_each(world)]
    first.die()
    assert await took(world, before) < 6 + max(2, 6 * usual), "what it usually takes, for six times as many"
    assert second.owned == ALL


async def test_a_partition_changes_hands_back_and_forth_amid_the_work(hasty: float, world: World) -> None:
    first = await world.orchestrator()
    asked: list[Asked] = []
    enough = asyncio.Event()

    async def submit() -> None:
        while not enough.is_set():
            asked.append(await world.submit())
            await asyncio.sleep(0.01)

    submitting = asyncio.create_task(submit())
    try:
        for _ in range(2):
            other = await world.orchestrator()
            await until_shared(first, other, most=4)
            await other.stop()
            await until_shared(first, most=8)
            assert other.open == 0
    finally:
        enough.set()
        await asyncio.wait([submitting])
    submitting.result()
    await check_all(world, asked)
    assert len(asked) > 50
    await until_forgotten(first)


class _Anybody:
    """Equal to whoever asks."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


async def test_two_that_read_the_same_partitions_decide_each_request_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the assignment nor the pin keeps them apart here: what is left is the log's compare-and-swap."""

    async def ensure_shared(bus: object, partition: int) -> None:
        name = subjects.inbox_consumer(partition)
        await consumers._ensure(
            world.bus,
            subjects.INBOX,
            {
                "durable_name": name,
                "filter_subject": subjects.inbox_filter(partition),
                "ack_policy": "explicit",
                "ack_wait": 1_000_000_000,
                "max_ack_pending": -1,
            },
        )

    monkeypatch.setattr(partitions, "ensure_inbox_consumer", ensure_shared)
    monkeypatch.setattr(partitions, "assign", lambda members, count: {n: _Anybody() for n in range(count)})
    monkeypatch.setattr(subjects, "GROUP", None)
    monkeypatch.setattr(partitions, "WANT", 4)
    both = [await world.orchestrator(), await world.orchestrator()]
    assert all(orchestrator.owned == ALL for orchestrator in both)
    with capture_logs() as logged:
        asked = [await world.submit() for _ in range(150)]
        for one in asked[:20]:
            await world.submit(one.submission)
        await check_all(world, asked, within=30)
    assert sum(entry["event"] == "append_conflict" for entry in logged) > 0, "they didn't meet"


async def test_nats_killed_in_mid_flight_costs_nothing(hasty: float, world: World) -> None:
    both = [await world.orchestrator(), await world.orchestrator()]
    await until_shared(*both, most=4)
    asked: list[Asked] = []

    async def submit() -> None:
        while len(asked) < 200:
            asked.append(await world.submit_patiently())

    submitting = asyncio.create_task(submit())

    async def halfway() -> bool:
        return len(asked) > 60

    await until(halfway, "some are under way")
    with capture_logs() as logged:
        world.server.kill()
        world.server.start()
        await submitting
        await check_all(world, asked, within=30)
    assert not [entry for entry in logged if entry["event"] == "partitions"], "nobody took what another one reads"
    await until_shared(*both, most=4)
    await until_forgotten(*both)


async def test_an_answer_that_comes_in_the_moment_of_its_end_keeps_nobody_from_leaving(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until Python 3.12 `asyncio.wait_for` returns such an answer, and forgets that it was cancelled."""
    asking, alive = asyncio.Event(), partitions.alive

    async def answered(reader: DirectReader, part: str) -> list[Instance]:
        asking.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        monkeypatch.undo()
        return await alive(reader, part)

    orchestrator = await world.orchestrator()
    monkeypatch.setattr(partitions, "alive", answered)
    await asyncio.wait_for(asking.wait(), 30)
    await asyncio.wait_for(orchestrator.stop(), 30)
    assert not orchestrator.owned
