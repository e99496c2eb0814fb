"""Requests whose log fails and whose orchestrators die: what was in time counts, nobody is forgotten, nothing waits."""

from typing import Any

from magi.domain.clock import milliseconds
from magi.domain.ids import VoterId, task_id
from magi.domain.messages import ResultBallot, Submission, Vote
from magi.domain.voting_request import Adjudicated
from tests.orchestrator.queue import Owner, Queue, ShakyStore, aggregate_of
from tests.orchestrator.world import check_history


class Story:
    """One request, and what befalls it."""

    def __init__(self, timeout: int = 3000, panel: tuple[str, ...] = ("a", "b")) -> None:
        self.queue = Queue()
        self.store = ShakyStore()
        fields: dict[str, Any] = {"user_query": "?", "agent_answer": "!", "voter_list": panel}
        submission = Submission(initiator_id="agent", request_id="1", timeout_ms=timeout, **fields)
        self.aggregate = aggregate_of("agent", submission)
        self.owner = Owner(self.store, self.queue)
        self.deadline = self.queue.now + timeout
        self.queue.put("agent", submission)

    def vote(self, voter: str, vote: Vote = "pass") -> None:
        self.queue.put(voter, ResultBallot(task_id=task_id(self.aggregate, VoterId(voter)), vote=vote))

    def hand(self) -> None:
        """All that is due now is delivered."""
        while due := self.queue.due():
            self.owner.take(self.queue.deliver(due[0]))

    async def deliver(self) -> None:
        """All that is due now is delivered and handled, one after the other."""
        while due := self.queue.due():
            self.owner.take(self.queue.deliver(due[0]))
            await self.owner.requests.settle(5)

    async def until_over(self) -> Adjudicated:
        for _ in range(600):
            await self.deliver()
            if not self.queue.waiting:
                break
            self.queue.now += 100
        assert not self.queue.waiting
        assert self.owner.requests.open == 0
        return check_history([recorded.event for recorded in await self.store.load(self.aggregate)])


async def test_a_vote_that_the_log_failed_is_waited_for_at_the_deadline() -> None:
    story = Story()
    await story.deliver()
    story.queue.now = story.deadline - 100
    story.store.failures.append("lost")
    story.vote("a")
    story.vote("b")
    verdict = await story.until_over()
    assert (verdict.decided_by, verdict.tally["pass"]) == ("votes", 2)


async def test_a_vote_that_a_dead_orchestrator_had_is_waited_for_at_the_deadline() -> None:
    story = Story()
    await story.deliver()
    story.queue.now = story.deadline - 100
    story.vote("a")
    story.vote("b")
    for waiting in story.queue.due():
        story.queue.deliver(waiting)  # to one that dies over it
    story.owner = Owner(story.store, story.queue)
    verdict = await story.until_over()
    assert (verdict.decided_by, verdict.tally["pass"]) == ("votes", 2)


async def test_a_vote_of_one_that_read_on_while_its_partition_was_taken_is_waited_for_at_the_deadline() -> None:
    """Both believe the partition to be theirs; the server lets the other one in when the first has stood still."""
    story = Story()
    patient = Owner(story.store, story.queue)
    story.queue.now += 700
    await story.deliver()
    story.vote("a")
    await story.deliver()
    story.vote("b")
    story.queue.deliver(story.queue.due()[0])  # to one that stands still with it
    story.owner = patient
    story.queue.now = story.deadline + 700
    verdict = await story.until_over()
    assert (verdict.decided_by, verdict.tally["pass"]) == ("votes", 2)


async def test_votes_that_nobody_read_before_the_deadline_count() -> None:
    story = Story()
    await story.deliver()
    story.vote("a")
    story.vote("b")
    story.queue.now = story.deadline + 1
    verdict = await story.until_over()
    assert (verdict.decided_by, verdict.tally["pass"]) == ("votes", 2)


async def test_who_dies_before_the_tasks_are_out_leaves_them_to_the_next() -> None:
    story = Story(timeout=30_000)
    story.queue.broken = 1
    await story.deliver()
    assert len(story.queue.tasks) < 2
    story.owner = Owner(story.store, story.queue)
    await story.until_over()
    assert len(story.queue.tasks) == 2


async def test_a_deadline_is_on_time_when_nothing_went_wrong() -> None:
    story = Story()
    await story.deliver()
    story.vote("a")
    verdict = await story.until_over()
    assert (verdict.decided_by, milliseconds(verdict.at)) == ("deadline", story.deadline)


async def test_the_last_vote_and_the_verdict_are_stored_together_or_neither_is() -> None:
    story = Story()
    await story.deliver()
    story.store.failures.extend(["", "lost"])
    story.vote("a")
    story.vote("b")
    begun = story.queue.now
    await story.deliver()
    assert len(await story.store.load(story.aggregate)) == 2
    verdict = await story.until_over()
    assert verdict.decided_by == "votes"
    assert [recorded.sequence for recorded in await story.store.load(story.aggregate)] == [1, 2, 3, 3]
    assert milliseconds(verdict.at) - begun <= 5000


async def test_ballots_that_came_behind_the_wake_up_are_handled_before_it() -> None:
    """As after a pause of the orchestrator: everything comes at once, also what was stored after the deadline."""
    story = Story()
    await story.deliver()
    story.vote("a")
    story.vote("b")
    story.queue.now = story.deadline + 5
    fields: dict[str, Any] = {"user_query": "?", "agent_answer": "!", "voter_list": ("a",)}
    story.queue.put("agent", Submission(initiator_id="agent", request_id="2", timeout_ms=1000, **fields))
    story.hand()
    verdict = await story.until_over()
    assert (verdict.decided_by, verdict.tally["pass"]) == ("votes", 2)
