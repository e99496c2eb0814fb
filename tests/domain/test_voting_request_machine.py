"""Random sequences of commands: duplicates, late ballots, crashes after any event; and what never changes.

The log is a list. An orchestrator decides, appends, and dies at will in between: what it had in memory is gone, what it
had appended stays, and a message that it had not acknowledged comes again.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from magi.domain.clock import milliseconds
from magi.domain.errors import (
    AlreadyVoted,
    Late,
    NotOnPanel,
    Refused,
    RequestConflict,
    UnknownTask,
    VoterUnavailable,
)
from magi.domain.messages import Vote
from magi.domain.voting_request import (
    INITIAL,
    Adjudicated,
    CastVote,
    Command,
    Received,
    ReportProgress,
    RequestEvent,
    VoterResult,
    Withdraw,
    decide,
    evolve,
    fold,
)
from tests.domain.requests import DEADLINE, START, TIMEOUT, casts, expires, reports, submit

PANELS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True).map(tuple)
RULES: list[Any] = [
    "minority_rule",
    {"name": "minority_rule", "quorum": 1},
    "absolute_majority",
    {"name": "threshold", "ratio": 0.5},
    "unanimous",
    "veto",
    {"name": "weighted", "threshold": 0.6},
]
VOTES = st.sampled_from(["pass", "pass", "fail", "abstain"])
IN_TIME = st.integers(START, DEADLINE - 1)
DELAYS = st.sampled_from([0, 1, TIMEOUT])
"""From a ballot's arrival in the inbox until it is decided on."""
CRASHES = st.sampled_from([None, None, 0, 1])
"""After how many appended events the orchestrator dies; None: it doesn't."""


class Requests(RuleBasedStateMachine):
    """One request, its log, and the messages about it that nobody has acknowledged yet."""

    log: list[RequestEvent]

    # Mostly the submission comes first: what comes before it is only ever refused.
    @initialize(
        panel=PANELS,
        strategy=st.sampled_from(RULES),
        early=st.sampled_from(["all", "early"]),
        submitted=st.sampled_from([True, True, True, False]),
    )
    def start(self, panel: tuple[str, ...], strategy: Any, early: str, submitted: bool) -> None:
        self.submission = {"voter_list": panel, "strategy": strategy, "decide": early}
        self.log = []
        self.state = INITIAL
        self.unacknowledged: list[Command] = []
        self.revoked: frozenset[str] = frozenset()
        if submitted:
            self.handle(submit(**self.submission))

    def handle(self, command: Command, crash: int | None = None) -> None:
        """Decide, append, acknowledge; or die on the way. Whatever came twice must not lead to events twice."""
        if isinstance(command, CastVote | ReportProgress):
            command = command._replace(out=self.revoked)  # as the directory is when it is handled
        refusal = self.expected_refusal(command)
        events = self.outcome(command)
        if refusal:
            assert events is refusal
            return
        assert isinstance(events, list), f"refused: {events}"
        if crash is not None:
            self.log += events[:crash]
            self.state = fold(self.log)
            self.unacknowledged.append(command)
            return
        for event in events:
            self.log.append(event)
            self.state = evolve(self.state, event)
        assert self.outcome(command) == [], "what was done came again, and led to something else than nothing"

    def outcome(self, command: Command) -> list[RequestEvent] | type[Refused]:
        try:
            return decide(self.state, command)
        except Refused as refused:
            return type(refused)

    def expected_refusal(self, command: Command) -> type[Refused] | None:
        """What the protocol says to this command, from the log alone."""
        if not self.log or not isinstance(command, CastVote):
            if isinstance(command, ReportProgress):
                voted = {event.voter_id: event.vote for event in self.log if isinstance(event, VoterResult)}
                return VoterUnavailable if command.voter in self.revoked - set(voted) else None
            return UnknownTask if isinstance(command, CastVote) else None
        voted = {event.voter_id: event.vote for event in self.log if isinstance(event, VoterResult)}
        if command.voter not in self.submission["voter_list"]:
            return NotOnPanel
        if command.voter in voted:
            return None if voted[command.voter] == command.ballot.vote else AlreadyVoted
        if command.voter in self.revoked:
            return VoterUnavailable
        decided = isinstance(self.log[-1], Adjudicated)
        return Late if decided or command.arrived >= DEADLINE else None

    # --- What can happen ----------------------------------------------------------------------------------------------

    @rule(crash=CRASHES)
    def submission_comes(self, crash: int | None) -> None:
        self.handle(submit(**self.submission), crash)

    @precondition(lambda self: self.log)
    @rule()
    def another_request_of_the_same_name_comes(self) -> None:
        assert self.outcome(submit(**self.submission, user_query="another")) is RequestConflict

    @rule(seat=st.integers(0, 3), vote=VOTES, arrived=IN_TIME, delay=DELAYS, crash=CRASHES)
    def vote_comes(self, seat: int, vote: Vote, arrived: int, delay: int, crash: int | None) -> None:
        panel = self.submission["voter_list"]
        self.handle(casts(panel[seat % len(panel)], vote, now=arrived + delay, arrived=arrived), crash)

    @rule(voter=st.sampled_from("abcdz"), vote=VOTES, arrived=IN_TIME | st.just(DEADLINE))
    def vote_of_anybody_at_any_time_comes(self, voter: str, vote: Vote, arrived: int) -> None:
        self.handle(casts(voter, vote, now=arrived))

    @precondition(lambda self: self.log)
    @rule(status=st.sampled_from(["processing", "reading"]), now=IN_TIME, data=st.data())
    def progress_comes(self, status: str, now: int, data: st.DataObject) -> None:
        self.handle(reports(data.draw(st.sampled_from(self.submission["voter_list"])), status, now))

    @rule(now=st.sampled_from([START, DEADLINE - 1, DEADLINE - 1, DEADLINE]), crash=CRASHES)
    def timer_fires(self, now: int, crash: int | None) -> None:
        self.handle(expires(now), crash)

    @rule(voter=st.sampled_from("abcd"), crash=CRASHES)
    def voter_is_revoked(self, voter: str, crash: int | None) -> None:
        self.revoked |= {voter}
        self.handle(Withdraw(self.revoked, START + 5), crash)

    @precondition(lambda self: self.unacknowledged)
    @rule(crash=CRASHES, data=st.data())
    def message_comes_again(self, crash: int | None, data: st.DataObject) -> None:
        command = data.draw(st.sampled_from(self.unacknowledged))
        self.unacknowledged.remove(command)
        self.handle(command, crash)

    @rule()
    def orchestrator_restarts(self) -> None:
        self.state = fold(self.log)

    def teardown(self) -> None:
        """Every message comes again in the end, and then the deadline: the request is decided, once."""
        for command in list(self.unacknowledged):
            self.handle(command)
        received = bool(self.log)
        if received and not self.state.outstanding:
            assert self.state.verdict, "all votes are in, and the last ballot came again after the crash"
        self.handle(expires(DEADLINE + TIMEOUT))
        assert (self.state.verdict is not None) == received
        self.invariants_hold()

    # --- What never changes -------------------------------------------------------------------------------------------

    @invariant()
    def invariants_hold(self) -> None:
        log = self.log
        if not log:
            return
        received = log[0]
        assert isinstance(received, Received)
        assert not any(isinstance(event, Received) for event in log[1:])
        assert received.voters == self.submission["voter_list"]
        voted = [event.voter_id for event in log if isinstance(event, VoterResult)]
        assert len(voted) == len(set(voted))
        assert set(voted) <= set(received.voters)
        assert not any(isinstance(event, Adjudicated) for event in log[:-1]), "something came after the verdict"

    @invariant()
    def the_verdict_follows_from_the_votes(self) -> None:
        if not self.log or not isinstance(self.log[-1], Adjudicated):
            return
        verdict, received = self.log[-1], self.log[0]
        assert isinstance(received, Received)
        votes = {event.voter_id: event.vote for event in self.log if isinstance(event, VoterResult)}
        outcome = received.rule.decide(received.voters, votes)
        assert (verdict.final_vote, verdict.outcome_reason) == (outcome.final_vote, outcome.reason)
        assert verdict.rule == received.rule
        assert verdict.details == {voter: votes.get(voter, "missing") for voter in received.voters}
        said = list(verdict.details.values())
        assert verdict.tally == {kind: said.count(kind) for kind in ("pass", "fail", "abstain", "missing")}
        match verdict.decided_by:
            case "votes":
                assert "missing" not in said
            case "early":
                missing = {voter for voter, what in verdict.details.items() if what == "missing"}
                assert missing
                assert received.decide == "early" or missing == set(verdict.out)
                assert set(verdict.out) <= missing & self.revoked
            case "deadline":
                assert "missing" in said
                assert milliseconds(verdict.at) >= DEADLINE

    @invariant()
    def folding_in_parts_is_folding_at_once(self) -> None:
        whole = fold(self.log)
        assert whole == self.state
        assert whole.version == len(self.log)
        for cut in range(len(self.log) + 1):
            assert fold(self.log[cut:], fold(self.log[:cut])) == whole


# One bug at a time: shrinking two that turn into each other was seen to take over three minutes, one takes a second.
Requests.TestCase.settings = settings(
    max_examples=150, stateful_step_count=20, deadline=None, report_multiple_bugs=False
)
TestRequests = Requests.TestCase
