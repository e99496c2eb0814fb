"""The voter: a program, a model or a person that judges. An aggregate of the directory; its events, and their fold."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from magi.domain.clock import milliseconds
from magi.domain.event import Event
from magi.domain.panel import DEFAULT_GROUP, VoterStatus
from magi.domain.tokens import Token, vote_scope

VoterKind = Literal["builtin", "nats", "websocket", "http", "llm", "command", "person"]
"""How it is reached: in MAGI itself, on the bus, by WebSocket, by a webhook, as a language model, as an executable, or
at a terminal."""

CAPACITY = 8
"""Tasks that an instance has open at once, unless its registration says otherwise."""
MAX_ATTEMPTS = 3

# --- Events: their fields are the storage format. Only add fields, with defaults. -------------------------------------


class VoterRegistered(Event, frozen=True, kw_only=True, tag="voter_registered"):
    voter_id: str
    kind: VoterKind
    description: str = ""
    group: str = DEFAULT_GROUP
    public_key: str = ""
    """The nkey that its connections to NATS prove; empty for a voter that has no such connections."""
    weight: float = 1.0
    """What its vote counts under the strategy `weighted`, for requests that name no weights."""
    capacity: int = CAPACITY
    """The most tasks that one instance has open."""
    max_attempts: int = MAX_ATTEMPTS
    """How often a task is given to it, after failures and dropped connections."""
    settings: dict[str, Any] = {}
    """What its kind needs: a URL, a model, a command. Never a secret."""
    by: str
    """Who did it."""


class VoterChanged(Event, frozen=True, kw_only=True, tag="voter_changed", omit_defaults=True):
    """Fields that are None stay as they were."""

    description: str | None = None
    group: str | None = None
    weight: float | None = None
    capacity: int | None = None
    max_attempts: int | None = None
    settings: dict[str, Any] | None = None
    reason: str = ""
    by: str


class VoterKeyChanged(Event, frozen=True, kw_only=True, tag="voter_key_changed"):
    """Its nkey is another one from now on: the old one was lost, or may have been seen."""

    public_key: str
    reason: str = ""
    by: str


class VoterTokenIssued(Event, frozen=True, kw_only=True, tag="voter_token_issued"):
    token_id: str
    """Names the token without telling it: the first 12 characters of its hash."""
    sha256: str
    scopes: tuple[str, ...] = ()
    """What it is good for; none: the votes of this voter."""
    expires: str = ""
    """RFC 3339; empty: never."""
    by: str


class VoterTokenExpires(Event, frozen=True, kw_only=True, tag="voter_token_expires"):
    """A token that is valid has an end from now on, or an earlier one: another takes its place."""

    token_id: str
    expires: str
    """RFC 3339."""
    reason: str = ""
    by: str


class VoterTokenRevoked(Event, frozen=True, kw_only=True, tag="voter_token_revoked"):
    token_id: str
    reason: str = ""
    by: str


class VoterSuspended(Event, frozen=True, kw_only=True, tag="voter_suspended"):
    reason: str = ""
    until: str = ""
    """RFC 3339: when it is tried again with probes; empty: when somebody reinstates it."""
    ejections: int = 0
    """How often in a row it was suspended for not answering; 0 when a person did it."""
    by: str


class VoterOnProbation(Event, frozen=True, kw_only=True, tag="voter_on_probation"):
    """Its time out is over, and it is tried: it got a task whose vote doesn't count."""

    reason: str = ""
    by: str


class VoterKept(Event, frozen=True, kw_only=True, tag="voter_kept"):
    """It doesn't answer, and stays in service all the same: without it there would be too few."""

    reason: str = ""
    by: str


class VoterReinstated(Event, frozen=True, kw_only=True, tag="voter_reinstated"):
    reason: str = ""
    by: str


class VoterRevoked(Event, frozen=True, kw_only=True, tag="voter_revoked"):
    reason: str = ""
    by: str


VoterEvent = (
    VoterRegistered
    | VoterChanged
    | VoterKeyChanged
    | VoterTokenIssued
    | VoterTokenExpires
    | VoterTokenRevoked
    | VoterSuspended
    | VoterOnProbation
    | VoterKept
    | VoterReinstated
    | VoterRevoked
)

# --- Fold -------------------------------------------------------------------------------------------------------------


class Voter(Struct, frozen=True):
    version: int = 0
    voter_id: str = ""
    kind: VoterKind = "nats"
    description: str = ""
    group: str = DEFAULT_GROUP
    public_key: str = ""
    weight: float = 1.0
    capacity: int = CAPACITY
    max_attempts: int = MAX_ATTEMPTS
    settings: dict[str, Any] = {}
    tokens: dict[str, Token] = {}
    """Those that are not revoked, by their ids; some may have expired."""
    status: VoterStatus = "active"
    since: str = ""
    """When it got its status, RFC 3339."""
    reason: str = ""
    """Why it has its status."""
    until: str = ""
    """When a suspended voter is tried again, RFC 3339; empty: only when somebody reinstates it."""
    ejections: int = 0
    """How often in a row it was suspended for not answering."""
    tried: bool = False
    """Whether it is tried with probes, since it was suspended last."""
    kept: str = ""
    """When it was last kept in service although it didn't answer, RFC 3339; empty: not since it got its status."""

    def on_probation(self, now: int) -> bool:
        """Whether it is suspended and to be tried, at `now` (milliseconds since 1970)."""
        return self.status == "suspended" and bool(self.until) and now >= milliseconds(self.until)


INITIAL = Voter()


def evolve(state: Voter, event: VoterEvent) -> Voter:
    """The state after `event`. Total: knows every event type that was ever stored."""
    replace = msgspec.structs.replace
    state = replace(state, version=state.version + 1)
    match event:
        case VoterRegistered():
            return replace(
                state,
                voter_id=event.voter_id,
                kind=event.kind,
                description=event.description,
                group=event.group,
                public_key=event.public_key,
                weight=event.weight,
                capacity=event.capacity,
                max_attempts=event.max_attempts,
                settings=event.settings,
                status="active",
                since=event.at,
            )
        case VoterChanged():
            fields = ("description", "group", "weight", "capacity", "max_attempts", "settings")
            given = {name: getattr(event, name) for name in fields}
            return replace(state, **{name: value for name, value in given.items() if value is not None})
        case VoterKeyChanged(public_key=key):
            return replace(state, public_key=key)
        case VoterTokenIssued():
            token = Token(event.sha256, event.scopes or (vote_scope(state.voter_id),), event.expires, event.at)
            return replace(state, tokens={**state.tokens, event.token_id: token})
        case VoterTokenExpires(token_id=which, expires=expires):
            tokens = {i: replace(t, expires=expires) if i == which else t for i, t in state.tokens.items()}
            return replace(state, tokens=tokens)
        case VoterTokenRevoked(token_id=revoked):
            return replace(state, tokens={i: h for i, h in state.tokens.items() if i != revoked})
        case VoterOnProbation():
            return replace(state, tried=True)
        case VoterKept():
            return replace(state, kept=event.at)
        case VoterSuspended():
            ejections = event.ejections or state.ejections
            state = replace(state, status="suspended", reason=event.reason, until=event.until, ejections=ejections)
        case VoterReinstated(reason=reason):
            state = replace(state, status="active", reason=reason, until="")
        case VoterRevoked(reason=reason):
            state = replace(state, status="revoked", reason=reason, until="", tokens={})
    return replace(state, since=event.at, tried=False, kept="")
