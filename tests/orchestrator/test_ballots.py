"""Ballots as they should not be: each is answered and acknowledged, none holds anything up or moves a verdict."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from magi.domain import voter_commands as voters
from magi.domain.ids import VoterId, task_id
from magi.domain.messages import Ballot, Ballots, ProgressBallot, ResultBallot, encode
from magi.domain.voting_request import VoterProgress, VoterResult
from magi.eventstore import subjects
from magi.eventstore.directory import change_voter
from magi.eventstore.presence import now_ms
from magi.orchestrator import arrivals
from magi.orchestrator.orchestrator import Orchestrator
from tests.orchestrator.world import Asked, World
from tests.waiting import until


@pytest.fixture
async def orchestrator(world: World) -> Orchestrator:
    await world.register("d")
    return await world.orchestrator()


@pytest.fixture
async def asked(world: World, orchestrator: Orchestrator) -> Asked:
    """A request of a, b and c; d is a voter, too. The vote of a is in."""
    asked = await world.submit()
    await world.until_tasks(1)
    await world.vote(asked.aggregate, "a", "pass", "first")
    await world.until_events(asked.aggregate, 2)
    return asked


def result(asked: Asked, voter: str, vote: str = "fail", reason: str = "") -> bytes:
    return encode(ResultBallot(task_id=task_id(asked.aggregate, VoterId(voter)), vote=vote, reason=reason or None))  # type: ignore[arg-type]


def forged(asked: Asked) -> bytes:
    initiator, _, _ = asked.aggregate.partition(".")
    return encode(ResultBallot(task_id=f"{initiator}.00000000-0000-4000-8000-000000000000.b", vote="fail"))


BAD: list[tuple[str, Callable[[Asked], bytes], str]] = [
    ("b", lambda asked: result(asked, "c"), "unknown_task"),
    ("b", forged, "unknown_task"),
    ("b", lambda asked: b'{"type":"result","task_id":"made up","vote":"fail"}', "unknown_task"),
    ("d", lambda asked: result(asked, "d"), "not_on_panel"),
    ("a", lambda asked: result(asked, "a"), "already_voted"),
    ("a", lambda asked: result(asked, "a", "pass", "another reason"), "already_voted"),
    ("b", lambda asked: b"", "invalid_message"),
    ("b", lambda asked: b"garbage", "invalid_message"),
    ("b", lambda asked: b'"\xff"', "invalid_message"),
    ("b", lambda asked: b"[" * 100_000, "invalid_message"),
    ("b", lambda asked: result(asked, "b").replace(b'"fail"', b'"maybe"'), "invalid_message"),
    ("b", lambda asked: result(asked, "b", reason="x" * 4097), "invalid_message"),
    ("b", lambda asked: result(asked, "b", reason="nul").replace(b"nul", rb"\u0000"), "invalid_message"),
    ("b", lambda asked: result(asked, "b").replace(b'"fail"', b'"fail","confidence":1.5'), "invalid_message"),
    ("d", lambda asked: encode(asked.submission), "invalid_message"),
]


@pytest.mark.parametrize(("voter", "make", "code"), BAD)
async def test_a_bad_ballot_is_told_acknowledged_and_without_effect(
    world: World, asked: Asked, voter: str, make: Callable[[Asked], bytes], code: str
) -> None:
    before = await world.history(asked.aggregate)
    told: list[bytes] = []

    async def tell(msg: object) -> None:
        told.append(msg.data)  # type: ignore[attr-defined]

    await world.bus.subscribe(subjects.notice_voter(voter), tell)
    await world.ballot(asked.aggregate, voter, make(asked))
    (refusal,) = await world.until_refused()
    assert refusal.code == code
    assert len(told) == 1, "its voter is told"
    assert refusal.task_id or code == "invalid_message"
    assert await world.history(asked.aggregate) == before
    await world.votes(asked.aggregate, b="pass", c="fail")
    await world.until_decided(asked.aggregate)
    verdict = await world.check(asked.aggregate)
    assert verdict.details == {"a": "pass", "b": "pass", "c": "fail"}
    await world.until_inbox_empty()
    assert world.codes() == [code]


async def test_bad_ballots_on_a_decided_request_are_told_and_move_nothing(
    world: World, asked: Asked, orchestrator: Orchestrator
) -> None:
    await world.votes(asked.aggregate, b="pass", c="fail")
    await world.until_decided(asked.aggregate)
    before = await world.history(asked.aggregate)
    for voter, make, _ in BAD:
        await world.ballot(asked.aggregate, voter, make(asked))
    await world.until_refused(len(BAD))
    assert sorted(world.codes()) == sorted(code for _, _, code in BAD)
    await world.until_inbox_empty()
    assert await world.history(asked.aggregate) == before
    assert orchestrator.open == 0


async def test_ballots_that_come_in_one_message_are_each_as_if_alone(world: World, orchestrator: Orchestrator) -> None:
    """Those of two requests, a bad one and a stranger's between them; it is acknowledged when all are handled."""
    first, second = [await world.submit() for _ in range(2)]
    await world.until_tasks(2)
    ballots: list[Ballot] = [
        ProgressBallot(task_id=task_id(first.aggregate, VoterId("a"))),
        ResultBallot(task_id=task_id(first.aggregate, VoterId("a")), vote="pass"),
        ResultBallot(task_id=task_id(first.aggregate, VoterId("b")), vote="pass"),
        ResultBallot(task_id=task_id(first.aggregate, VoterId("a")), vote="fail"),
        ResultBallot(task_id=task_id(second.aggregate, VoterId("a")), vote="fail"),
    ]
    sequence = await world.ballot(first.aggregate, "a", encode(Ballots(ballots=tuple(ballots))))
    await world.until_refused(2)
    await world.until_events(second.aggregate, 2)
    await world.votes(first.aggregate, b="pass", c="pass")
    await world.votes(second.aggregate, b="pass", c="fail")
    await world.until_decided(first.aggregate, second.aggregate)
    await world.until_inbox_empty()
    assert sorted(world.codes()) == ["already_voted", "unknown_task"]
    assert (await world.check(first.aggregate)).details == {"a": "pass", "b": "pass", "c": "pass"}
    assert (await world.check(second.aggregate)).details == {"a": "fail", "b": "pass", "c": "fail"}
    history = await world.history(first.aggregate)
    assert [type(event).__name__ for event in history[1:3]] == ["VoterProgress", "VoterResult"]
    assert [event.cause for event in history[1:3]] == [sequence, sequence]
    assert len({recorded.sequence for recorded in (await world.stored(first.aggregate))[1:3]}) == 1, "in one message"
    assert not orchestrator._in_hand


async def test_bad_ballots_keep_no_deadline_waiting(
    world: World, orchestrator: Orchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They pass for nothing that was lost on the way, and that would come again after a while."""
    monkeypatch.setattr(arrivals, "ACK_WAIT", 90.0)  # such a while
    asked = await world.submit(timeout_ms=1500)

    async def pester() -> None:
        while True:
            await world.ballot(asked.aggregate, "d", b"garbage")
            await world.ballot(asked.aggregate, "d", result(asked, "d"))
            await asyncio.sleep(0.1)

    pestering = asyncio.create_task(pester())
    try:
        await world.until_decided(asked.aggregate)
    finally:
        pestering.cancel()
        await asyncio.wait([pestering])
    assert (await world.check(asked.aggregate)).decided_by == "deadline"


async def test_the_same_ballot_again_says_nothing_and_does_nothing(
    world: World, asked: Asked, orchestrator: Orchestrator
) -> None:
    for _ in range(3):
        await world.vote(asked.aggregate, "a", "pass", "first")
        await world.progress(asked.aggregate, "b")
    await world.votes(asked.aggregate, b="pass", c="fail")
    await world.until_decided(asked.aggregate)
    await world.votes(asked.aggregate, b="pass", c="fail")
    await world.until_inbox_empty()
    history = await world.history(asked.aggregate)
    assert [e.voter_id for e in history if isinstance(e, VoterResult)] == ["a", "b", "c"]
    assert len([e for e in history if isinstance(e, VoterProgress)]) == 1
    await world.check(asked.aggregate)
    assert world.refusals == []
    assert orchestrator.open == 0


async def test_a_voter_may_put_its_ballot_into_any_partition(world: World, orchestrator: Orchestrator) -> None:
    """Its rights don't tell partitions apart; neither does what becomes of it."""
    other = await world.orchestrator()
    asked = [await world.submit(voter_list=("a", "b")) for _ in range(8)]
    await world.until_tasks(8)
    for partition, one in enumerate(asked):
        for voter in "ab":
            subject = f"magi.inbox.{partition % world.partitions}.ballot.{voter}"
            await world.bus.store(subject, result(one, voter, "pass"))
    await world.until_decided(*(one.aggregate for one in asked))
    for one in asked:
        assert (await world.check(one.aggregate)).decided_by == "votes"
    assert world.refusals == []
    assert orchestrator.owned
    assert other.owned


async def test_every_message_of_the_inbox_may_come_twice(world: World, orchestrator: Orchestrator) -> None:
    asked = []
    for _ in range(20):
        one = await world.submit()
        await world.submit(one.submission)
        asked.append(one)
    await world.until_tasks(20)
    for one in asked:
        for voter in "abc":
            for _ in range(2):
                await world.progress(one.aggregate, voter)
            for _ in range(2):
                await world.vote(one.aggregate, voter, "pass")
    await world.until_decided(*(one.aggregate for one in asked))
    await world.until_inbox_empty()
    for one in asked:
        await world.check(one.aggregate)
        assert len(await world.history(one.aggregate)) == 8
    assert world.refusals == []
    assert len(await world.tasks("a")) == 20
    assert orchestrator.open == 0


async def test_what_is_refused_is_counted_and_logged_and_the_verdict_stands(
    world: World, asked: Asked, orchestrator: Orchestrator
) -> None:
    revoked = await world.submit(voter_list=("b", "d"))
    await world.until_tasks(1, "d")
    with capture_logs() as logs:
        await world.ballot(asked.aggregate, "d", result(asked, "d"))  # on another panel
        await world.ballot(asked.aggregate, "b", result(asked, "c"))  # for the task of another
        await world.ballot(asked.aggregate, "a", result(asked, "a"))  # a second vote
        await world.until_refused(3)
        await world.votes(asked.aggregate, b="pass", c="fail")
        await world.until_decided(asked.aggregate)
        await world.ballot(asked.aggregate, "c", result(asked, "c", "pass"))  # another one, after the verdict
        await change_voter(world.directory, voters.Revoke("d", "", "test", now_ms()))

        async def known() -> bool:
            return orchestrator._directory.directory.voters[VoterId("d")].status == "revoked"

        await until(known, "the orchestrator knows that d is revoked")
        await world.ballot(revoked.aggregate, "d", result(revoked, "d", "fail"))
        await world.until_refused(5)
    await world.vote(revoked.aggregate, "b", "pass")
    await world.until_decided(revoked.aggregate)
    assert orchestrator.refused == {"not_on_panel": 1, "unknown_task": 1, "already_voted": 2, "voter_unavailable": 1}
    lines = [line for line in logs if line["event"] in ("ballot_refused", "bad_item")]
    assert [line["code"] for line in lines] == world.codes()
    assert (await world.check(asked.aggregate)).details == {"a": "pass", "b": "pass", "c": "fail"}
    assert (await world.check(revoked.aggregate)).details == {"b": "pass", "d": "missing"}
