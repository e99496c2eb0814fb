"""Ballots that wait while an append is under way: what they lead to is one message of the log, each as if it had come
alone."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from magi.domain.errors import StrategyMissing
from magi.domain.ids import VoterId, task_id
from magi.domain.messages import ProgressBallot, ResultBallot, Vote
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voting_request import CastVote, Command, RequestEvent, VotingRequest, decide, fold
from magi.eventstore.memory import MemoryStore
from magi.orchestrator import deciding, requests
from magi.orchestrator.held import TOGETHER
from magi.telemetry import declarations as d
from tests.eventstore.contract import check_chain
from tests.orchestrator.test_metrics import counted
from tests.orchestrator.test_requests import Story
from tests.telemetry.strict import total

ABC = ("a", "b", "c")
LATER = 5001
"""Milliseconds after which comes again what was not acknowledged."""


async def received(panel: tuple[str, ...] = ABC, timeout: int = 30_000) -> Story:
    """A request that waits for its voters."""
    story = Story(timeout, panel)
    await story.deliver()
    return story


async def under_way(story: Story) -> None:
    """Wait until an append has begun and waits for the store's gate, and everything else has stopped."""
    for _ in range(50):
        await asyncio.sleep(0)
    assert story.store.under_way == 1


async def messages(story: Story) -> list[list[str]]:
    """What the log holds of the request: a list for each message, of an event and whose it is."""
    found: list[list[str]] = []
    stored = await story.store.load(story.aggregate)
    check_chain(stored, story.aggregate)
    for recorded in stored:
        while len(found) < recorded.sequence:
            found.append([])
        kind, voter = type(recorded.event).__name__, getattr(recorded.event, "voter_id", "")
        found[-1].append(f"{kind} {voter}".strip())
    return found


async def test_ballots_that_come_while_an_append_is_under_way_become_one_message() -> None:
    story = await received()
    story.store.gate.clear()
    story.vote("a")
    story.hand()
    await under_way(story)
    story.vote("b", "fail")
    story.queue.put("c", ProgressBallot(task_id=task_id(story.aggregate, VoterId("c"))))
    story.vote("c")
    story.hand()
    story.store.gate.set()
    verdict = await story.until_over()
    assert await messages(story) == [
        ["Received"],
        ["VoterResult a"],
        ["VoterResult b", "VoterProgress c", "VoterResult c", "Adjudicated"],
    ]
    assert [recorded.event.cause for recorded in await story.store.load(story.aggregate)] == [1, 2, 3, 4, 5, 5]
    assert (verdict.decided_by, verdict.details) == ("votes", {"a": "pass", "b": "fail", "c": "pass"})
    assert story.queue.notices == []


async def test_nothing_is_acknowledged_and_nobody_refused_before_it_is_stored() -> None:
    story = await received()
    story.store.gate.clear()
    story.vote("a")
    story.vote("a", "fail")
    story.vote("d")
    story.vote("b")
    story.hand()
    await under_way(story)
    assert len(story.queue.waiting) == 5
    assert story.queue.notices == []
    story.store.gate.set()
    await story.owner.requests.settle(5)
    assert await messages(story) == [["Received"], ["VoterResult a", "VoterResult b"]]
    assert list(story.queue.waiting) == [1], "the submission"
    told = [(subject.rpartition(".")[2], notice["code"]) for subject, notice in story.queue.notices]
    assert told == [("a", "already_voted"), ("d", "not_on_panel")]


async def test_what_the_log_failed_comes_again_as_a_whole_and_nobody_is_refused_for_it() -> None:
    story = await received()
    story.store.failures.append("lost")
    for voter, vote in (("a", "pass"), ("a", "fail"), ("b", "pass"), ("c", "pass")):
        story.vote(voter, vote)  # type: ignore[arg-type]
    story.hand()
    await story.owner.requests.settle(5)
    assert await messages(story) == [["Received"]]
    assert len(story.queue.waiting) == 5
    assert story.queue.notices == []
    story.queue.now += LATER
    story.hand()
    verdict = await story.until_over()
    assert verdict.details == {"a": "pass", "b": "pass", "c": "pass"}
    assert await messages(story) == [
        ["Received"],
        ["VoterResult a", "VoterResult b", "VoterResult c", "Adjudicated"],
    ]
    assert [notice["code"] for _, notice in story.queue.notices] == ["already_voted"]


async def test_what_was_stored_without_our_knowledge_is_not_stored_again() -> None:
    story = await received()
    story.store.failures.append("ack lost")
    for voter in "ab":
        story.vote(voter)
    story.hand()
    await story.owner.requests.settle(5)
    assert len(story.queue.waiting) == 3
    story.queue.now += LATER
    story.vote("c")
    verdict = await story.until_over()
    assert verdict.tally["pass"] == 3
    assert await messages(story) == [
        ["Received"],
        ["VoterResult a", "VoterResult b"],
        ["VoterResult c", "Adjudicated"],
    ]
    assert story.queue.notices == []


async def test_after_a_conflict_all_are_decided_on_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else has counted one of them, differently: it is refused, and the verdict is of what is stored."""
    monkeypatch.setattr(requests, "JITTER", 0.0)
    story = await received()
    story.store.gate.clear()
    for voter in ABC:
        story.vote(voter)
    story.hand()
    await under_way(story)
    await _counted_by_another(story, "b", "fail")
    with capture_logs() as logs:
        story.store.gate.set()
        verdict = await story.until_over()
    assert await messages(story) == [
        ["Received"],
        ["VoterResult b"],
        ["VoterResult a", "VoterResult c", "Adjudicated"],
    ]
    assert (verdict.details, verdict.tally["fail"]) == ({"a": "pass", "b": "fail", "c": "pass"}, 1)
    assert [(subject.rpartition(".")[2], notice["code"]) for subject, notice in story.queue.notices] == [
        ("b", "already_voted")
    ]
    assert [line["event"] for line in logs].count("append_conflict") == 1
    assert story.owner.requests.load == {VoterId(voter): 0 for voter in ABC}


async def _counted_by_another(story: Story, voter: str, vote: Vote) -> None:
    stored = await story.store.load(story.aggregate)
    ballot = ResultBallot(task_id=task_id(story.aggregate, VoterId(voter)), vote=vote)
    command = CastVote(voter, ballot, story.queue.now, story.queue.now)
    events = decide(fold(recorded.event for recorded in stored), command)
    await MemoryStore.append(story.store, story.aggregate, events, stored[-1].head)


@pytest.mark.parametrize(
    ("error", "word"), [(StrategyMissing("dice"), "strategy_missing"), (RuntimeError("a mistake"), "item_failed")]
)
async def test_one_that_cannot_be_decided_on_is_alone_in_that(
    monkeypatch: pytest.MonkeyPatch, error: Exception, word: str
) -> None:
    story = await received(timeout=20_000)
    story.queue.now += 19_900
    with monkeypatch.context() as patch, capture_logs() as logs:
        patch.setattr(deciding, "decide", _failing_over("b", error))
        for voter in ABC:
            story.vote(voter)
        story.vote("d")
        story.hand()
        await story.owner.requests.settle(5)
    assert await messages(story) == [["Received"], ["VoterResult a", "VoterResult c"]]
    assert sorted(waiting.sender for waiting in story.queue.waiting.values()) == ["agent", "b"]
    assert [notice["code"] for _, notice in story.queue.notices] == ["not_on_panel"]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [word]
    assert total(counted(story.owner.metrics), d.LEFT.name) == (word == "item_failed")
    # It was in time, and the deadline waits for it.
    verdict = await story.until_over()
    assert (verdict.decided_by, verdict.tally["pass"]) == ("votes", 3)
    assert await messages(story) == [
        ["Received"],
        ["VoterResult a", "VoterResult c"],
        ["VoterResult b", "Adjudicated"],
    ]


def _failing_over(voter: str, error: Exception) -> Callable[[VotingRequest, Command], list[RequestEvent]]:
    def failing(state: VotingRequest, command: Command) -> list[RequestEvent]:
        if isinstance(command, CastVote) and command.voter == voter:
            raise error
        return decide(state, command)

    return failing


async def test_what_comes_behind_the_ballot_that_decides_is_late() -> None:
    story = await received(("a", "b"))
    for voter, vote in (("a", "pass"), ("b", "pass"), ("b", "pass"), ("a", "fail"), ("d", "pass")):
        story.vote(voter, vote)  # type: ignore[arg-type]
    story.hand()
    verdict = await story.until_over()
    assert verdict.tally["pass"] == 2
    assert await messages(story) == [["Received"], ["VoterResult a", "VoterResult b", "Adjudicated"]]
    assert [notice["code"] for _, notice in story.queue.notices] == ["already_voted", "not_on_panel"]


async def test_no_more_go_together_than_so_many() -> None:
    panel = tuple(f"v{number}" for number in range(TOGETHER + 20))
    story = Story(30_000, panel)
    story.owner.voters = Snapshot({VoterId(voter): Candidate("active") for voter in panel})
    await story.deliver()
    for voter in panel:
        story.vote(voter)
    story.hand()
    await story.until_over()
    assert [len(events) for events in await messages(story)] == [1, TOGETHER, 21]


async def test_a_submission_between_ballots_is_handled_in_its_turn() -> None:
    story = await received(("a", "b"))
    (submission,) = story.queue.waiting.values()
    story.vote("a")
    story.hand()
    story.queue.waiting[99] = type(submission)(99, "agent", submission.data, story.queue.now)
    story.hand()
    story.queue._last = 99
    story.vote("b")
    story.hand()
    await story.until_over()
    assert await messages(story) == [["Received"], ["VoterResult a"], ["VoterResult b", "Adjudicated"]]
    assert [notice["type"] for _, notice in story.queue.notices] == ["existing"]
