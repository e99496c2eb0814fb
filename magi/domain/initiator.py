"""The Initiator: an agent or a service that submits. An aggregate of the directory; its tokens are stored as hashes."""

import math
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from magi.domain.clock import rfc3339
from magi.domain.errors import Conflict, InvalidMessage
from magi.domain.event import Event
from magi.domain.ids import check_name
from magi.domain.tokens import INITIATE, Token, check_expiry, check_initiator_scopes, token_id

AS_DEFAULT = -1
"""In place of a quota: that of the gateway's settings again."""
NO_QUOTA = 0

# --- Events: their fields are the storage format. Only add fields, with defaults. -------------------------------------


class InitiatorRegistered(Event, frozen=True, kw_only=True, tag="initiator_registered"):
    initiator_id: str
    description: str = ""
    by: str


class InitiatorChanged(Event, frozen=True, kw_only=True, tag="initiator_changed", omit_defaults=True):
    """Fields that are None stay as they were. A quota may be `AS_DEFAULT` or `NO_QUOTA`."""

    description: str | None = None
    requests_per_second: float | None = None
    open_requests: int | None = None
    connections: int | None = None
    reason: str = ""
    by: str


class TokenIssued(Event, frozen=True, kw_only=True, tag="token_issued"):
    token_id: str
    """Names the token without telling it: the first 12 characters of its hash."""
    sha256: str
    scopes: tuple[str, ...] = (INITIATE,)
    """What it is good for. Tokens of before there were scopes may do all that there was to be done."""
    expires: str = ""
    """RFC 3339; empty: never."""
    by: str


class TokenExpires(Event, frozen=True, kw_only=True, tag="token_expires"):
    """A token that is valid has an end from now on, or an earlier one: another takes its place."""

    token_id: str
    expires: str
    """RFC 3339."""
    reason: str = ""
    by: str


class TokenRevoked(Event, frozen=True, kw_only=True, tag="token_revoked"):
    token_id: str
    reason: str = ""
    by: str


class InitiatorRevoked(Event, frozen=True, kw_only=True, tag="initiator_revoked"):
    reason: str = ""
    by: str


InitiatorEvent = InitiatorRegistered | InitiatorChanged | TokenIssued | TokenExpires | TokenRevoked | InitiatorRevoked

# --- Fold -------------------------------------------------------------------------------------------------------------


class Quotas(Struct, frozen=True):
    """What an Initiator may use of all gateways together; `NO_QUOTA`: what it likes, None: as the settings say."""

    requests_per_second: float | None = None
    open_requests: int | None = None
    """Submitted, and without a verdict."""
    connections: int | None = None


class Initiator(Struct, frozen=True):
    version: int = 0
    initiator_id: str = ""
    description: str = ""
    status: Literal["active", "revoked"] = "active"
    registered_at: str = ""
    tokens: dict[str, Token] = {}
    """Those that are not revoked, by their ids; some may have expired."""
    quotas: Quotas = Quotas()


INITIAL = Initiator()


def evolve(state: Initiator, event: InitiatorEvent) -> Initiator:
    replace = msgspec.structs.replace
    state = replace(state, version=state.version + 1)
    match event:
        case InitiatorRegistered():
            return replace(
                state, initiator_id=event.initiator_id, description=event.description, registered_at=event.at
            )
        case InitiatorChanged(description=description):
            quotas = _quotas(state.quotas, event)
            return replace(state, quotas=quotas, description=state.description if description is None else description)
        case TokenIssued():
            token = Token(event.sha256, event.scopes, event.expires, event.at)
            return replace(state, tokens={**state.tokens, event.token_id: token})
        case TokenExpires(token_id=which, expires=expires):
            tokens = {i: replace(t, expires=expires) if i == which else t for i, t in state.tokens.items()}
            return replace(state, tokens=tokens)
        case TokenRevoked(token_id=revoked):
            return replace(state, tokens={i: h for i, h in state.tokens.items() if i != revoked})
        case InitiatorRevoked():
            return replace(state, status="revoked", tokens={})


def _quotas(before: Quotas, event: InitiatorChanged) -> Quotas:
    given = {name: getattr(event, name) for name in Quotas.__struct_fields__}
    changed = {name: value for name, value in given.items() if value is not None}
    return msgspec.structs.replace(before, **{n: None if v == AS_DEFAULT else v for n, v in changed.items()})


# --- Decisions --------------------------------------------------------------------------------------------------------


class Register(NamedTuple):
    initiator_id: str
    description: str
    by: str
    now: int


class Change(NamedTuple):
    """Fields that are None stay as they are; a quota may be `AS_DEFAULT` or `NO_QUOTA`."""

    initiator_id: str
    by: str
    now: int
    reason: str = ""
    description: str | None = None
    requests_per_second: float | None = None
    open_requests: int | None = None
    connections: int | None = None


class IssueToken(NamedTuple):
    initiator_id: str
    sha256: str
    by: str
    now: int
    scopes: tuple[str, ...] = (INITIATE,)
    expires: str = ""
    """RFC 3339; empty: never."""


class RotateTokens(NamedTuple):
    """A new token takes the place of those with the same scopes, which expire once there was time to deploy it."""

    initiator_id: str
    sha256: str
    until: int
    """When the others expire that would not before, milliseconds since 1970."""
    reason: str
    by: str
    now: int
    scopes: tuple[str, ...] = (INITIATE,)
    expires: str = ""
    """When the new one does, RFC 3339; empty: never."""


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


InitiatorCommand = Register | Change | IssueToken | RotateTokens | RevokeToken | Revoke


def decide(state: Initiator, command: InitiatorCommand) -> list[InitiatorEvent]:
    """The events that `command` leads to; none when the initiator is revoked, or the token issued, already.

    Raises Conflict when the state forbids it, or holds no such initiator or token; InvalidMessage for a value that
    can't be, naming the field.
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
        case Change():
            return _change(state, command)
        case IssueToken() | RotateTokens():
            return _issue(state, command)
        case RevokeToken(token_id=which, reason=reason, by=by):
            if which not in state.tokens:
                raise Conflict(f"initiator {name!r} has no valid token {which!r}")
            return [TokenRevoked(at=at, token_id=which, reason=reason, by=by)]
        case Revoke(reason=reason, by=by):
            return [] if state.status == "revoked" else [InitiatorRevoked(at=at, reason=reason, by=by)]


def _change(state: Initiator, command: Change) -> list[InitiatorEvent]:
    if state.status == "revoked":
        raise Conflict(f"initiator {command.initiator_id!r} is revoked, for ever")
    quotas = {name: getattr(command, name) for name in Quotas.__struct_fields__}
    for name, value in quotas.items():
        if value is not None and value != AS_DEFAULT and not (value >= 0 and math.isfinite(value)):
            raise InvalidMessage(f"{name}: expected 0 or more, got {value:g}")
    event = InitiatorChanged(
        at=rfc3339(command.now), description=command.description, reason=command.reason, by=command.by, **quotas
    )
    after = evolve(state, event)
    return [event] if (after.description, after.quotas) != (state.description, state.quotas) else []


def _issue(state: Initiator, command: IssueToken | RotateTokens) -> list[InitiatorEvent]:
    if state.status == "revoked":
        raise Conflict(f"initiator {command.initiator_id!r} is revoked, for ever")
    new = token_id(command.sha256)
    if new in state.tokens:
        return []
    at, by = rfc3339(command.now), command.by
    scopes, expires = check_initiator_scopes(command.scopes), check_expiry(command.expires, command.now)
    events: list[InitiatorEvent] = [
        TokenIssued(at=at, token_id=new, sha256=command.sha256, scopes=scopes, expires=expires, by=by)
    ]
    if isinstance(command, RotateTokens):
        until = rfc3339(command.until)
        events += [
            TokenExpires(at=at, token_id=old, expires=until, reason=command.reason, by=by)
            for old, token in state.tokens.items()
            if token.scopes == scopes and not token.has_expired(command.until)
        ]
    return events
