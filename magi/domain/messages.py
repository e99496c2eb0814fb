"""What travels between the parts and is not an event: submissions, tasks and ballots.

Their JSON is part of the wire contract (PROTOCOL §2 and §3): voters in any language read a `Task` and send a `Ballot`.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

Vote = Literal["pass", "fail", "abstain"]

# A ballot comes straight from a voter on the bus: here is the only place to refuse a NUL, which Postgres can't store.
_NO_NUL = r"\A[^\x00]*\Z"

Reason = Annotated[str, Meta(max_length=4096, pattern=_NO_NUL)]
Confidence = Annotated[float, Meta(ge=0, le=1)]


class Submission(Struct, frozen=True, kw_only=True, tag="submission", omit_defaults=True):
    """A request on its way from the gateway to its orchestrator. Fields as in PROTOCOL §1."""

    initiator_id: str
    request_id: str
    user_query: str
    agent_answer: str
    voter_list: tuple[str, ...] = ()
    strategy: str | dict[str, Any] = "minority_rule"
    decide: Literal["all", "early"] = "all"
    timeout_ms: int = 30_000
    metadata: dict[str, Any] = {}
    panel: str = ""
    """The panel template that it asks for, instead of a `voter_list`."""
    trace: str = ""
    """W3C ``traceparent`` of whoever sent it, or empty."""


class Task(Struct, frozen=True, kw_only=True, tag="task"):
    """What one voter has to judge."""

    task_id: str
    request_id: str
    user_query: str
    agent_answer: str
    deadline: str
    """RFC 3339: a ballot that arrives later is too late."""
    metadata: dict[str, Any] = {}
    attempt: int = 1
    ballot_subject: str | UnsetType = UNSET
    """Where voters on the bus publish their ballots (PROTOCOL §3)."""
    traceparent: str | UnsetType = UNSET
    """W3C: the trace that it belongs to, for whatever the voter causes."""


class ProgressBallot(Struct, frozen=True, kw_only=True, tag="progress", omit_defaults=True):
    """A voter says that it is at work."""

    task_id: str
    status: Annotated[str, Meta(min_length=1, max_length=64, pattern=_NO_NUL)] = "processing"
    traceparent: Any = ""
    """W3C: what the voter did to come to it. Whoever gets one that isn't valid goes on without."""


class ResultBallot(Struct, frozen=True, kw_only=True, tag="result", omit_defaults=True):
    """A voter's vote on one task."""

    task_id: str
    vote: Vote
    reason: Reason | None = None
    confidence: Confidence | None = None
    failed: bool = False
    """The voter could not judge: it abstains, and that counts against its health."""
    traceparent: Any = ""
    """As in `ProgressBallot`."""


Ballot = ProgressBallot | ResultBallot

AT_ONCE = 64
"""Ballots in one message, at most."""


class Ballots(Struct, frozen=True, kw_only=True, tag="ballots"):
    """Several ballots of one voter, for requests of one partition, each as if it had come alone, in this order."""

    ballots: Annotated[tuple[Ballot, ...], Meta(min_length=1, max_length=AT_ONCE)]


InboxMessage = Submission | ProgressBallot | ResultBallot


class Opinion(Struct, frozen=True):
    """What a voter's function returns: its vote, why, and how sure it is (0 to 1)."""

    vote: Vote
    reason: Reason | None = None
    confidence: Confidence | None = None

    @classmethod
    def passes(cls, reason: str | None = None, confidence: float | None = None) -> "Opinion":
        return cls("pass", reason, confidence)

    @classmethod
    def fails(cls, reason: str | None = None, confidence: float | None = None) -> "Opinion":
        return cls("fail", reason, confidence)

    @classmethod
    def abstains(cls, reason: str | None = None) -> "Opinion":
        return cls("abstain", reason)


encode = msgspec.json.Encoder().encode
decode_task = msgspec.json.Decoder(Task).decode
decode_ballot = msgspec.json.Decoder(Ballot).decode
_decode_inbox = msgspec.json.Decoder(InboxMessage | Ballots).decode


def decode_inbox(data: bytes) -> tuple[InboxMessage, ...]:
    """What a message of the inbox holds: a submission, or ballots in the order in which they were said.

    Raises msgspec's DecodeError, UnicodeDecodeError, RecursionError.
    """
    message = _decode_inbox(data)
    return message.ballots if isinstance(message, Ballots) else (message,)
