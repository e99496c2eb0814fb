"""Several instances of a voter: they share the work, and what one can't finish another does."""

import asyncio
from collections import Counter

import pytest

from magi.domain.messages import Opinion, Task
from magi.eventstore import consumers
from magi.eventstore.consumers import TASK_ACK_WAIT
from magi.voters.agent import Judge
from tests.orchestrator.world import World
from tests.voters.desk import Desk
from tests.voters.judges import judge_by_content
from tests.waiting import until


async def test_instances_share_the_work_by_what_they_can_do(world: World, desk: Desk) -> None:
    judged: Counter[str] = Counter()

    def counting(name: str) -> Judge:
        async def judge(task: Task) -> Opinion:
            judged[name] += 1
            await asyncio.sleep(0.02)
            return Opinion.passes()

        return judge

    await world.voter("a", counting("small"), capacity=1)
    await world.voter("a", counting("large"), capacity=4)
    await desk.give(60)
    assert len(await desk.until_done(60)) == 60
    assert judged["small"] + judged["large"] == 60
    assert 4 <= judged["small"] < judged["large"]


class Stuck:
    """A judge that never ends; `began` is set once it has something to judge."""

    def __init__(self) -> None:
        self.began = asyncio.Event()

    async def __call__(self, task: Task) -> Opinion:
        self.began.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


async def test_what_a_killed_instance_had_goes_to_another(hasty: float, world: World, desk: Desk) -> None:
    stuck = Stuck()
    killed = await world.voter("a", stuck, capacity=2)
    await desk.give(4)
    await asyncio.wait_for(stuck.began.wait(), 30)
    await killed._bus.close()
    await world.voter("a", judge_by_content)
    assert len(await desk.until_done(4)) == 4


async def test_a_stopping_instance_finishes_what_is_open(world: World, desk: Desk) -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def judge(task: Task) -> Opinion:
        began.set()
        await go.wait()
        return Opinion.passes()

    stopping = await world.voter("a", judge, capacity=2)
    await desk.give(5)
    await asyncio.wait_for(began.wait(), 30)
    stop = asyncio.create_task(stopping.stop())
    await asyncio.sleep(0)
    go.set()
    await stop
    done = len(await desk.results())
    assert 1 <= done <= 2, "what was open, and nothing more"
    await world.voter("a", judge)
    assert len(await desk.until_done(5)) == 5, "what it was not asked for any more"


async def test_what_a_stopping_instance_can_not_finish_goes_to_another_at_once(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "TASK_ACK_WAIT", 90.0)  # what nobody gave back comes after that
    stuck = Stuck()
    stopping = await world.voter("a", stuck)
    await desk.give(4)
    await asyncio.wait_for(stuck.began.wait(), 30)
    await world.voter("a", judge_by_content)
    await stopping.stop(timeout=0.1)
    assert len(await desk.until_done(4)) == 4


async def test_a_killed_server_costs_no_task(world: World, desk: Desk) -> None:
    judged: Counter[str] = Counter()

    async def judge(task: Task) -> Opinion:
        judged[task.task_id] += 1
        await asyncio.sleep(0.02)
        return await judge_by_content(task)

    await world.voter("a", judge, capacity=2)
    await world.voter("a", judge, capacity=2)
    await desk.give(40)

    async def halfway() -> bool:
        return len(judged) > 10

    await until(halfway, "some are judged")
    world.server.kill()
    world.server.start()
    await desk.give(10)
    results = await desk.until_done(50, within=TASK_ACK_WAIT + 30)
    assert len({result.task_id for result in results}) == 50
