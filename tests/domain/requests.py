"""A voting request for tests: its aggregate, and commands and events with what doesn't matter filled in."""

from typing import Any, cast

from magi.domain.clock import rfc3339
from magi.domain.ids import VoterId
from magi.domain.messages import ProgressBallot, ResultBallot, Submission, Vote
from magi.domain.panel import Candidate, Snapshot
from magi.domain.strategies import Rule, Verdict
from magi.domain.voting_request import (
    INITIAL,
    Adjudicated,
    CastVote,
    Command,
    Content,
    DecidedBy,
    Detail,
    Expire,
    Received,
    ReportProgress,
    RequestEvent,
    Submit,
    VoterProgress,
    VoterResult,
    VotingRequest,
    content_digest,
    decide,
    evolve,
)
from tests.domain.spec import Aggregate

REQUEST: Aggregate[VotingRequest, Command, RequestEvent] = Aggregate(INITIAL, decide, evolve)

START = 1_769_860_800_000  # 2026-01-31T12:00:00.000Z
TIMEOUT = 30_000
DEADLINE = START + TIMEOUT
DIRECTORY = Snapshot({VoterId(name): Candidate("active") for name in ("a", "b", "c", "d")})


def submission(**fields: Any) -> Submission:
    given: dict[str, Any] = {
        "initiator_id": "agent",
        "request_id": "abc123",
        "user_query": "Please generate some code for me",
        "agent_answer": "function helloWorld() { console.log('Hello, World!'); }",
        "voter_list": ("a", "b"),
        **fields,
    }
    return Submission(**given)


def submit(directory: Snapshot = DIRECTORY, now: int = START, **fields: Any) -> Submit:
    return Submit(submission(**fields), directory, now)


def received(voters: str = "ab", rule: Rule | None = None, **fields: Any) -> Received:
    """What `submit` of a panel with one letter a voter leads to."""
    asked = submission(voter_list=tuple(voters), **fields)
    return Received(
        at=rfc3339(START),
        initiator_id=asked.initiator_id,
        request_id=asked.request_id,
        voters=tuple(voters),
        rule=rule or Rule("minority_rule", {"quorum": len(voters) // 2 + 1}),
        decide=asked.decide,
        timeout_ms=asked.timeout_ms,
        deadline=rfc3339(START + asked.timeout_ms),
        digest=content_digest(asked),
        content=Content(asked.user_query, asked.agent_answer, asked.metadata),
    )


def casts(voter: str, vote: Vote, now: int = START + 1, arrived: int | None = None, **fields: Any) -> CastVote:
    """A ballot that is decided on as it arrives, unless said otherwise."""
    return CastVote(voter, ResultBallot(task_id="t", vote=vote, **fields), now, now if arrived is None else arrived)


def result(voter: str, vote: Vote, now: int = START + 1, **fields: Any) -> VoterResult:
    return VoterResult(at=rfc3339(now), voter_id=voter, vote=vote, **fields)


def reports(voter: str, status: str = "processing", now: int = START + 1) -> ReportProgress:
    return ReportProgress(voter, ProgressBallot(task_id="t", status=status), now)


def progress(voter: str, status: str = "processing", now: int = START + 1) -> VoterProgress:
    return VoterProgress(at=rfc3339(now), voter_id=voter, status=status)


def expires(now: int = DEADLINE) -> Expire:
    return Expire(now)


def verdict(
    outcome: str, said: str, by: DecidedBy = "votes", now: int = START + 1, rule: Rule | None = None
) -> Adjudicated:
    """`outcome` is such as ``fail tie``, `said` such as ``a:pass b:fail``."""
    final_vote, reason = outcome.split()
    details = cast(dict[str, Detail], dict(pair.split(":") for pair in said.split()))
    kinds: tuple[Detail, ...] = ("pass", "fail", "abstain", "missing")
    return Adjudicated(
        at=rfc3339(now),
        final_vote=cast(Verdict, final_vote),
        details=details,
        rule=rule or Rule("minority_rule", {"quorum": len(details) // 2 + 1}),
        tally={kind: list(details.values()).count(kind) for kind in kinds},
        decided_by=by,
        outcome_reason=reason,
    )
