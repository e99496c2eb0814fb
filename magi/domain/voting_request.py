"""The voting request: one submission, judged by one panel, to one verdict.

Invariants: the panel is fixed at reception and its voters are distinct; at most one vote a voter counts; nothing
changes after the verdict; a command that is already reflected in the state yields no events, so redelivery is harmless.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import Struct

from magi.domain.clock import milliseconds, rfc3339
from magi.domain.errors import AlreadyVoted, Late, NotOnPanel, RequestConflict, UnknownTask, VoterUnavailable
from magi.domain.event import Event
from magi.domain.messages import ProgressBallot, ResultBallot, Submission, Vote
from magi.domain.panel import Snapshot, choose_panel, weights
from magi.domain.strategies import Outcome, Rule, Verdict, choose, decided_early

# --- Events: their fields are the storage format. Only add fields, with defaults. ------------------------------------

DecidedBy = Literal["votes", "early", "deadline"]
Detail = Literal["pass", "fail", "abstain", "missing"]


class Content(Struct, frozen=True, omit_defaults=True):
    """What was submitted: kept in one field of its own, so that it can be sealed and forgotten without the rest."""

    user_query: str
    agent_answer: str
    metadata: dict[str, Any] = {}


class Received(Event, frozen=True, kw_only=True, tag="received"):
    """The request was accepted: its panel, its rule and its deadline are fixed."""

    initiator_id: str
    request_id: str
    voters: tuple[str, ...]
    rule: Rule
    decide: Literal["all", "early"] = "all"
    timeout_ms: int
    deadline: str
    digest: str
    """SHA-256 of what the Initiator asked for, to tell a repeated request from another one of the same name."""
    content: Content


class VoterProgress(Event, frozen=True, kw_only=True, tag="voter_progress"):
    """A voter said that it is at work."""

    voter_id: str
    status: str


class VoterResult(Event, frozen=True, kw_only=True, tag="voter_result", omit_defaults=True):
    """A voter's vote was counted."""

    voter_id: str
    vote: Vote
    reason: str | None = None
    confidence: float | None = None
    failed: bool = False
    """The voter could not judge, and so abstains."""


class Adjudicated(Event, frozen=True, kw_only=True, tag="adjudicated", omit_defaults=True):
    """The verdict, and everything that it followed from."""

    final_vote: Verdict
    details: dict[str, Detail]
    """What every voter of the panel said."""
    rule: Rule
    tally: dict[Detail, int]
    decided_by: DecidedBy
    outcome_reason: str
    out: tuple[str, ...] = ()
    """Voters that were outstanding and not waited for: revoked meanwhile, their votes could not come any more."""


RequestEvent = Received | VoterProgress | VoterResult | Adjudicated

# --- Fold -------------------------------------------------------------------------------------------------------------


class VotingRequest(Struct, frozen=True):
    """The state of a request after some of its events."""

    version: int = 0
    """How many events it has had; 0: nothing was received yet."""
    received: Received | None = None
    progress: frozenset[tuple[str, str]] = frozenset()
    """(voter, status) pairs that were reported."""
    votes: dict[str, VoterResult] = {}
    verdict: Adjudicated | None = None

    @property
    def panel(self) -> tuple[str, ...]:
        return self.received.voters if self.received else ()

    @property
    def outstanding(self) -> tuple[str, ...]:
        """The voters of the panel that have not voted, in its order; nobody's vote is awaited after the verdict."""
        return () if self.verdict else tuple(v for v in self.panel if v not in self.votes)

    @property
    def deadline(self) -> int:
        """When the request is decided at the latest, in milliseconds since 1970; 0 before reception."""
        return milliseconds(self.received.deadline) if self.received else 0


INITIAL = VotingRequest()


def evolve(state: VotingRequest, event: RequestEvent) -> VotingRequest:
    """The state after `event`. Total: knows every event type that was ever stored."""
    replace = msgspec.structs.replace
    version = state.version + 1
    match event:
        case Received():
            return replace(state, version=version, received=event)
        case VoterProgress(voter_id=voter, status=status):
            return replace(state, version=version, progress=state.progress | {(voter, status)})
        case VoterResult(voter_id=voter):
            return replace(state, version=version, votes={**state.votes, voter: event})
        case Adjudicated():
            return replace(state, version=version, verdict=event)


def fold(events: Iterable[RequestEvent], state: VotingRequest = INITIAL) -> VotingRequest:
    for event in events:
        state = evolve(state, event)
    return state


# --- Decisions --------------------------------------------------------------------------------------------------------

MAX_PROGRESS = 16
"""Progress events kept a voter: one that reports for ever must not fill the log. More are acknowledged and dropped."""


class Submit(NamedTuple):
    submission: Submission
    directory: Snapshot
    now: int


class ReportProgress(NamedTuple):
    voter: str
    ballot: ProgressBallot
    now: int
    out: frozenset[str] = frozenset()
    """The voters that are revoked now: nothing that they send counts any more, whenever it was sent."""


class CastVote(NamedTuple):
    voter: str
    ballot: ResultBallot
    now: int
    arrived: int
    """When the ballot reached the inbox: a vote that was accepted in time counts even if it is decided on later."""
    out: frozenset[str] = frozenset()
    """As in `ReportProgress`."""


class Expire(NamedTuple):
    """The deadline may have come."""

    now: int


class Withdraw(NamedTuple):
    """Voters were revoked: the votes of theirs that are not in can't come any more."""

    out: frozenset[str]
    now: int


Command = Submit | ReportProgress | CastVote | Expire | Withdraw


def decide(state: VotingRequest, command: Command) -> list[RequestEvent]:
    """The events that `command` leads to; none when it is already reflected in `state`.

    Times are milliseconds since 1970. Raises a `Refused` error when the command can't be done, StrategyMissing when
    the rule that was fixed at reception can't be applied here.
    """
    match command:
        case Submit():
            return _submit(state, command)
        case ReportProgress():
            return _report_progress(state, command)
        case CastVote():
            return _cast_vote(state, command)
        case Expire(now=now):
            if state.received is None or state.verdict or now < state.deadline:
                return []
            # All votes are in when the orchestrator died before their verdict and the last ballot did not come again.
            return [_adjudicate(state, "deadline" if state.outstanding else "votes", now)]
        case Withdraw(out=out, now=now):
            return _verdict(state, now, out)


def content_digest(submission: Submission) -> str:
    """SHA-256 (hex) over what makes two submissions the same request, in a fixed order."""
    same: tuple[object, ...] = (
        submission.user_query,
        submission.agent_answer,
        submission.voter_list,
        submission.strategy,
        submission.decide,
        submission.timeout_ms,
        submission.metadata,
    )
    if submission.panel:  # digests without one are what they were before there were any
        same = (*same, submission.panel)
    return hashlib.sha256(msgspec.json.encode(same, order="sorted")).hexdigest()


def _submit(state: VotingRequest, command: Submit) -> list[RequestEvent]:
    submission, directory, now = command
    digest = content_digest(submission)
    if state.received:
        if state.received.digest != digest:
            raise RequestConflict("request_id: taken by a request with other content")
        return []
    panel = choose_panel(submission.voter_list, directory, submission.panel)
    received = Received(
        at=rfc3339(now),
        initiator_id=submission.initiator_id,
        request_id=submission.request_id,
        voters=panel,
        rule=choose(submission.strategy, panel, weights(panel, directory)),
        decide=submission.decide,
        timeout_ms=submission.timeout_ms,
        deadline=rfc3339(now + submission.timeout_ms),
        digest=digest,
        content=Content(submission.user_query, submission.agent_answer, submission.metadata),
    )
    return [received]


def _check_ballot(state: VotingRequest, voter: str, out: frozenset[str]) -> None:
    if state.received is None:
        raise UnknownTask("task_id: names no task")
    if voter not in state.panel:
        raise NotOnPanel(f"voter {voter!r} is not on the panel of this request")
    if voter in out and voter not in state.votes:
        raise VoterUnavailable(f"voter {voter!r} is revoked")


def _report_progress(state: VotingRequest, command: ReportProgress) -> list[RequestEvent]:
    voter, ballot, now, out = command
    _check_ballot(state, voter, out)
    if state.verdict or voter in state.votes or (voter, ballot.status) in state.progress:
        return []
    if sum(1 for who, _ in state.progress if who == voter) >= MAX_PROGRESS:
        return []
    return [VoterProgress(at=rfc3339(now), voter_id=voter, status=ballot.status)]


def _cast_vote(state: VotingRequest, command: CastVote) -> list[RequestEvent]:
    voter, ballot, now, arrived, out = command
    _check_ballot(state, voter, out)
    counted = state.votes.get(voter)
    if counted:
        if (counted.vote, counted.reason, counted.confidence) != (ballot.vote, ballot.reason, ballot.confidence):
            raise AlreadyVoted(f"voter {voter!r} has voted {counted.vote!r} already")
        # The same ballot again. Its orchestrator may have died between the vote and the verdict that it led to.
        return _verdict(state, now, out)
    if state.verdict or arrived >= state.deadline:
        raise Late("the request is decided" if state.verdict else "the deadline has passed")
    result = VoterResult(
        at=rfc3339(now),
        voter_id=voter,
        vote=ballot.vote,
        reason=ballot.reason,
        confidence=ballot.confidence,
        failed=ballot.failed and ballot.vote == "abstain",
    )
    return [result, *_verdict(evolve(state, result), now, out)]


def _verdict(state: VotingRequest, now: int, out: frozenset[str]) -> list[RequestEvent]:
    """The verdict, when the votes that are in allow one before the deadline: nothing that can come would change it.

    The votes of `out` can't come, unless they are in.
    """
    if state.verdict or state.received is None:
        return []
    if not state.outstanding:
        return [_adjudicate(state, "votes", now)]
    gone = tuple(voter for voter in state.outstanding if voter in out)
    if gone == state.outstanding:
        return [_adjudicate(state, "early", now, gone)]
    cast = {voter: result.vote for voter, result in state.votes.items()}
    if state.received.decide == "early" and decided_early(state.received.rule, state.panel, cast, gone):
        return [_adjudicate(state, "early", now, gone)]
    return []


def _adjudicate(state: VotingRequest, decided_by: DecidedBy, now: int, out: tuple[str, ...] = ()) -> Adjudicated:
    assert state.received is not None
    rule = state.received.rule
    cast: dict[str, Vote] = {voter: result.vote for voter, result in state.votes.items()}
    outcome: Outcome = rule.decide(state.panel, cast)
    details: dict[str, Detail] = {voter: cast.get(voter, "missing") for voter in state.panel}
    kinds: tuple[Detail, ...] = ("pass", "fail", "abstain", "missing")
    return Adjudicated(
        at=rfc3339(now),
        final_vote=outcome.final_vote,
        details=details,
        rule=rule,
        tally={kind: sum(1 for said in details.values() if said == kind) for kind in kinds},
        decided_by=decided_by,
        outcome_reason=outcome.reason,
        out=out,
    )
