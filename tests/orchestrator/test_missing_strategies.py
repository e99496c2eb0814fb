"""Requests whose strategy isn't installed any more, as after a third party's was removed: they wait, no other does."""

from collections.abc import Callable, Iterator

import pytest

from magi.domain import strategies
from magi.domain.clock import milliseconds
from magi.domain.strategies import Outcome, Strategy, registered
from magi.domain.strategies.rules import BUILT_IN
from magi.domain.voting_request import Adjudicated, Received
from magi.eventstore.presence import now_ms
from tests.orchestrator.world import World
from tests.waiting import until

WHIM = Strategy("whim", lambda parameters, votes: Outcome("pass", "whim"))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Strategy], None]]:
    """Call it with the strategies that are there besides the built-in ones."""

    def install(*others: Strategy) -> None:
        monkeypatch.setattr(strategies, "BUILT_IN", (*BUILT_IN, *others))
        registered.cache_clear()

    yield install
    monkeypatch.undo()
    registered.cache_clear()


async def test_a_request_waits_until_its_strategy_is_back_and_no_other_waits(
    hasty: float, world: World, installed: Callable[..., None]
) -> None:
    installed(WHIM)
    await world.orchestrator()
    voted = await world.submit(strategy="whim")
    early = await world.submit(strategy="whim", decide="early")
    overdue = await world.submit(strategy="whim", timeout_ms=2500)
    waiting = [one.aggregate for one in (voted, early, overdue)]
    await world.until_tasks(3)
    installed()
    for one in (voted, early):
        await world.votes(one.aggregate, a="pass", b="fail", c="fail")
    others = [await world.submit() for _ in range(8)]
    await world.until_events(others[-1].aggregate, 1)
    for one in others:
        await world.votes(one.aggregate, a="pass", b="pass", c="pass")
    await world.until_decided(*(one.aggregate for one in others))
    received = (await world.history(overdue.aggregate))[0]
    assert isinstance(received, Received)
    deadline = milliseconds(received.deadline)

    async def over() -> bool:
        return now_ms() > deadline

    await until(over, "the deadline of one")
    for request in waiting:
        assert not any(isinstance(event, Adjudicated) for event in await world.history(request))
    installed(WHIM)
    await world.until_decided(*waiting)
    for request in waiting:
        assert (await world.check(request)).outcome_reason == "whim"
    assert (await world.check(voted.aggregate)).tally == {"pass": 1, "fail": 2, "abstain": 0, "missing": 0}
    assert (await world.check(overdue.aggregate)).tally["missing"] == 3
    await world.until_inbox_empty()
    assert {refusal.code for refusal in world.refusals} <= {"late"}, "ballots behind an early verdict"
