"""Deciding again: the verdict that the recorded rule gives for the recorded votes, beside the recorded one."""

from msgspec import Struct

from magi.audit.findings import Problem
from magi.domain.clock import milliseconds
from magi.domain.errors import StrategyMissing
from magi.domain.messages import ResultBallot
from magi.domain.voting_request import Adjudicated, CastVote, Command, Expire, VotingRequest, Withdraw, decide

_COMPARED = ("final_vote", "outcome_reason", "decided_by", "details", "tally", "rule", "out")


class CannotDecide(Exception):
    """The recorded rule fails on the recorded votes: it was never the rule of a request."""


class Difference(Struct, frozen=True):
    """A field of a verdict that comes out differently."""

    field: str
    recorded: str
    again: str

    def __str__(self) -> str:
        return f"{self.field} is {self.recorded}, decided again it is {self.again}"


def decide_again(before: VotingRequest, recorded: Adjudicated) -> Adjudicated | None:
    """The verdict that `before`, the state before the recorded one, leads to by the domain's own `decide`.

    None when the votes don't allow a verdict at that time. Raises StrategyMissing, CannotDecide.
    """
    now = milliseconds(recorded.at)
    command: Command
    if recorded.decided_by == "deadline":
        command = Expire(now)
    elif recorded.out:
        command = Withdraw(frozenset(recorded.out), now)
    elif before.votes:
        # A ballot that is counted already and comes again leads to the verdict, if one is due, and to nothing else.
        voter, vote = next(reversed(before.votes.items()))
        ballot = ResultBallot(task_id="", vote=vote.vote, reason=vote.reason, confidence=vote.confidence)
        command = CastVote(voter, ballot, now, now)
    else:
        return None
    try:
        events = decide(before, command)
    except StrategyMissing:
        raise
    except Exception as error:  # a strategy is somebody else's code, and its parameters may have been tampered with
        raise CannotDecide(f"{type(error).__name__}: {error}") from error
    return next((event for event in events if isinstance(event, Adjudicated)), None)


def differences(recorded: Adjudicated, again: Adjudicated) -> list[Difference]:
    """The fields in which two verdicts differ, times and envelopes aside."""
    found = []
    for field in _COMPARED:
        was, now = getattr(recorded, field), getattr(again, field)
        if was != now:
            found.append(Difference(field, _text(was), _text(now)))
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def check_verdict(before: VotingRequest, recorded: Adjudicated) -> list[Problem]:
    """Whether the verdict follows from the votes before it."""
    try:
        again = decide_again(before, recorded)
    except StrategyMissing as error:
        return [Problem("strategy_missing", str(error))]
    except CannotDecide as error:
        return [Problem("verdict", f"the rule can't be applied: {error}")]
    if again is None:
        return [Problem("verdict", f"no verdict was due by {recorded.decided_by!r} at {recorded.at}")]
    return [Problem("verdict", str(difference)) for difference in differences(recorded, again)]
