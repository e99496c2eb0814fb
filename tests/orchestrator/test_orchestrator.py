"""An orchestrator on a real nats-server: from a submission in the inbox to a verdict in the log."""

import asyncio
from typing import Any

import msgspec
import pytest

from magi.domain import voter_commands as voters
from magi.domain.clock import milliseconds
from magi.domain.ids import VoterId
from magi.domain.messages import encode
from magi.domain.voting_request import Adjudicated, Received, VoterProgress, VoterResult, content_digest
from magi.eventstore import subjects
from magi.eventstore.directory import change_voter
from magi.eventstore.presence import now_ms
from magi.orchestrator.orchestrator import Orchestrator
from tests.orchestrator.deaths import Mortal
from tests.orchestrator.world import INITIATOR, World
from tests.waiting import until


@pytest.fixture
async def orchestrator(world: World) -> Orchestrator:
    return await world.orchestrator()


async def until_empty(world: World, *orchestrators: Orchestrator) -> None:
    """Nothing is left to be done, nothing is remembered."""
    await world.until_inbox_empty()

    async def forgotten() -> bool:
        return all(orchestrator.open == 0 for orchestrator in orchestrators)

    await until(forgotten, "no request is in memory")


# --- The whole way ----------------------------------------------------------------------------------------------------


async def test_a_submission_becomes_tasks_votes_and_a_verdict(world: World, orchestrator: Orchestrator) -> None:
    asked = await world.submit(metadata={"model": "x"}, trace="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    for voter in "abc":
        (task,) = await world.until_tasks(1, voter)
        assert task.task_id == f"{asked.aggregate}.{voter}"
        assert task.ballot_subject == subjects.ballot(asked.aggregate, voter, world.partitions)  # type: ignore[arg-type]
        assert (task.request_id, task.metadata) == (asked.submission.request_id, {"model": "x"})
        assert (task.user_query, task.agent_answer) == (asked.submission.user_query, asked.submission.agent_answer)
    assert (orchestrator.open, (await world.state(subjects.INBOX)).messages) == (1, 1), (
        "an open request is in the inbox"
    )
    working = await world.progress(asked.aggregate, "a")
    await world.votes(asked.aggregate, a="pass", b="fail", c="pass")
    await world.until_decided(asked.aggregate)
    verdict = await world.check(asked.aggregate)
    assert (verdict.final_vote, verdict.decided_by, verdict.outcome_reason) == ("pass", "votes", "majority")
    history = await world.history(asked.aggregate)
    kinds = [type(event) for event in history]
    assert kinds == [Received, VoterProgress, VoterResult, VoterResult, VoterResult, Adjudicated]
    assert [event.cause for event in history][:2] == [asked.sequence, working]
    assert history[0].trace == asked.submission.trace
    assert task.deadline == history[0].deadline  # type: ignore[union-attr]
    await until_empty(world, orchestrator)
    assert world.refusals == []


async def test_a_hundred_requests_at_once_are_all_decided_and_forgotten(
    world: World, orchestrator: Orchestrator
) -> None:
    asked = await asyncio.gather(*(world.submit() for _ in range(100)))
    await world.until_tasks(100)
    await asyncio.gather(*(world.votes(one.aggregate, a="pass", b="pass", c="fail") for one in asked))
    await world.until_decided(*(one.aggregate for one in asked))
    for one in asked:
        assert (await world.check(one.aggregate)).decided_by == "votes"
    await until_empty(world, orchestrator)


# --- Panels, and the directory that they come from --------------------------------------------------------------------


async def test_changes_of_the_directory_are_seen(world: World, orchestrator: Orchestrator) -> None:
    await world.register("late-comer")
    asked = await world.submit(voter_list=("late-comer",))
    await world.until_tasks(1, "late-comer")
    await world.vote(asked.aggregate, "late-comer", "pass")
    await world.until_decided(asked.aggregate)
    await change_voter(world.directory, voters.Suspend("late-comer", "", "test", now_ms()))

    async def seen() -> bool:
        return orchestrator._directory.directory.voters[VoterId("late-comer")].status == "suspended"

    await until(seen, "the orchestrator knows")
    again = await world.submit(voter_list=("late-comer",))
    await world.until_refused()
    assert world.refusals[0].code == "voter_unavailable"
    assert world.refusals[0].digest == content_digest(again.submission)
    assert await world.history(again.aggregate) == []


async def test_a_panel_that_nobody_named_is_chosen_from_the_least_loaded(world: World) -> None:
    for voter in "def":
        await world.register(voter)
    await world.orchestrator()
    busy = await world.submit(voter_list=("a", "b"))
    await world.until_events(busy.aggregate, 1)
    asked = await world.submit(voter_list=())
    (received,) = await world.until_events(asked.aggregate, 1)
    assert isinstance(received, Received)
    assert len(received.voters) == 5
    assert {"c", "d", "e", "f"} < set(received.voters)


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"voter_list": ("a", "nobody")}, "unknown_voter"),
        ({"voter_list": ("a", "a")}, "invalid_message"),
        ({"strategy": "dice"}, "unknown_strategy"),
        ({"strategy": {"name": "threshold", "k": 9}}, "unknown_strategy"),
    ],
)
async def test_what_is_refused_leaves_a_notice_and_nothing_else(
    world: World, orchestrator: Orchestrator, fields: dict[str, Any], code: str
) -> None:
    asked = await world.submit(**fields)
    (refusal,) = await world.until_refused()
    assert (refusal.code, refusal.request_id) == (code, asked.submission.request_id)
    assert refusal.digest == content_digest(asked.submission)
    await until_empty(world, orchestrator)
    assert (await world.state(subjects.LOG)).messages == 0


@pytest.mark.parametrize("data", [b"", b"no JSON", b'{"type":"submission"}', b'{"type":"result","task_id":"t"}'])
async def test_a_submission_that_is_none_is_acknowledged_and_forgotten(
    world: World, orchestrator: Orchestrator, data: bytes
) -> None:
    await world.bus.store(f"magi.inbox.0.submission.{INITIATOR}", data)
    await until_empty(world, orchestrator)
    assert (await world.state(subjects.LOG)).messages == 0


async def test_nobody_submits_in_the_name_of_another(world: World, orchestrator: Orchestrator) -> None:
    await world.bus.store("magi.inbox.0.submission.mallory", encode(world.submission()))
    await until_empty(world, orchestrator)
    assert (await world.state(subjects.LOG)).messages == 0


# --- The same request again -------------------------------------------------------------------------------------------


async def test_the_same_submission_again_is_told_to_exist_and_voted_once(
    world: World, orchestrator: Orchestrator
) -> None:
    asked = await world.submit()
    await world.submit(asked.submission)
    await world.until_tasks(1)
    await world.votes(asked.aggregate, a="pass", b="pass", c="pass")
    await world.until_decided(asked.aggregate)
    await world.until_inbox_empty()
    await world.submit(asked.submission)
    await until_empty(world, orchestrator)
    assert len(await world.history(asked.aggregate)) == 5
    assert [notice.digest for notice in world.existing] == [content_digest(asked.submission)] * 2
    assert len(await world.tasks("a")) == 1


async def test_other_content_under_the_same_name_is_a_conflict(world: World, orchestrator: Orchestrator) -> None:
    asked = await world.submit()
    other = msgspec.structs.replace(asked.submission, agent_answer="something else")
    await world.submit(other)
    await world.until_refused()
    await world.votes(asked.aggregate, a="pass", b="pass", c="pass")
    await world.until_decided(asked.aggregate)
    await world.until_inbox_empty()
    await world.submit(other)
    await world.until_refused(2)
    assert world.codes() == ["request_conflict"] * 2
    assert {refusal.digest for refusal in world.refusals} == {content_digest(other)}
    await until_empty(world, orchestrator)
    received = (await world.history(asked.aggregate))[0]
    assert isinstance(received, Received)
    assert received.content.agent_answer == asked.submission.agent_answer


async def test_a_request_of_which_a_voter_is_suspended_by_now_still_exists(
    world: World, orchestrator: Orchestrator
) -> None:
    asked = await world.submit()
    await world.until_tasks(1)
    await world.votes(asked.aggregate, a="pass", b="pass", c="pass")
    await world.until_decided(asked.aggregate)
    await until_empty(world, orchestrator)
    await change_voter(world.directory, voters.Suspend("a", "", "test", now_ms()))
    refused = await world.submit(voter_list=("a",))  # the orchestrator knows it by now
    await world.until_refused()
    await world.submit(asked.submission)
    await until_empty(world, orchestrator)
    assert [notice.request_id for notice in world.existing] == [asked.submission.request_id]
    assert [refusal.request_id for refusal in world.refusals] == [refused.submission.request_id]


# --- Deadlines --------------------------------------------------------------------------------------------------------


async def test_who_has_not_voted_by_the_deadline_is_missing(world: World, orchestrator: Orchestrator) -> None:
    asked = await world.submit(timeout_ms=2500)
    await world.until_tasks(1)
    await world.votes(asked.aggregate, a="pass", b="pass")
    await world.until_events(asked.aggregate, 3)
    await world.until_decided(asked.aggregate)
    verdict = await world.check(asked.aggregate)
    assert (verdict.final_vote, verdict.decided_by) == ("pass", "deadline")
    assert verdict.tally == {"pass": 2, "fail": 0, "abstain": 0, "missing": 1}
    received = (await world.history(asked.aggregate))[0]
    assert isinstance(received, Received)
    late = milliseconds(verdict.at) - milliseconds(received.deadline)
    assert 0 <= late < 4000, "idle it is 2 ms; on a machine that does something else, some more"
    await until_empty(world, orchestrator)

    async def expired() -> bool:
        return (await world.state(subjects.TASKS)).messages == 0

    await until(expired, "nobody is asked any more")


async def test_a_vote_that_waits_in_the_inbox_at_the_deadline_counts(hasty: float, world: World) -> None:
    """The submission that comes again at its deadline comes before what was never delivered."""
    first = await Mortal.begin(world)
    asked = await world.submit(timeout_ms=4000)
    await world.until_tasks(1)
    assert first.orchestrator.owned
    first.die()
    await world.votes(asked.aggregate, a="pass", b="pass", c="pass")
    (received,) = await world.history(asked.aggregate)
    assert isinstance(received, Received)
    assert now_ms() < milliseconds(received.deadline), "in time"

    async def over() -> bool:
        return now_ms() > milliseconds(received.deadline)

    await until(over, "the deadline")
    await world.orchestrator()
    await world.until_decided(asked.aggregate, within=30)
    verdict = await world.check(asked.aggregate)
    assert (verdict.final_vote, verdict.decided_by) == ("pass", "votes")


async def test_a_vote_after_the_deadline_doesnt_count(hasty: float, world: World) -> None:
    first = await Mortal.begin(world)
    asked = await world.submit(timeout_ms=2000)
    await world.until_tasks(1)
    first.die()
    (received,) = await world.history(asked.aggregate)
    assert isinstance(received, Received)

    async def over() -> bool:
        return now_ms() > milliseconds(received.deadline)

    await until(over, "the deadline")
    await world.votes(asked.aggregate, a="pass", b="pass", c="pass")
    await world.orchestrator()
    await world.until_decided(asked.aggregate, within=30)
    assert (await world.check(asked.aggregate)).tally["missing"] == 3
    assert {refusal.code for refusal in await world.until_refused(3)} == {"late"}
    await world.until_inbox_empty()


async def test_early_decisions_dont_wait_for_what_changes_nothing(world: World, orchestrator: Orchestrator) -> None:
    asked = await world.submit(decide="early")
    await world.until_tasks(1)
    await world.votes(asked.aggregate, b="pass", c="pass")
    await world.until_decided(asked.aggregate)
    verdict = await world.check(asked.aggregate)
    assert (verdict.final_vote, verdict.decided_by) == ("pass", "early")
    await until_empty(world, orchestrator)
    await world.vote(asked.aggregate, "a", "fail")
    (refusal,) = await world.until_refused()
    assert (refusal.code, refusal.task_id) == ("late", f"{asked.aggregate}.a")
    await until_empty(world, orchestrator)
    assert await world.check(asked.aggregate) == verdict
