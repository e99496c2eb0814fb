"""What counts as open: from the submission to the verdict, whatever of it is heard."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from magi.domain.ids import InitiatorId
from magi.eventstore.notices import Existing, Refusal
from magi.gateway.open_requests import GIVEN_UP, LATE, OpenRequests
from tests.gateway.client import request
from tests.gateway.stack import Stack, aggregate
from tests.waiting import until

NAME = aggregate("abc123")
DIGEST, OTHER = "d1", "d2"
SECOND = 1000


class Held:
    """The open requests of ``agent``, with a clock of the test's."""

    def __init__(self, stack: Stack) -> None:
        self.now = 1000.0
        self.told: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []
        gateway = stack.gateway
        agent = InitiatorId("agent")
        self.open = OpenRequests(agent, gateway._log, gateway._hub, self._spawn, self.told.append, lambda: self.now)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    async def read(self) -> None:
        await asyncio.gather(*self.tasks)


@pytest.fixture
async def held(stack: Stack) -> AsyncIterator[Held]:
    made = Held(stack)
    yield made
    await made.open.stop()


async def decided(stack: Stack) -> None:
    async with stack.client() as client:
        await client.judged(request())


async def test_a_verdict_that_is_heard_ends_it(stack: Stack, held: Held) -> None:
    await held.open.add(NAME, DIGEST, SECOND)
    await held.open.add(NAME, DIGEST, SECOND)
    assert len(held.open) == 1
    await decided(stack)

    async def none() -> bool:
        return not held.open

    await until(none, "the verdict was heard")
    assert held.told == [1, 0]
    assert held.tasks == []


async def test_a_refusal_ends_it_and_that_of_another_submission_does_not(held: Held) -> None:
    await held.open.add(NAME, DIGEST, SECOND)
    held.open.on_notice(Refusal("request_conflict", "", request_id="abc123", digest=OTHER))
    held.open.on_notice(Refusal("no_voters", "", request_id="another", digest=DIGEST))
    held.open.on_notice(Refusal("late", "", task_id="t"))
    held.open.drop(NAME, OTHER)
    assert len(held.open) == 1
    held.open.on_notice(Refusal("no_voters", "", request_id="abc123", digest=DIGEST))
    assert len(held.open) == 0


async def test_what_has_its_verdict_already_is_found_in_the_log(stack: Stack, held: Held) -> None:
    await decided(stack)
    await held.open.add(NAME, DIGEST, SECOND)
    held.open.on_notice(Existing("abc123", DIGEST))
    await held.read()
    assert held.told == [1, 0]


async def test_what_was_submitted_before_and_has_no_verdict_counts_still(stack: Stack, held: Held) -> None:
    async with stack.client() as client:
        await client.send(request(metadata={"voter_1": "held"}))
        await client.until_type("acknowledged")
        await held.open.add(NAME, DIGEST, SECOND)
        held.open.on_notice(Existing("abc123", DIGEST))
        await held.read()
        assert len(held.open) == 1
        stack.release("abc123")
        await client.until_type("final_result")


@pytest.mark.parametrize("after_a_gap", [True, False])
async def test_a_verdict_that_was_missed_is_found_in_the_log(stack: Stack, held: Held, after_a_gap: bool) -> None:
    await decided(stack)
    await held.open.add(NAME, DIGEST, SECOND)
    held.now += 1 + LATE
    held.open.on_look()
    assert held.tasks == [], "its verdict may come still"
    if after_a_gap:
        held.open.on_gap()
    else:
        held.now += 0.1
        held.open.on_look()
    await held.read()
    assert len(held.open) == 0


async def test_what_nobody_knows_anything_of_is_given_up_in_the_end(held: Held) -> None:
    await held.open.add(NAME, DIGEST, SECOND)
    held.now += 1 + GIVEN_UP
    held.open.on_look()
    await held.read()
    assert len(held.open) == 1
    held.now += 0.1
    held.open.on_look()
    assert len(held.open) == 0


async def test_nobody_listens_when_nothing_is_open(stack: Stack, held: Held) -> None:
    hub = stack.gateway._hub
    await held.open.add(NAME, DIGEST, SECOND)
    assert hub.listeners() == [held.open]
    await held.open.stop()
    assert (hub.listeners(), hub._watchers, held.told) == ([], {}, [1, 0])
    await held.open.add(NAME, DIGEST, SECOND)
    assert hub.listeners() == [held.open]
