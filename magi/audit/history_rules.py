"""What makes events a voting request's history: the rules that `decide` keeps, checked on what is stored."""

import msgspec

from magi.audit.authority import SLACK, Registry, check_out, check_received, check_vote
from magi.audit.chain import START, Link, check_link
from magi.audit.events import NO_CONTENT
from magi.audit.findings import Problem
from magi.audit.redecide import check_verdict
from magi.domain.clock import milliseconds
from magi.domain.ids import InitiatorId, RequestId, request_aggregate
from magi.domain.voting_request import (
    INITIAL,
    Adjudicated,
    Received,
    RequestEvent,
    VoterProgress,
    VoterResult,
    VotingRequest,
    evolve,
)


class RequestCheck:
    """One request's history, taken in event by event. Holds its state without the content."""

    __slots__ = ("_at", "_ballots", "aggregate", "link", "registry", "state")

    def __init__(self, aggregate: str, registry: Registry) -> None:
        self.aggregate = aggregate
        self.registry = registry
        self.link = START
        self.state = INITIAL
        self._at = 0
        self._ballots: set[tuple[int, str, str]] = set()
        """The ballots that were counted: the inbox sequence, the voter, and the status of a progress (empty: a result).
        A message may hold several ballots, but of one voter, and of one task no two that say the same."""

    def take(self, event: RequestEvent, digest: str) -> list[Problem]:
        """What is wrong with the next event. Afterwards the history goes on from it, so that one fault is told once."""
        found = check_link(self.link, self.aggregate, event)
        self.link = Link(event.originator_version, digest)
        found += check_cause(self.state, self._ballots, event)
        found += check_event(self.state, event)
        at = milliseconds(event.at)
        if at < self._at - SLACK:
            # A note: an orchestrator's clock may have been put right in between.
            found.append(Problem("clock", f"decided {self._at - at} ms before the event before it"))
        self._at = at
        if isinstance(event, Received):
            found += check_received(self.registry, event)
            event = msgspec.structs.replace(event, content=NO_CONTENT)
        elif isinstance(event, VoterResult):
            found += check_vote(self.registry, event)
        elif isinstance(event, Adjudicated):
            found += check_out(self.registry, event)
        self.state = evolve(self.state, event)
        return found

    def skip(self, digest: str) -> None:
        """Go past stored bytes that are no event."""
        self.link = Link(self.link.version + 1, digest)


def check_event(before: VotingRequest, event: RequestEvent) -> list[Problem]:
    """Whether `event` can follow the state `before`."""
    if isinstance(event, Received):
        return _received(before, event)
    if before.received is None:  # told once, of the first event
        return [] if before.version else [Problem("history", f"{event_name(event)} before the request was received")]
    if before.verdict:
        return [Problem("history", f"{event_name(event)} after the verdict of version {before.version}")]
    match event:
        case VoterProgress(voter_id=voter) if voter not in before.panel:
            return [Problem("not_on_panel", f"voter {voter!r} is not on the panel")]
        case VoterResult(voter_id=voter) if voter not in before.panel:
            return [Problem("not_on_panel", f"voter {voter!r} is not on the panel, and its vote was counted")]
        case VoterResult(voter_id=voter) if voter in before.votes:
            return [Problem("history", f"voter {voter!r} has voted already, and its vote was counted again")]
        case Adjudicated():
            return check_verdict(before, event)
    return []


def _received(before: VotingRequest, event: Received) -> list[Problem]:
    found: list[Problem] = []
    if before.version:
        found.append(Problem("history", "the request was received a second time"))
    expected = request_aggregate(InitiatorId(event.initiator_id), RequestId(event.request_id))
    if event.originator_id != expected:
        found.append(Problem("misplaced", f"the history of another request: its names give {expected!r}"))
    if not event.voters or len(set(event.voters)) != len(event.voters):
        found.append(Problem("history", "the panel is empty or names a voter twice"))
    if milliseconds(event.deadline) - milliseconds(event.at) != event.timeout_ms:
        found.append(Problem("history", f"the deadline is not {event.timeout_ms} ms after the reception"))
    return found


def check_cause(before: VotingRequest, ballots: set[tuple[int, str, str]], event: RequestEvent) -> list[Problem]:
    """Whether the inbox message that led to `event` is named, and can have; adds a ballot to `ballots`."""
    if event.cause < 1:
        return [Problem("cause", f"{event_name(event)} names no message of the inbox that led to it")]
    if isinstance(event, VoterProgress | VoterResult):
        ballot = (event.cause, event.voter_id, event.status if isinstance(event, VoterProgress) else "")
        if ballot in ballots or any(cause == event.cause and voter != event.voter_id for cause, voter, _ in ballots):
            return [Problem("cause", f"message {event.cause} of the inbox has led to an event of a voter already")]
        ballots.add(ballot)
    elif isinstance(event, Adjudicated) and event.decided_by == "deadline" and before.received:
        submission = before.received.cause  # it is what comes again at the deadline
        if event.cause != submission:
            return [Problem("cause", f"a verdict at the deadline comes from message {submission}, not {event.cause}")]
    return []


def event_name(event: RequestEvent) -> str:
    """The name under which an event is stored."""
    return str(type(event).__struct_config__.tag)
