"""The messages of PROTOCOL §1: what clients send, decoded with care, and what they get, encoded. Pure."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from magi.domain.directory import Directory
from magi.domain.errors import InvalidMessage, Refused
from magi.domain.ids import RequestId, check_name, check_request_id
from magi.domain.messages import Submission
from magi.domain.voting_request import Adjudicated, Received, RequestEvent, VoterProgress, VoterResult
from magi.gateway import frames
from magi.gateway.errors import Internal, InvalidJson, TooLarge, TryAgain
from magi.gateway.frames import Authenticate, Ping, refuse_nul
from magi.gateway.settings import Limits
from magi.telemetry import trace_context

# --- From clients -----------------------------------------------------------------------------------------------------


class Request(Struct, frozen=True, tag="request"):
    request_id: str
    user_query: str
    agent_answer: str
    voter_list: list[str] = []
    strategy: str | dict[str, Any] = "minority_rule"
    decide: Literal["all", "early"] = "all"
    timeout_ms: int = 30_000
    metadata: dict[str, Any] = {}
    panel: str = ""
    """The name of a panel template, instead of a `voter_list`."""
    traceparent: Any = ""
    """W3C: whoever gets one that isn't valid goes on without."""


class Resume(Struct, frozen=True, tag="resume"):
    request_id: str
    after_seq: int = 0


class GetVoters(Struct, frozen=True, tag="get_voters"):
    pass


ClientMessage = Authenticate | Request | Resume | GetVoters | Ping


_decode_message = msgspec.json.Decoder(ClientMessage).decode
_TYPES = frozenset({"authenticate", "request", "resume", "get_voters", "ping"})


class Incoming(Struct, frozen=True):
    """A frame, as far as it could be understood."""

    message: ClientMessage | None
    request_id: RequestId | None
    """The request that an error is about, when the frame names a usable one."""
    error: Refused | None = None


def decode(text: str, limits: Limits) -> Incoming:
    """Decode a frame. Never raises: what is wrong with it is in `error`."""
    request_id: RequestId | None = None
    try:
        peek = frames.peek(text)
        if isinstance(peek.request_id, str):
            try:
                request_id = check_request_id(peek.request_id)
            except InvalidMessage:
                request_id = None
        frames.check_type(peek.type, _TYPES)
        try:
            message = _decode_message(text)
        except msgspec.ValidationError as error:
            raise InvalidMessage(frames.field_first(str(error))) from None
        except msgspec.DecodeError as error:
            raise InvalidJson(f"not JSON: {error}") from None
        _check(message, text, limits)
    except Refused as error:
        return Incoming(None, request_id, error)
    return Incoming(message, request_id)


def _check(message: ClientMessage, text: str, limits: Limits) -> None:
    if "\\u0000" in text:
        refuse_nul(msgspec.to_builtins(message))
    if isinstance(message, Resume):
        check_request_id(message.request_id)
        if not 0 <= message.after_seq < 2**53:
            raise InvalidMessage("after_seq: expected 0 or more")
    if not isinstance(message, Request):
        return
    check_request_id(message.request_id)
    if len(message.voter_list) > limits.voters:
        raise InvalidMessage(f"voter_list: expected at most {limits.voters} voters, got {len(message.voter_list)}")
    if message.panel:
        check_name(message.panel, "panel")
        if message.voter_list:
            raise InvalidMessage("panel: expected either panel or voter_list, not both")
    if not limits.min_timeout_ms <= message.timeout_ms <= limits.max_timeout_ms:
        expected = f"{limits.min_timeout_ms} to {limits.max_timeout_ms}"
        raise InvalidMessage(f"timeout_ms: expected {expected}, got {message.timeout_ms}")
    if len(msgspec.json.encode(message.metadata)) > limits.metadata_bytes:
        raise TooLarge(f"metadata: expected at most {limits.metadata_bytes} bytes")


def submission(request: Request, initiator: str) -> Submission:
    """The request as the Initiator sent it; the `trace` is its own, if it is valid."""
    trace = trace_context.parse(request.traceparent)
    return Submission(
        initiator_id=initiator,
        request_id=request.request_id,
        user_query=request.user_query,
        agent_answer=request.agent_answer,
        voter_list=tuple(request.voter_list),
        strategy=request.strategy,
        decide=request.decide,
        timeout_ms=request.timeout_ms,
        metadata=request.metadata,
        panel=request.panel,
        trace=str(trace) if trace else "",
    )


# --- To clients -------------------------------------------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode


class _Acknowledged(Struct, frozen=True, tag="acknowledged"):
    request_id: str
    seq: int
    at: str
    status: str
    voters: tuple[str, ...]
    deadline: str


class _Progress(Struct, frozen=True, tag="voter_progress"):
    request_id: str
    seq: int
    at: str
    voter_id: str
    status: str


class _Result(Struct, frozen=True, tag="voter_result", omit_defaults=True):
    request_id: str
    seq: int
    at: str
    voter_id: str
    vote: str
    reason: str | None = None
    confidence: float | None = None


class _Final(Struct, frozen=True, tag="final_result"):
    request_id: str
    seq: int
    at: str
    final_vote: str
    details: dict[Any, Any]
    strategy: str
    parameters: dict[str, Any]
    decided_by: str
    outcome_reason: str
    tally: dict[Any, Any]


def event(request_id: str, stored: RequestEvent) -> bytes:
    """A stored event under its wire name."""
    seq, at = stored.originator_version, stored.at
    match stored:
        case Received():
            return _encode(_Acknowledged(request_id, seq, at, "received", stored.voters, stored.deadline))
        case VoterProgress():
            return _encode(_Progress(request_id, seq, at, stored.voter_id, stored.status))
        case VoterResult():
            return _encode(_Result(request_id, seq, at, stored.voter_id, stored.vote, stored.reason, stored.confidence))
        case Adjudicated():
            return _encode(
                _Final(
                    request_id,
                    seq,
                    at,
                    stored.final_vote,
                    stored.details,
                    stored.rule.strategy,
                    stored.rule.parameters,
                    stored.decided_by,
                    stored.outcome_reason,
                    stored.tally,
                )
            )


class Error(Struct, frozen=True, tag="error", omit_defaults=True):
    code: str
    message: str
    request_id: str | None = None
    retryable: bool = msgspec.field(default_factory=lambda: False)  # always sent
    retry_after_ms: int | None = None
    trace_id: str | None = None


def error(refused: Refused, request_id: str | None) -> bytes:
    after = refused.retry_after_ms if isinstance(refused, TryAgain) else None
    trace = refused.trace_id if isinstance(refused, Internal) else None
    return _encode(Error(refused.code, frames.short(refused.message), request_id, refused.retryable, after, trace))


def authenticated(initiator: str) -> bytes:
    return _encode({"type": "authenticated", "initiator_id": initiator})


def resumed(request_id: str, last_seq: int) -> bytes:
    return _encode({"type": "resumed", "request_id": request_id, "last_seq": last_seq})


def voters(directory: Directory) -> bytes:
    """All voters but the revoked ones."""
    listed = [
        {"voter_id": v.voter_id, "description": v.description, "kind": v.kind, "status": v.status}
        for v in sorted(directory.voters.values(), key=lambda v: v.voter_id)
        if v.status != "revoked"
    ]
    return _encode({"type": "voters", "voters": listed})
