"""The Initiator: an agent or a service that submits. An aggregate of the directory; its tokens are stored as hashes."""

from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from magi.domain.clock import rfc3339
from magi.domain.errors import Conflict
from magi.domain.event import Event
from magi.domain.ids import check_name
from magi.domain.tokens import token_id

# --- Events -----------------------------------------------------------------------------------------------------------


class InitiatorRegistered(Event, frozen=True, kw_only=True, tag="initiator_registered"):
    initiator_id: str
    description: str = ""
    by: str


class TokenIssued(Event, frozen=True, kw_only=True, tag="token_issued"):
    token_id: str
    """Names the token without telling it: the first 12 characters of its hash."""
    sha256: str
    by: str


class TokenRevoked(Event, frozen=True, kw_only=True, tag="token_revoked"):
    token_id: str
    reason: str = ""
    by: str


class InitiatorRevoked(Event, frozen=True, kw_only=True, tag="initiator_revoked"):
    reason: str = ""
    by: str


InitiatorEvent = InitiatorRegistered | TokenIssued | TokenRevoked | InitiatorRevoked

# --- Fold -------------------------------------------------------------------------------------------------------------


class Initiator(Struct, frozen=True):
    version: int = 0
    initiator_id: str = ""
    description: str = ""
    status: Literal["active", "revoked"] = "active"
    registered_at: str = ""
    tokens: dict[str, str] = {}
    """Valid tokens: token id to SHA-256."""


INITIAL = Initiator()


def evolve(state: Initiator, event: InitiatorEvent) -> Initiator:
    replace = msgspec.structs.replace
    state = replace(state, version=state.version + 1)
    match event:
        case InitiatorRegistered():
            return replace(
                state, initiator_id=event.initiator_id, description=event.description, registered_at=event.at
            )
        case TokenIssued():
            return replace(state, tokens={**state.tokens, event.token_id: event.sha256})
        case TokenRevoked(token_id=revoked):
            return replace(state, tokens={i: h for i, h in state.tokens.items() if i != revoked})
        case InitiatorRevoked():
            return replace(state, status="revoked", tokens={})


# --- Decisions --------------------------------------------------------------------------------------------------------


class Register(NamedTuple):
    initiator_id: str
    description: str
    by: str
    now: int


class IssueToken(NamedTuple):
    initiator_id: str
    sha256: str
    by: str
    now: int


class RevokeToken(NamedTuple):
    initiator_id: str
    token_id: str
    reason: str
    by: str
    now: int


class Revoke(NamedTuple):
    initiator_id: str
    reason: str
    by: str
    now: int


InitiatorCommand = Register | IssueToken | RevokeToken | Revoke


def decide(state: Initiator, command: InitiatorCommand) -> list[InitiatorEvent]:
    """The events that `command` leads to; none when the initiator is revoked, or the token issued, already.

    Raises Conflict when the state forbids it, or holds no such initiator or token; InvalidMessage for a new initiator
    whose id can't be one.
    """
    at = rfc3339(command.now)
    name = command.initiator_id
    if isinstance(command, Register):
        check_name(name, "initiator_id")
        if state.version:
            raise Conflict(f"initiator {name!r} is registered already, and {state.status}")
        return [InitiatorRegistered(at=at, initiator_id=name, description=command.description, by=command.by)]
    if not state.version:
        raise Conflict(f"no initiator named {name!r} is registered")
    match command:
        case IssueToken(sha256=sha256, by=by):
            if state.status == "revoked":
                raise Conflict(f"initiator {name!r} is revoked, for ever")
            if token_id(sha256) in state.tokens:
                return []
            return [TokenIssued(at=at, token_id=token_id(sha256), sha256=sha256, by=by)]
        case RevokeToken(token_id=which, reason=reason, by=by):
            if which not in state.tokens:
                raise Conflict(f"initiator {name!r} has no valid token {which!r}")
            return [TokenRevoked(at=at, token_id=which, reason=reason, by=by)]
        case Revoke(reason=reason, by=by):
            return [] if state.status == "revoked" else [InitiatorRevoked(at=at, reason=reason, by=by)]
