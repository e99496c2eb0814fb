"""Items in any order, once or more, while the log fails and orchestrators die: each request gets one verdict, and every
vote that was in time and could count does."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from magi.domain.clock import milliseconds
from magi.domain.ids import AggregateId, VoterId, task_id
from magi.domain.messages import ProgressBallot, ResultBallot, Submission, Vote, decode_inbox
from magi.domain.panel import Snapshot
from magi.domain.voting_request import Adjudicated, Received, VoterResult
from magi.orchestrator import requests
from magi.orchestrator.arrivals import AT_MOST
from tests.eventstore.contract import check_chain
from tests.orchestrator.queue import Failure, Owner, Queue, ShakyStore, Waiting, aggregate_of
from tests.orchestrator.world import check_history

PANELS = [("a",), ("a", "b"), ("a", "b", "c")]
VOTES: list[Vote] = ["pass", "fail", "abstain"]
FAILURES: list[Failure] = ["", "", "lost", "ack lost", "stored later", "conflict"]
NO_VOTERS = Snapshot({})
TIMEOUTS = [4000, 30_000]
"""Milliseconds: shorter and longer than it takes until what was left comes again."""


class Orchestrators(RuleBasedStateMachine):
    """The messages of a few requests, and one orchestrator or two that read the same queue."""

    loop: asyncio.AbstractEventLoop

    @initialize(
        requests=st.lists(
            st.tuples(st.sampled_from(PANELS), st.sampled_from(["all", "early"]), st.sampled_from(TIMEOUTS)),
            min_size=1,
            max_size=2,
        ),
        owners=st.integers(1, 2),
    )
    def start(self, requests: list[tuple[tuple[str, ...], str, int]], owners: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.queue = Queue()
        self.store = ShakyStore()
        self.submissions: dict[AggregateId, Submission] = {}
        for number, (panel, when, timeout) in enumerate(requests):
            fields: dict[str, Any] = {"voter_list": panel, "decide": when, "timeout_ms": timeout}
            submission = Submission(
                initiator_id="agent", request_id=str(number), user_query="?", agent_answer="!", **fields
            )
            self.submissions[aggregate_of("agent", submission)] = submission
            self.queue.put("agent", submission)
        self.in_time: dict[AggregateId, set[str]] = {aggregate: set() for aggregate in self.submissions}
        self.owners: list[Owner] = []
        for _ in range(owners):
            self.do(self.begin())

    def do(self, work: Any) -> None:
        self.loop.run_until_complete(work)

    async def begin(self) -> None:
        self.owners.append(Owner(self.store, self.queue))

    async def history(self, aggregate: AggregateId) -> list[Any]:
        return [recorded.event for recorded in self.store._histories.get(aggregate, [])]

    def received(self, aggregate: AggregateId) -> Received | None:
        history = self.loop.run_until_complete(self.history(aggregate))
        return history[0] if history else None

    async def hand(self, owner: Owner, waiting: Waiting) -> None:
        owner.take(self.queue.deliver(waiting))

    # --- What can happen ----------------------------------------------------------------------------------------------

    @rule(data=st.data(), times=st.integers(1, 3))
    def messages_are_delivered(self, data: st.DataObject, times: int) -> None:
        for _ in range(times):
            due = self.queue.due()
            if due:
                self.do(self.hand(data.draw(st.sampled_from(self.owners)), due[0]))

    @rule(steps=st.integers(0, 12))
    def work_goes_on(self, steps: int) -> None:
        async def some_steps() -> None:
            for _ in range(steps):
                await asyncio.sleep(0)

        self.do(some_steps())

    @rule()
    def work_is_finished(self) -> None:
        for owner in self.owners:
            self.do(owner.requests.settle(5))

    @rule(milliseconds=st.sampled_from([1, 900, 2100, 5001]))
    def time_passes(self, milliseconds: int) -> None:
        self.queue.now += milliseconds

    @rule(data=st.data(), vote=st.sampled_from(VOTES), again=st.booleans())
    def a_voter_votes(self, data: st.DataObject, vote: Vote, again: bool) -> None:
        aggregate = data.draw(st.sampled_from(sorted(self.submissions)))
        received = self.received(aggregate)
        asked = {name.rpartition(".")[2] for _, name in self.queue.tasks if name.startswith(aggregate)}
        if received is None or not asked:
            return
        voter = data.draw(st.sampled_from(sorted(asked)))
        first = voter not in self.in_time[aggregate]
        if not (first or again):
            return
        if self.queue.now < milliseconds(received.deadline):
            self.in_time[aggregate].add(voter)
        self.queue.put(voter, ResultBallot(task_id=task_id(aggregate, VoterId(voter)), vote=vote))

    @rule(data=st.data())
    def a_voter_reports(self, data: st.DataObject) -> None:
        aggregate = data.draw(st.sampled_from(sorted(self.submissions)))
        if self.received(aggregate):
            self.queue.put("a", ProgressBallot(task_id=task_id(aggregate, VoterId("a"))))

    @rule(data=st.data())
    def a_submission_is_repeated(self, data: st.DataObject) -> None:
        self.queue.put("agent", data.draw(st.sampled_from(list(self.submissions.values()))))

    @rule(data=st.data())
    def a_stranger_votes(self, data: st.DataObject) -> None:
        aggregate = data.draw(st.sampled_from(sorted(self.submissions)))
        self.queue.put("d", ResultBallot(task_id=task_id(aggregate, VoterId("d")), vote="fail"))

    @precondition(lambda self: len(self.store._histories) == len(self.submissions))
    @rule()
    def all_voters_are_suspended(self) -> None:
        for owner in self.owners:
            owner.voters = NO_VOTERS

    @rule(failures=st.lists(st.sampled_from(FAILURES), max_size=6))
    def the_log_fails(self, failures: list[Failure]) -> None:
        self.store.failures.extend(failures)

    @rule(loads=st.integers(0, 2), publishes=st.integers(0, 2))
    def the_connection_fails(self, loads: int, publishes: int) -> None:
        self.store.unloadable = loads
        self.queue.broken = publishes

    @rule()
    def what_was_on_its_way_is_stored(self) -> None:
        self.do(self.store.arrive())

    @rule(data=st.data())
    def an_orchestrator_dies_and_another_begins(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.owners) - 1))

        async def die() -> None:
            dead = self.owners.pop(index)
            workers = [r.worker for r in dead.requests._requests.values() if r.worker]
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

        self.do(die())
        self.do(self.begin())

    # --- In the end ---------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Nothing fails any more: everything is done before long, and was done well."""
        if not hasattr(self, "queue"):
            return
        self.store.failures.clear()
        self.store.unloadable = self.queue.broken = 0
        self.do(self.store.arrive())
        self.have_time = {aggregate for aggregate in self.submissions if self.has_time(aggregate)}
        for _ in range(600):
            if not self.queue.waiting:
                break
            due = self.queue.due()
            if due:
                for owner in self.owners[:1]:
                    self.do(self.hand(owner, due[0]))
            else:
                self.queue.now += 250
            self.work_is_finished()
        assert not self.queue.waiting, "something is never acknowledged"
        try:
            for aggregate in self.submissions:
                self.do(self.check(aggregate))
            self.do(self.check_memory())
        finally:
            self.loop.close()

    def has_time(self, aggregate: AggregateId) -> bool:
        """Whether everything that was left comes again before the deadline."""
        received = self.received(aggregate)
        return received is None or self.queue.now + 6000 < milliseconds(received.deadline)

    async def check(self, aggregate: AggregateId) -> None:
        stored = self.store._histories[aggregate]
        check_chain(stored, aggregate)
        verdict = check_history([recorded.event for recorded in stored])
        received = stored[0].event
        assert isinstance(received, Received)
        if verdict.decided_by == "votes":
            assert verdict.tally["missing"] == 0
        if verdict.decided_by == "deadline":
            assert milliseconds(verdict.at) >= milliseconds(received.deadline)
            if len(self.owners) == 1:
                missing = {voter for voter, vote in verdict.details.items() if vote == "missing"}
                patient = milliseconds(verdict.at) < milliseconds(received.deadline) + AT_MOST
                assert not (patient and missing & self.in_time[aggregate]), "a vote that was in time did not count"
        names = [name for _, name in self.queue.tasks if name.startswith(aggregate)]
        assert set(names) <= {task_id(aggregate, VoterId(voter)) for voter in received.voters}
        if aggregate in self.have_time and verdict.decided_by != "early":
            assert len(names) == len(received.voters), "a voter was never asked"
        assert not [n for subject, n in self.queue.notices if "initiator" in subject and n["type"] == "error"]

    async def check_memory(self) -> None:
        self.queue.now += 3 * AT_MOST
        for owner in self.owners:
            owner.requests.tidy()
            assert owner.requests.open == 0
            assert +owner.requests.load == Counter()
            assert not owner.in_hand

    @invariant()
    def no_ballot_is_acknowledged_that_is_not_stored_and_could_count(self) -> None:
        if not hasattr(self, "queue"):
            return
        for waiting in self.queue.acknowledged.values():
            (ballot,) = decode_inbox(waiting.data)
            stored = self.store._histories.get(aggregate_of(waiting.sender, ballot))
            if isinstance(ballot, ResultBallot) and stored:  # else nobody was asked
                events = [recorded.event for recorded in stored]
                received, voted = events[0], {e.voter_id for e in events if isinstance(e, VoterResult)}
                assert isinstance(received, Received)
                decided = isinstance(events[-1], Adjudicated) or waiting.stored >= milliseconds(received.deadline)
                assert decided or waiting.sender in voted or waiting.sender not in received.voters

    @invariant()
    def no_verdict_is_followed_by_anything(self) -> None:
        if not hasattr(self, "queue"):
            return
        for stored in self.store._histories.values():
            verdicts = [n for n, recorded in enumerate(stored) if isinstance(recorded.event, Adjudicated)]
            assert verdicts in ([], [len(stored) - 1])


@pytest.fixture(autouse=True, scope="module")
def _without_jitter() -> Iterator[None]:
    """Steps of the event loop are what counts here, not seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "JITTER", 0.0)
        yield


Orchestrators.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestOrchestrators = Orchestrators.TestCase
