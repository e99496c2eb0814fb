"""An instance announces how it does: what it has in hand, how long its votes take, how often it can't judge."""

import asyncio

import pytest

from magi.domain.messages import Opinion, Task
from magi.eventstore import presence, subjects
from magi.eventstore.direct import DirectReader
from magi.eventstore.presence import Instance, alive
from magi.voters.agent import CannotJudge
from tests.orchestrator.world import World
from tests.voters.desk import Desk
from tests.waiting import until


async def test_an_instance_announces_how_it_does(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "HEARTBEAT", 0.05)
    go = asyncio.Event()
    judged = 0

    async def judge(task: Task) -> Opinion:
        nonlocal judged
        judged += 1
        if judged == 1:
            raise CannotJudge("no idea")
        if judged == 5:
            await go.wait()
        await asyncio.sleep(0.02)
        return Opinion.abstains()

    await world.voter("a", judge, capacity=1, max_attempts=1)
    reader = DirectReader(world.bus, subjects.PRESENCE)
    await reader.start()

    async def seen(in_flight: int, succeeded: int, failed: int) -> Instance:
        found: list[Instance] = []

        async def announced() -> bool:
            found[:] = await alive(reader, "voter.a")
            return [(i.in_flight, i.succeeded, i.failed) for i in found] == [(in_flight, succeeded, failed)]

        await until(announced, f"{in_flight} in flight, {succeeded} votes and {failed} failures are announced")
        return found[0]

    await seen(0, 0, 0)
    await desk.give(5)
    instance = await seen(1, 3, 1)
    assert 20 <= instance.p95_ms < 5000
    assert instance.host == presence.host_name()
    go.set()
    await seen(0, 4, 1)
