"""What can be done with a voter: commands, and the events that each leads to."""

from typing import Any, NamedTuple

from magi.domain.clock import milliseconds, rfc3339
from magi.domain.errors import Conflict, InvalidMessage, UnknownVoter
from magi.domain.ids import check_name
from magi.domain.tokens import check_expiry, token_id, vote_scope
from magi.domain.voter import (
    CAPACITY,
    MAX_ATTEMPTS,
    Voter,
    VoterChanged,
    VoterEvent,
    VoterKept,
    VoterKeyChanged,
    VoterKind,
    VoterOnProbation,
    VoterRegistered,
    VoterReinstated,
    VoterRevoked,
    VoterSuspended,
    VoterTokenExpires,
    VoterTokenIssued,
    VoterTokenRevoked,
)

MOST_CAPACITY = 1024
MOST_ATTEMPTS = 100
MOST_WEIGHT = 1_000_000.0

FIRST_EJECTION = 30_000
"""Milliseconds that a voter is out the first time that it doesn't answer; each time in a row twice as long."""
LONGEST_EJECTION = 600_000
"""… at most."""
FORGIVEN_AFTER = 600_000
"""Milliseconds in service after which earlier ejections are forgotten."""
KEPT_AGAIN = 600_000
"""Milliseconds after which it is said once more that a voter is only kept for lack of others."""


class Register(NamedTuple):
    voter_id: str
    kind: VoterKind
    description: str
    group: str
    public_key: str
    by: str
    now: int
    """Milliseconds since 1970, as in all commands."""
    weight: float = 1.0
    capacity: int = CAPACITY
    max_attempts: int = MAX_ATTEMPTS
    settings: dict[str, Any] = {}


class Change(NamedTuple):
    """Fields that are None stay as they are."""

    voter_id: str
    by: str
    now: int
    reason: str = ""
    description: str | None = None
    group: str | None = None
    weight: float | None = None
    capacity: int | None = None
    max_attempts: int | None = None
    settings: dict[str, Any] | None = None


class ChangeKey(NamedTuple):
    voter_id: str
    public_key: str
    reason: str
    by: str
    now: int


class IssueToken(NamedTuple):
    voter_id: str
    sha256: str
    by: str
    now: int
    expires: str = ""
    """RFC 3339; empty: never."""


class RotateTokens(NamedTuple):
    """A new token takes the place of all others, which expire once there was time to deploy it."""

    voter_id: str
    sha256: str
    until: int
    """When the others expire that would not before."""
    reason: str
    by: str
    now: int
    expires: str = ""
    """When the new one does, RFC 3339; empty: never."""


class RevokeToken(NamedTuple):
    voter_id: str
    token_id: str
    reason: str
    by: str
    now: int


class Suspend(NamedTuple):
    """Until somebody reinstates it."""

    voter_id: str
    reason: str
    by: str
    now: int


class Eject(NamedTuple):
    """It doesn't answer: out for a while that doubles each time in a row, then it is tried again."""

    voter_id: str
    reason: str
    by: str
    now: int
    first: int = FIRST_EJECTION
    longest: int = LONGEST_EJECTION


class BeginProbation(NamedTuple):
    """Its time out is over, and it has a task whose vote doesn't count."""

    voter_id: str
    reason: str
    by: str
    now: int


class Keep(NamedTuple):
    """It doesn't answer, and must stay all the same: there would be too few without it."""

    voter_id: str
    reason: str
    by: str
    now: int


class Recover(NamedTuple):
    """It answered when it was tried."""

    voter_id: str
    reason: str
    by: str
    now: int


class Reinstate(NamedTuple):
    voter_id: str
    reason: str
    by: str
    now: int


class Revoke(NamedTuple):
    """For ever: a revoked id is never given to another voter, its history stays its own."""

    voter_id: str
    reason: str
    by: str
    now: int


VoterCommand = (
    Register
    | Change
    | ChangeKey
    | IssueToken
    | RotateTokens
    | RevokeToken
    | Suspend
    | Eject
    | BeginProbation
    | Keep
    | Recover
    | Reinstate
    | Revoke
)


def decide(state: Voter, command: VoterCommand) -> list[VoterEvent]:
    """The events that `command` leads to; none when the voter is in that state already.

    Raises Conflict when the state forbids it, UnknownVoter when there is no such voter, InvalidMessage for a value that
    can't be, naming the field.
    """
    if isinstance(command, Register):
        return [_register(state, command)]
    if not state.version:
        raise UnknownVoter(f"no voter named {command.voter_id!r} is registered")
    if state.status == "revoked":
        if isinstance(command, Revoke):
            return []
        raise Conflict(f"voter {command.voter_id!r} is revoked, for ever")
    at = rfc3339(command.now)
    match command:
        case Change():
            return _change(state, command)
        case ChangeKey(public_key=key, reason=reason, by=by) if key != state.public_key:
            if state.kind != "nats":
                raise Conflict(f"voter {command.voter_id!r} is of the kind {state.kind}: it has no key")
            return [VoterKeyChanged(at=at, public_key=key, reason=reason, by=by)]
        case IssueToken() | RotateTokens():
            return _issue(state, command)
        case RevokeToken(token_id=which, reason=reason, by=by):
            if which not in state.tokens:
                raise Conflict(f"voter {command.voter_id!r} has no valid token {which!r}")
            return [VoterTokenRevoked(at=at, token_id=which, reason=reason, by=by)]
        case Suspend(reason=reason, by=by) if state.status == "active" or state.until:
            return [VoterSuspended(at=at, reason=reason, by=by)]
        case Eject():
            return _eject(state, command)
        case BeginProbation(reason=reason, by=by, now=now) if state.on_probation(now) and not state.tried:
            return [VoterOnProbation(at=at, reason=reason, by=by)]
        case Keep(reason=reason, by=by, now=now) if state.status == "active":
            if not state.kept or now - milliseconds(state.kept) > KEPT_AGAIN:
                return [VoterKept(at=at, reason=reason, by=by)]
        case Recover(reason=reason, by=by, now=now) if state.on_probation(now):
            return [VoterReinstated(at=at, reason=reason, by=by)]
        case Reinstate(reason=reason, by=by) if state.status == "suspended":
            return [VoterReinstated(at=at, reason=reason, by=by)]
        case Revoke(reason=reason, by=by):
            return [VoterRevoked(at=at, reason=reason, by=by)]
    return []


def _register(state: Voter, command: Register) -> VoterRegistered:
    check_name(command.voter_id, "voter_id")
    if state.version:
        raise Conflict(f"voter {command.voter_id!r} is registered already, and {state.status}")
    check_name(command.group, "group")
    _check_numbers(command.weight, command.capacity, command.max_attempts)
    return VoterRegistered(
        at=rfc3339(command.now),
        voter_id=command.voter_id,
        kind=command.kind,
        description=command.description,
        group=command.group,
        public_key=command.public_key,
        weight=command.weight,
        capacity=command.capacity,
        max_attempts=command.max_attempts,
        settings=command.settings,
        by=command.by,
    )


def _change(state: Voter, command: Change) -> list[VoterEvent]:
    if command.group is not None:
        check_name(command.group, "group")
    _check_numbers(command.weight, command.capacity, command.max_attempts)
    fields = ("description", "group", "weight", "capacity", "max_attempts", "settings")
    given = {name: getattr(command, name) for name in fields}
    new = {name: value for name, value in given.items() if value is not None and value != getattr(state, name)}
    if not new:
        return []
    return [VoterChanged(at=rfc3339(command.now), reason=command.reason, by=command.by, **new)]


def _issue(state: Voter, command: IssueToken | RotateTokens) -> list[VoterEvent]:
    new = token_id(command.sha256)
    if new in state.tokens:
        return []
    if state.kind not in ("websocket", "person"):
        raise Conflict(f"voter {command.voter_id!r} is of the kind {state.kind}: it needs no token")
    at, by, scopes = rfc3339(command.now), command.by, (vote_scope(command.voter_id),)
    expires = check_expiry(command.expires, command.now)
    events: list[VoterEvent] = [
        VoterTokenIssued(at=at, token_id=new, sha256=command.sha256, scopes=scopes, expires=expires, by=by)
    ]
    if isinstance(command, RotateTokens):
        until = rfc3339(command.until)
        events += [
            VoterTokenExpires(at=at, token_id=old, expires=until, reason=command.reason, by=by)
            for old, token in state.tokens.items()
            if not token.has_expired(command.until)
        ]
    return events


def _eject(state: Voter, command: Eject) -> list[VoterEvent]:
    """Nothing when it is out already, by hand or until a time that has not come."""
    if state.status == "suspended" and not state.on_probation(command.now):
        return []
    forgiven = state.status == "active" and command.now - milliseconds(state.since) > FORGIVEN_AFTER
    ejections = 1 if forgiven else state.ejections + 1
    out = min(command.first * 2 ** min(ejections - 1, 30), command.longest)
    suspended = VoterSuspended(
        at=rfc3339(command.now),
        reason=command.reason,
        until=rfc3339(command.now + out),
        ejections=ejections,
        by=command.by,
    )
    return [suspended]


def _check_numbers(weight: float | None, capacity: int | None, max_attempts: int | None) -> None:
    if weight is not None and not 0 <= weight <= MOST_WEIGHT:
        raise InvalidMessage(f"weight: expected 0 to {MOST_WEIGHT:g}, got {weight:g}")
    if capacity is not None and not 1 <= capacity <= MOST_CAPACITY:
        raise InvalidMessage(f"capacity: expected 1 to {MOST_CAPACITY}, got {capacity}")
    if max_attempts is not None and not 1 <= max_attempts <= MOST_ATTEMPTS:
        raise InvalidMessage(f"max_attempts: expected 1 to {MOST_ATTEMPTS}, got {max_attempts}")
