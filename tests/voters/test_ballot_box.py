"""Ballots go to the inbox in their order, several at once when there is much to say, and until their deadline."""

import asyncio

import msgspec
import pytest

from magi.domain.messages import AT_ONCE, Ballot, InboxMessage, ProgressBallot, ResultBallot, Task, decode_inbox, encode
from magi.eventstore import subjects
from magi.eventstore.bus import BusError, PubAck
from magi.eventstore.presence import now_ms
from magi.voters.ballot_box import BallotBox
from tests.orchestrator.world import World
from tests.voters.desk import Desk

LATER = 30_000


@pytest.fixture
def box(world: World) -> BallotBox:
    return BallotBox(world.bus, now_ms)


def said(task: Task) -> tuple[Ballot, Ballot]:
    return ProgressBallot(task_id=task.task_id), ResultBallot(task_id=task.task_id, vote="pass")


def place(task: Task) -> str:
    assert isinstance(task.ballot_subject, str)
    return task.ballot_subject


class _Stored(msgspec.Struct):
    data: bytes


class _Get(msgspec.Struct):
    message: _Stored


async def messages(world: World) -> list[tuple[InboxMessage, ...]]:
    """What each message of the inbox holds, in order."""
    found = []
    for sequence in range(1, (await world.state(subjects.INBOX)).last_seq + 1):
        answer = await world.bus.request(f"$JS.API.STREAM.MSG.GET.{subjects.INBOX}", b'{"seq":%d}' % sequence)
        found.append(decode_inbox(msgspec.json.decode(answer, type=_Get).message.data))
    return found


async def test_what_is_said_at_once_is_one_message(world: World, desk: Desk, box: BallotBox) -> None:
    task = desk.task()
    await asyncio.gather(*(box.put(place(task), ballot, now_ms() + LATER) for ballot in said(task)))
    assert await messages(world) == [said(task)]


async def test_what_is_said_meanwhile_goes_together_in_its_order(world: World, desk: Desk, box: BallotBox) -> None:
    task = desk.task()
    ballots = [ProgressBallot(task_id=task.task_id, status=f"step {n}") for n in range(AT_ONCE + 10)]
    subject = place(task)
    first = box.put(subject, ballots[0], now_ms() + LATER)
    await asyncio.sleep(0)  # it is on its way
    await asyncio.gather(first, *(box.put(subject, ballot, now_ms() + LATER) for ballot in ballots[1:]))
    assert await messages(world) == [(ballots[0],), tuple(ballots[1 : AT_ONCE + 1]), tuple(ballots[AT_ONCE + 1 :])]


async def test_a_ballot_alone_is_dropped_when_another_instance_has_sent_it(
    world: World, desk: Desk, box: BallotBox
) -> None:
    task = desk.task()
    _, result = said(task)
    await world.bus.store(place(task), encode(result), {"Nats-Msg-Id": f"{task.task_id}:result"})
    await box.put(place(task), result, now_ms() + LATER)
    assert await messages(world) == [(result,)]


async def test_it_is_tried_until_the_deadline_of_each(
    world: World, desk: Desk, box: BallotBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = desk.task()
    progress, result = said(task)
    clock, store, tries = now_ms(), world.bus.store, []

    async def refuses_twice(subject: str, data: bytes, headers: dict[str, str]) -> PubAck:
        nonlocal clock
        tries.append(headers["Nats-Msg-Id"])
        if len(tries) <= 2:
            clock += 1000
            raise BusError("nobody is there")
        return await store(subject, data, headers)

    monkeypatch.setattr(world.bus, "store", refuses_twice)
    box = BallotBox(world.bus, lambda: clock)
    early, late = box.put(place(task), progress, clock + 500), box.put(place(task), result, clock + LATER)
    with pytest.raises(BusError, match="before its deadline: nobody is there"):
        await early
    await late
    assert await messages(world) == [(result,)]
    assert tries[0] != tries[1] == tries[2] == f"{task.task_id}:result"


async def test_what_isnt_sent_when_it_closes_never_is(desk: Desk, box: BallotBox) -> None:
    task = desk.task()
    waiting = [box.put(place(task), ballot, now_ms() + LATER) for ballot in said(task)]
    await asyncio.sleep(0)
    box.close()
    await asyncio.wait(waiting, timeout=20)
    assert all(one.cancelled() for one in waiting)
