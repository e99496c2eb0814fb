"""The directory's events to rows: what is known of each voter. Pure."""

from collections.abc import Iterable

from magi.domain import voter as voters
from magi.domain.directory import DirectoryEvent
from magi.domain.voter import Voter, VoterEvent
from magi.projections.errors import CannotApply
from magi.projections.fold import moment
from magi.projections.rows import DirectoryVoter
from magi.projections.text import clean


class DirectoryFold:
    """Takes events in the directory's order. Of those that are stored together all are folded in; or CannotApply is
    raised, and nothing has changed."""

    def __init__(self, known: Iterable[tuple[str, Voter]] = ()) -> None:
        self.voters: dict[str, Voter] = dict(known)
        self._changed: set[str] = set()

    def take(self) -> list[DirectoryVoter]:
        """The rows that changed since the last time."""
        changed, self._changed = self._changed, set()
        return [_row(name, self.voters[name]) for name in sorted(changed)]

    def apply(self, aggregate: str, *events: DirectoryEvent) -> None:
        """Fold in the events that are stored together. Those of initiators lead to no row. Raises CannotApply."""
        kind, _, name = aggregate.partition(".")
        before = voter = self.voters.get(name, voters.INITIAL)
        for event in events:
            if event.originator_id != aggregate:
                raise CannotApply(f"it says that it belongs to {event.originator_id[:120]!r}")
            if not isinstance(event, VoterEvent):
                continue
            if kind != "voter":
                raise CannotApply(f"a voter's event on the subject of {aggregate[:120]!r}")
            if event.originator_version != voter.version + 1:
                raise CannotApply(f"version: expected {voter.version + 1}, got {event.originator_version}")
            moment(event.at)
            voter = voters.evolve(voter, event)
        if voter is not before:
            self.voters[name] = voter
            self._changed.add(name)


def _row(name: str, voter: Voter) -> DirectoryVoter:
    return DirectoryVoter(
        name,
        voter.version,
        voter.kind,
        clean(voter.description),
        clean(voter.group),
        clean(voter.public_key),
        voter.status,
        voter.since,
        clean(voter.reason),
    )
