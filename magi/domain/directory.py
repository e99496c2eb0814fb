"""The directory: every voter, panel template and initiator, folded from their events. What panel choice and
authentication look at."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from magi.domain import initiator as initiators
from magi.domain import template as templates
from magi.domain import voter as voters
from magi.domain.ids import InitiatorId, VoterId
from magi.domain.initiator import Initiator, InitiatorEvent
from magi.domain.operations import OperatorActed
from magi.domain.panel import DEFAULT_GROUP, Candidate, Snapshot
from magi.domain.template import Template, TemplateEvent
from magi.domain.tokens import Token
from magi.domain.voter import Voter, VoterEvent

DirectoryEvent = VoterEvent | InitiatorEvent | TemplateEvent | OperatorActed


class Principal(Struct, frozen=True):
    """The Initiator whom a token names."""

    initiator_id: InitiatorId
    token_id: str


class VoterPrincipal(Struct, frozen=True):
    """The voter whom a token names."""

    voter_id: VoterId
    token_id: str


def _is_next(event: DirectoryEvent, version: int) -> bool:
    if event.originator_version > version + 1:
        raise ValueError(f"{event.originator_id}: expected version {version + 1}, got {event.originator_version}")
    return event.originator_version == version + 1


class Directory:
    """A copy of the directory that is kept up to date by applying its events in the order of the stream."""

    def __init__(self) -> None:
        self.voters: dict[VoterId, Voter] = {}
        self.initiators: dict[InitiatorId, Initiator] = {}
        self.templates: dict[str, Template] = {}
        """The panel templates, removed ones too, by name."""
        self._tokens: dict[str, Principal | VoterPrincipal] = {}
        """Whom each valid token names, by its SHA-256."""

    def apply(self, event: DirectoryEvent) -> None:
        """Take in the next event of an aggregate. Events that were seen already change nothing.

        Raises ValueError when events before it were missed: one of them could have revoked a token.
        """
        if isinstance(event, OperatorActed):
            return
        _, _, name = event.originator_id.partition(".")
        if isinstance(event, VoterEvent):
            voter = self.voters.get(VoterId(name), voters.INITIAL)
            if _is_next(event, voter.version):
                became = voters.evolve(voter, event)
                self.voters[VoterId(name)] = became
                self._index_tokens(lambda token: VoterPrincipal(VoterId(name), token), voter.tokens, became.tokens)
            return
        if isinstance(event, TemplateEvent):
            template = self.templates.get(name, templates.INITIAL)
            if _is_next(event, template.version):
                self.templates[name] = templates.evolve(template, event)
            return
        known = self.initiators.get(InitiatorId(name), initiators.INITIAL)
        if _is_next(event, known.version):
            now = initiators.evolve(known, event)
            self.initiators[InitiatorId(name)] = now
            self._index_tokens(lambda token: Principal(InitiatorId(name), token), known.tokens, now.tokens)

    def _index_tokens(
        self, named: Callable[[str], Principal | VoterPrincipal], before: Mapping[str, Token], now: Mapping[str, Token]
    ) -> None:
        for name, token in before.items():
            # Only its own: should two initiators ever hold the same token, revoking one must not revoke the other.
            if name not in now and self._tokens.get(token.sha256) == named(name):
                del self._tokens[token.sha256]
        for name, token in now.items():
            if name not in before:
                self._tokens[token.sha256] = named(name)

    def authenticate(self, token_hash: str) -> Principal | None:
        """The Initiator whom a token (its SHA-256) names, or None when it is unknown or revoked. Says nothing about its
        having expired, as the next two: `token` does."""
        found = self._tokens.get(token_hash)
        return found if isinstance(found, Principal) else None

    def authenticate_voter(self, token_hash: str) -> VoterPrincipal | None:
        """The voter whom a token (its SHA-256) names, or None when it is unknown or revoked."""
        found = self._tokens.get(token_hash)
        return found if isinstance(found, VoterPrincipal) else None

    def token(self, principal: Principal | VoterPrincipal) -> Token | None:
        """What is kept of the token that a connection was opened with; None when it was revoked."""
        if isinstance(principal, VoterPrincipal):
            voter = self.voters.get(principal.voter_id)
            return voter.tokens.get(principal.token_id) if voter else None
        initiator = self.initiators.get(principal.initiator_id)
        return initiator.tokens.get(principal.token_id) if initiator else None

    def is_valid(self, principal: Principal | VoterPrincipal) -> bool:
        """Whether the token that a connection was opened with has not been revoked."""
        return self.token(principal) is not None

    def admits(self, principal: Principal | VoterPrincipal, now: int) -> bool:
        """Whether that token has neither been revoked nor expired at `now`, milliseconds since 1970."""
        token = self.token(principal)
        return token is not None and not token.has_expired(now)

    def snapshot(
        self, load: Mapping[VoterId, int], panel_size: int, group: str = DEFAULT_GROUP, default_panel: str = ""
    ) -> Snapshot:
        """What panel choice needs: the voters as they are now, with the number of tasks that each has open, and the
        templates. `default_panel` names that of requests that ask for none."""
        candidates = {i: Candidate(v.status, v.group, load.get(i, 0), v.weight) for i, v in self.voters.items()}
        members = {name: template.members for name, template in self.templates.items() if template.members}
        return Snapshot(candidates, panel_size, group, members, default_panel)
