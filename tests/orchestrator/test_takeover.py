"""An orchestrator dies, at any step: another one finishes what it had begun, once, and soon."""

import asyncio
import time

from magi.eventstore import subjects
from tests.orchestrator.deaths import Mortal, count, dispatch, receive, take_and_die
from tests.orchestrator.world import World


async def test_whatever_step_it_died_at_another_finishes_each_request_once(hasty: float, world: World) -> None:
    """The states that a death can leave behind, all at once: each is written by hand."""
    asked = {
        state: await world.submit() for state in ("delivered", "received", "dispatched", "waiting", "voted", "over")
    }
    later = [asked[state] for state in ("received", "dispatched", "waiting", "voted", "over")]
    for one in later:
        await receive(world, one)
    for one in later[1:]:
        await dispatch(world, one)
    for state in ("waiting", "voted", "over"):
        await count(world, asked[state], "a", "pass")
        await count(world, asked[state], "b", "fail")
    await count(world, asked["voted"], "c", "fail", only=1)
    await count(world, asked["over"], "c", "fail")
    replies = await take_and_die(world)
    died = time.monotonic()
    for state in ("waiting", "voted", "over"):  # their timers were set
        await world.bus.publish(replies[asked[state].sequence], b'-NAK {"delay":90000000000}')
    assert len(await world.history(asked["voted"].aggregate)) == 4
    over = await world.check(asked["over"].aggregate)

    orchestrator = await world.orchestrator()
    await world.vote(asked["waiting"].aggregate, "c", "fail")
    await world.until_decided(asked["voted"].aggregate, asked["waiting"].aggregate)
    await world.until_tasks(6, "c")
    assert time.monotonic() - died < 60, "their timers have not rung"
    for state in ("delivered", "received", "dispatched"):
        await world.votes(asked[state].aggregate, a="pass", b="fail", c="fail")
    await world.until_decided(*(one.aggregate for one in asked.values()))
    for one in asked.values():
        verdict = await world.check(one.aggregate)
        assert (verdict.final_vote, verdict.decided_by) == ("fail", "votes")
        assert len(await world.history(one.aggregate)) == 5
    assert await world.check(asked["over"].aggregate) == over
    assert len(await world.tasks("a")) == 6, "each was dispatched once"
    assert world.refusals == []
    # What nobody told the new one about ends at its deadline; the rest is done with.
    assert (await world.state(subjects.INBOX)).messages == 3
    assert orchestrator.open == 0


async def test_one_that_dies_amid_its_work_is_replaced_and_its_return_does_no_harm(hasty: float, world: World) -> None:
    mortal = await Mortal.begin(world)
    asked = [await world.submit() for _ in range(30)]
    await world.until_tasks(30)
    for one in asked[:20]:
        await world.votes(one.aggregate, a="pass", b="pass")
    for one in asked[:10]:
        await world.vote(one.aggregate, "c", "pass")
    await world.until_events(asked[0].aggregate, 2)
    mortal.die()
    survivor = await world.orchestrator()
    for one in asked[10:20]:
        await world.vote(one.aggregate, "c", "pass")
    await world.until_decided(*(one.aggregate for one in asked[:20]), within=30)

    mortal.revive()
    for one in asked[20:]:
        await world.votes(one.aggregate, a="pass", b="pass", c="pass")
    more = [await world.submit() for _ in range(10)]
    await world.until_tasks(40, "c")
    await asyncio.gather(*(world.votes(one.aggregate, a="pass", b="pass", c="pass") for one in more))
    await world.until_decided(*(one.aggregate for one in asked + more), within=30)
    for one in asked + more:
        assert (await world.check(one.aggregate)).decided_by == "votes"
    assert world.refusals == []
    assert survivor.open <= 40
