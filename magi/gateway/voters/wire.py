"""The messages of PROTOCOL §2: what voters send, decoded with care, and what they get, encoded. Pure."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from magi.domain.errors import InvalidMessage, Refused
from magi.domain.ids import VoterId
from magi.domain.messages import Ballot, ProgressBallot, ResultBallot, Task, encode
from magi.gateway import frames
from magi.gateway.errors import Internal, InvalidJson, TryAgain
from magi.gateway.frames import Authenticate, Ping

# --- From voters ------------------------------------------------------------------------------------------------------

Kind = Literal["progress", "result"]


class Ready(Struct, frozen=True, tag="ready"):
    """The voter takes tasks from now on, so many at a time; 0: none for now."""

    capacity: Annotated[int, Meta(ge=0, lt=2**53)]
    version: Annotated[str, Meta(max_length=64)] = ""
    """Of the voter's program: shown beside its presence."""


VoterMessage = Authenticate | Ready | ProgressBallot | ResultBallot | Ping

_decode_message = msgspec.json.Decoder(VoterMessage).decode
_TYPES = frozenset({"authenticate", "ready", "progress", "result", "ping"})
_TASK_ID = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,256}\Z")
"""What is repeated in an error; ours are at most 166 characters."""


class Incoming(Struct, frozen=True):
    """A frame, as far as it could be understood."""

    message: VoterMessage | None
    task_id: str | None
    """The task that an error is about, when the frame names a usable one."""
    error: Refused | None = None


def decode(text: str) -> Incoming:
    """Decode a frame. Never raises: what is wrong with it is in `error`."""
    task_id: str | None = None
    try:
        peek = frames.peek(text)
        if isinstance(peek.task_id, str) and _TASK_ID.match(peek.task_id):
            task_id = peek.task_id
        frames.check_type(peek.type, _TYPES)
        try:
            message = _decode_message(text)
        except msgspec.ValidationError as error:
            problem = frames.field_first(str(error))
            field, _, what = problem.partition(": ")
            raise InvalidMessage(f"{field}: expected no NUL" if "matching regex" in what else problem) from None
        except (msgspec.DecodeError, UnicodeError) as error:
            raise InvalidJson(f"not JSON: {error}") from None
        if "\\u0000" in text:
            frames.refuse_nul(msgspec.to_builtins(message))
    except Refused as error:
        return Incoming(None, task_id, error)
    return Incoming(message, task_id)


def kind_of(ballot: Ballot) -> Kind:
    return "result" if isinstance(ballot, ResultBallot) else "progress"


# --- To voters --------------------------------------------------------------------------------------------------------

_encode = msgspec.json.Encoder().encode


def task(task: Task, attempt: int) -> bytes:
    """A task as a voter gets it: it has no use for the inbox's subjects."""
    return encode(msgspec.structs.replace(task, attempt=attempt, ballot_subject=msgspec.UNSET))


def accepted(task_id: str, kind: Kind) -> bytes:
    return _encode({"type": "accepted", "task_id": task_id, "kind": kind})


def authenticated(voter: VoterId) -> bytes:
    return _encode({"type": "authenticated", "voter_id": voter})


class _Error(Struct, frozen=True, tag="error", omit_defaults=True):
    code: str
    message: str
    task_id: str | None = None
    retryable: bool = msgspec.field(default_factory=lambda: False)  # always sent
    retry_after_ms: int | None = None
    trace_id: str | None = None


def error(refused: Refused, task_id: str | None) -> bytes:
    after = refused.retry_after_ms if isinstance(refused, TryAgain) else None
    trace = refused.trace_id if isinstance(refused, Internal) else None
    return _encode(_Error(refused.code, frames.short(refused.message), task_id, refused.retryable, after, trace))
