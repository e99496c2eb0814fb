"""A log for auditors, as MAGI writes it: decided by the domain, chained by the codec. And what somebody does to it."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from magi.audit.audits import Audit, audit_history
from magi.audit.authority import Registry
from magi.audit.directory_check import check_directory
from magi.audit.findings import Findings
from magi.audit.rolling import Head
from magi.audit.verify import LogVerifier
from magi.domain.clock import rfc3339
from magi.domain.directory import DirectoryEvent
from magi.domain.ids import AggregateId, InitiatorId, RequestId, VoterId, request_aggregate
from magi.domain.initiator import InitiatorRegistered
from magi.domain.messages import ProgressBallot, ResultBallot, Submission, Vote
from magi.domain.panel import Candidate, Snapshot
from magi.domain.voter import VoterRegistered
from magi.domain.voting_request import (
    INITIAL,
    Adjudicated,
    CastVote,
    Command,
    Expire,
    ReportProgress,
    RequestEvent,
    Submit,
    VotingRequest,
    decide,
    evolve,
)
from magi.eventstore import subjects
from magi.eventstore.codec import Codec, digest
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import EMPTY
from magi.eventstore.history import Head as AggregateHead

START = 1_769_860_800_000  # 2026-01-31T12:00:00.000Z
TIMEOUT = 30_000
INITIATOR = InitiatorId("agent")
PANEL = ("a", "b", "c")
LATER = START + 3_600_000

codec: Codec[RequestEvent] = Codec(RequestEvent)
directory_codec: Codec[DirectoryEvent] = Codec(DirectoryEvent)


def aggregate_of(request: str) -> AggregateId:
    return request_aggregate(INITIATOR, RequestId(request))


class Book:
    """A log in memory: `messages` is what its stream holds."""

    def __init__(self) -> None:
        self.messages: list[StoredMessage] = []
        self._states: dict[AggregateId, VotingRequest] = {}
        self._heads: dict[AggregateId, AggregateHead] = {}
        self._cause = 0
        self._causes: dict[AggregateId, int] = {}

    def do(self, aggregate: AggregateId, command: Command, cause: int = 0) -> None:
        """Decide and store, as an orchestrator does."""
        self._cause += 1
        for event in decide(self._states.get(aggregate, INITIAL), command):
            self.store(aggregate, event, cause or self._cause)

    def store(self, aggregate: AggregateId, event: RequestEvent, cause: int) -> None:
        head = self._heads.get(aggregate, EMPTY)
        stamped, data = codec.stamp(msgspec.structs.replace(event, cause=cause), aggregate, head)
        message = StoredMessage(len(self.messages) + 1, f"{subjects.LOG_PREFIX}{aggregate}", data)
        self.messages.append(message)
        self._heads[aggregate] = AggregateHead(head.version + 1, message.sequence, digest(data))
        self._states[aggregate] = evolve(self._states.get(aggregate, INITIAL), stamped)
        self._causes.setdefault(aggregate, cause)

    def receive(self, request: str, now: int = START, panel: Sequence[str] = PANEL, **fields: Any) -> AggregateId:
        given: dict[str, Any] = {"user_query": "Write a poem", "agent_answer": "Roses are red", "timeout_ms": TIMEOUT}
        submission = Submission(
            initiator_id=INITIATOR, request_id=request, voter_list=tuple(panel), **{**given, **fields}
        )
        directory = Snapshot({VoterId(voter): Candidate("active") for voter in panel})
        aggregate = aggregate_of(request)
        self.do(aggregate, Submit(submission, directory, now))
        return aggregate

    def progress(self, aggregate: AggregateId, voter: str, now: int = START + 5) -> None:
        self.do(aggregate, ReportProgress(voter, ProgressBallot(task_id=""), now))

    def vote(
        self, aggregate: AggregateId, voter: str, vote: Vote, now: int = START + 10, reason: str | None = None
    ) -> None:
        self.do(aggregate, CastVote(voter, ResultBallot(task_id="", vote=vote, reason=reason), now, now))

    def expire(self, aggregate: AggregateId, now: int = START + TIMEOUT) -> None:
        self.do(aggregate, Expire(now), self._causes[aggregate])

    def request(self, request: str, now: int = START, panel: Sequence[str] = PANEL, **votes: Vote) -> AggregateId:
        """A whole history: received, progress and vote of each that votes, the verdict, at the deadline if need be."""
        aggregate = self.receive(request, now, panel)
        for voter in votes:
            self.progress(aggregate, voter, now + 5)
        for voter, vote in votes.items():
            self.vote(aggregate, voter, vote, now + 10)
        if len(votes) < len(panel):
            self.expire(aggregate, now + TIMEOUT)
        return aggregate

    def of(self, aggregate: str) -> list[StoredMessage]:
        """The history of an aggregate, or of a subject."""
        return [m for m in self.messages if m.subject.endswith(aggregate)]

    def state(self, aggregate: AggregateId) -> VotingRequest:
        return self._states[aggregate]

    def verdict(self, aggregate: AggregateId) -> Adjudicated:
        verdict = self._states[aggregate].verdict
        assert verdict
        return verdict


def sound_book() -> Book:
    """Three requests, one after the other: passed, failed by a tie of votes, and decided at the deadline."""
    book = Book()
    book.request("one", a="pass", b="pass", c="fail")
    book.request("two", now=START + 1000, a="pass", b="fail", c="abstain")
    book.request("three", now=START + 2000, a="pass", b="pass")
    return book


def directory_messages(*events: DirectoryEvent) -> list[StoredMessage]:
    """The directory's stream with these events, whose aggregates are named by the events themselves."""
    heads: dict[str, AggregateHead] = {}
    messages = []
    for sequence, event in enumerate(events, 1):
        name = AggregateId(event.originator_id)
        head = heads.get(name, EMPTY)
        _, data = directory_codec.stamp(event, name, head)
        heads[name] = AggregateHead(head.version + 1, sequence, digest(data))
        messages.append(StoredMessage(sequence, f"{subjects.DIRECTORY_PREFIX}{name}", data))
    return messages


def registered(voter: str, at: int = START - 60_000) -> VoterRegistered:
    return VoterRegistered(originator_id=f"voter.{voter}", at=rfc3339(at), voter_id=voter, kind="nats", by="test")


def directory(*more: DirectoryEvent) -> list[StoredMessage]:
    """The panel and the Initiator are registered a minute before `START`; then `more`."""
    agent = InitiatorRegistered(
        originator_id=f"initiator.{INITIATOR}", at=rfc3339(START - 60_000), initiator_id=INITIATOR, by="test"
    )
    return directory_messages(*(registered(voter) for voter in PANEL), agent, *more)


def registry(*more: DirectoryEvent) -> Registry:
    findings = Findings()
    found = check_directory(directory(*more), findings)
    assert not findings.first, findings.first
    return found


def verify(
    messages: Iterable[StoredMessage], who: Registry | None = None, since: Head | None = None, last: int = 0
) -> Findings:
    """The findings of an audit of all these messages, which are the whole log; `last` is its last sequence."""
    messages = list(messages)
    verifier = LogVerifier(who or registry(), Findings(), since=since)
    for message in messages:
        earlier: list[StoredMessage] = []
        if verifier.wants(message):
            earlier = [m for m in messages if m.subject == message.subject and m.sequence < message.sequence]
        verifier.feed(message, earlier)
    verifier.finish(last or max((m.sequence for m in messages), default=0), LATER)
    return verifier.findings


def verify_one(messages: Sequence[StoredMessage], who: Registry | None = None) -> Audit:
    """The audit of one request, before its deadline."""
    return audit_history(messages, who or registry(), Findings(), START)


def kinds(findings: Findings) -> list[str]:
    """The kinds of what was found, in the order of the log."""
    return [finding.kind for finding in findings.first]


# --- What somebody does to a log -------------------------------------------------------------------------------------


def renumbered(messages: Iterable[StoredMessage]) -> list[StoredMessage]:
    """As in a copy of the stream: without holes in the sequence."""
    return [msgspec.structs.replace(message, sequence=place) for place, message in enumerate(messages, 1)]


def changed(messages: Sequence[StoredMessage], place: int, old: bytes, new: bytes) -> list[StoredMessage]:
    """The message at `place` (from 0) with other bytes."""
    assert old in messages[place].data, messages[place].data
    message = msgspec.structs.replace(messages[place], data=messages[place].data.replace(old, new))
    return [*messages[:place], message, *messages[place + 1 :]]


def dropped(messages: Sequence[StoredMessage], place: int) -> list[StoredMessage]:
    return renumbered([*messages[:place], *messages[place + 1 :]])


def swapped(messages: Sequence[StoredMessage], place: int, other: int) -> list[StoredMessage]:
    copy = list(messages)
    copy[place], copy[other] = copy[other], copy[place]
    return renumbered(copy)


def inserted(messages: Sequence[StoredMessage], place: int, message: StoredMessage) -> list[StoredMessage]:
    return renumbered([*messages[:place], message, *messages[place:]])


def rewritten(messages: Sequence[StoredMessage]) -> list[StoredMessage]:
    """With every hash made right again: what somebody does who knows how the chain is made."""
    heads: dict[str, str] = {}
    copy = []
    for message in messages:
        event = codec.decode(message.data)
        data = msgspec.json.encode(msgspec.structs.replace(event, prev=heads.get(message.subject, "")))
        heads[message.subject] = digest(data)
        copy.append(msgspec.structs.replace(message, data=data))
    return copy
