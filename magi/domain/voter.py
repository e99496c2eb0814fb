"""The voter: a program, a model or a person that judges. An aggregate of the directory."""

from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct

from magi.domain.clock import rfc3339
from magi.domain.errors import Conflict, UnknownVoter
from magi.domain.event import Event
from magi.domain.ids import check_name
from magi.domain.panel import DEFAULT_GROUP, VoterStatus

# --- Events -----------------------------------------------------------------------------------------------------------

VoterKind = Literal["builtin", "nats"]


class VoterRegistered(Event, frozen=True, kw_only=True, tag="voter_registered"):
    voter_id: str
    kind: VoterKind
    description: str = ""
    group: str = DEFAULT_GROUP
    public_key: str = ""
    """The nkey that its connections to NATS prove; empty for a voter that runs inside MAGI."""
    by: str
    """Who did it."""


class VoterSuspended(Event, frozen=True, kw_only=True, tag="voter_suspended"):
    reason: str = ""
    by: str


class VoterReinstated(Event, frozen=True, kw_only=True, tag="voter_reinstated"):
    reason: str = ""
    by: str


class VoterRevoked(Event, frozen=True, kw_only=True, tag="voter_revoked"):
    reason: str = ""
    by: str


VoterEvent = VoterRegistered | VoterSuspended | VoterReinstated | VoterRevoked

# --- Fold -------------------------------------------------------------------------------------------------------------


class Voter(Struct, frozen=True):
    version: int = 0
    voter_id: str = ""
    kind: VoterKind = "nats"
    description: str = ""
    group: str = DEFAULT_GROUP
    public_key: str = ""
    status: VoterStatus = "active"
    since: str = ""
    """When it got its status, RFC 3339."""
    reason: str = ""


INITIAL = Voter()


def evolve(state: Voter, event: VoterEvent) -> Voter:
    state = msgspec.structs.replace(state, version=state.version + 1, since=event.at)
    match event:
        case VoterRegistered():
            return msgspec.structs.replace(
                state,
                voter_id=event.voter_id,
                kind=event.kind,
                description=event.description,
                group=event.group,
                public_key=event.public_key,
                status="active",
            )
        case VoterSuspended(reason=reason):
            return msgspec.structs.replace(state, status="suspended", reason=reason)
        case VoterReinstated(reason=reason):
            return msgspec.structs.replace(state, status="active", reason=reason)
        case VoterRevoked(reason=reason):
            return msgspec.structs.replace(state, status="revoked", reason=reason)


# --- Decisions --------------------------------------------------------------------------------------------------------


class Register(NamedTuple):
    voter_id: str
    kind: VoterKind
    description: str
    group: str
    public_key: str
    by: str
    now: int


class Suspend(NamedTuple):
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


VoterCommand = Register | Suspend | Reinstate | Revoke


def decide(state: Voter, command: VoterCommand) -> list[VoterEvent]:
    """The events that `command` leads to; none when the voter is in that state already.

    Raises Conflict when the state forbids it, UnknownVoter when there is no such voter, InvalidMessage for a new voter
    whose id can't be one.
    """
    at = rfc3339(command.now)
    if isinstance(command, Register):
        check_name(command.voter_id, "voter_id")
        if state.version:
            raise Conflict(f"voter {command.voter_id!r} is registered already, and {state.status}")
        return [
            VoterRegistered(
                at=at,
                voter_id=command.voter_id,
                kind=command.kind,
                description=command.description,
                group=command.group,
                public_key=command.public_key,
                by=command.by,
            )
        ]
    if not state.version:
        raise UnknownVoter(f"no voter named {command.voter_id!r} is registered")
    if state.status == "revoked" and not isinstance(command, Revoke):
        raise Conflict(f"voter {command.voter_id!r} is revoked, for ever")
    match command:
        case Suspend(reason=reason, by=by) if state.status != "suspended":
            return [VoterSuspended(at=at, reason=reason, by=by)]
        case Reinstate(reason=reason, by=by) if state.status != "active":
            return [VoterReinstated(at=at, reason=reason, by=by)]
        case Revoke(reason=reason, by=by) if state.status != "revoked":
            return [VoterRevoked(at=at, reason=reason, by=by)]
    return []
