"""The messages of PROTOCOL §1: what clients send, decoded with care, and what they get, encoded. Pure."""

import re
from typing import Any, Literal

import msgspec
from msgspec import Struct

from magi.domain.directory import Directory
from magi.domain.errors import InvalidMessage, Refused
from magi.domain.ids import RequestId, check_request_id
from magi.domain.messages import Submission
from magi.domain.voting_request import Adjudicated, Received, RequestEvent, VoterProgress, VoterResult
from magi.gateway.errors import Internal, InvalidJson, TooLarge, TryAgain, UnsupportedType
from magi.gateway.settings import Limits

# --- From clients -----------------------------------------------------------------------------------------------------


class Authenticate(Struct, frozen=True, tag="authenticate"):
    token: str


class Request(Struct, frozen=True, tag="request"):
    request_id: str
    user_query: str
    agent_answer: str
    voter_list: list[str] = []
    strategy: str | dict[str, Any] = "minority_rule"
    decide: Literal["all", "early"] = "all"
    timeout_ms: int = 30_000
    metadata: dict[str, Any] = {}
    traceparent: Any = ""
    """W3C: whoever gets one that isn't valid goes on without."""


class Resume(Struct, frozen=True, tag="resume"):
    request_id: str
    after_seq: int = 0


class GetVoters(Struct, frozen=True, tag="get_voters"):
    pass


class Ping(Struct, frozen=True, tag="ping"):
    pass


ClientMessage = Authenticate | Request | Resume | GetVoters | Ping


class _Peek(Struct):
    type: Any = None
    request_id: Any = None


MAX_DEPTH = 32
_decode_peek = msgspec.json.Decoder(_Peek).decode
_decode_message = msgspec.json.Decoder(ClientMessage).decode
_TYPES = frozenset({"authenticate", "request", "resume", "get_voters", "ping"})
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
_AT = re.compile(r"^(.*) - at `\$\.?(.*)`$")
_MISSING = re.compile(r"missing required field `(\w+)`")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")


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
        peek = _peek(text)
        if isinstance(peek.request_id, str):
            try:
                request_id = check_request_id(peek.request_id)
            except InvalidMessage:
                request_id = None
        if not isinstance(peek.type, str):
            raise InvalidMessage("type: expected a string" if peek.type is not None else "type: missing")
        if peek.type not in _TYPES:
            raise UnsupportedType(f"type: {_shown(peek.type)} is not supported")
        try:
            message = _decode_message(text)
        except msgspec.ValidationError as error:
            raise InvalidMessage(_field_first(str(error))) from None
        except msgspec.DecodeError as error:
            raise InvalidJson(f"not JSON: {error}") from None
        _check(message, text, limits)
    except Refused as error:
        return Incoming(None, request_id, error)
    return Incoming(message, request_id)


def _peek(text: str) -> _Peek:
    """What a frame is about. Raises InvalidJson."""
    try:
        peek = _decode_peek(text)
    except RecursionError:
        raise InvalidJson(f"nested deeper than {MAX_DEPTH}") from None
    except msgspec.ValidationError:
        raise InvalidJson("expected an object") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidJson(f"not JSON: {error}") from None
    # Only now: in text that isn't JSON the search for strings would take quadratic time, minutes for a frame.
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise InvalidJson(f"nested deeper than {MAX_DEPTH}")
    return peek


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")


def _field_first(problem: str) -> str:
    """msgspec's message with the field's name in front."""
    if found := _AT.match(problem):
        return f"{found[2] or 'message'}: {found[1][0].lower()}{found[1][1:]}"
    if found := _MISSING.search(problem):
        return f"{found[1]}: missing"
    return problem


def _depth(text: str) -> int:
    """How deep arrays and objects are nested in valid JSON, strings left aside."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _check(message: ClientMessage, text: str, limits: Limits) -> None:
    if "\\u0000" in text:
        _refuse_nul(msgspec.to_builtins(message), "")
    if isinstance(message, Resume):
        check_request_id(message.request_id)
        if not 0 <= message.after_seq < 2**53:
            raise InvalidMessage("after_seq: expected 0 or more")
    if not isinstance(message, Request):
        return
    check_request_id(message.request_id)
    if len(message.voter_list) > limits.voters:
        raise InvalidMessage(f"voter_list: expected at most {limits.voters} voters, got {len(message.voter_list)}")
    if not 100 <= message.timeout_ms <= limits.max_timeout_ms:
        raise InvalidMessage(f"timeout_ms: expected 100 to {limits.max_timeout_ms}, got {message.timeout_ms}")
    if len(msgspec.json.encode(message.metadata)) > limits.metadata_bytes:
        raise TooLarge(f"metadata: expected at most {limits.metadata_bytes} bytes")


def _refuse_nul(value: Any, field: str) -> None:
    """NUL is a poison: Postgres can't store it."""
    match value:
        case str() if "\0" in value:
            raise InvalidMessage(f"{field}: expected no NUL")
        case dict():
            for key, inner in value.items():
                _refuse_nul(key, field or key)
                _refuse_nul(inner, f"{field}.{key}" if field else key)
        case list() | tuple():
            for number, inner in enumerate(value):
                _refuse_nul(inner, f"{field}[{number}]")


def submission(request: Request, initiator: str) -> Submission:
    """The request as it goes into the inbox."""
    trace = request.traceparent
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
        trace=trace if isinstance(trace, str) and _TRACEPARENT.match(trace) else "",
    )


# --- To clients -------------------------------------------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode
_MESSAGE = 300
"""The most characters of an error's message."""


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
    message = refused.message
    if len(message) > _MESSAGE:  # it may quote what was sent
        message = message[: _MESSAGE - 1] + "…"
    return _encode(Error(refused.code, message, request_id, refused.retryable, after, trace))


def authenticated(initiator: str) -> bytes:
    return _encode({"type": "authenticated", "initiator_id": initiator})


def resumed(request_id: str, last_seq: int) -> bytes:
    return _encode({"type": "resumed", "request_id": request_id, "last_seq": last_seq})


PONG = _encode({"type": "pong"})


def voters(directory: Directory) -> bytes:
    """All voters but the revoked ones."""
    listed = [
        {"voter_id": v.voter_id, "description": v.description, "kind": v.kind, "status": v.status}
        for v in sorted(directory.voters.values(), key=lambda v: v.voter_id)
        if v.status != "revoked"
    ]
    return _encode({"type": "voters", "voters": listed})
