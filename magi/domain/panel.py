"""Panel choice: which voters judge a request, from a snapshot of the directory."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from magi.domain.errors import InvalidMessage, NoVoters, UnknownVoter, VoterUnavailable
from magi.domain.ids import VoterId

VoterStatus = Literal["active", "suspended", "revoked"]
DEFAULT_GROUP = "default"


class Candidate(Struct, frozen=True):
    """What panel choice needs to know of a voter."""

    status: VoterStatus
    group: str = DEFAULT_GROUP
    load: int = 0
    """How many tasks it has open."""


class Snapshot(Struct, frozen=True):
    """The voters as they were when a submission was decided on."""

    voters: Mapping[VoterId, Candidate]
    panel_size: int = 5
    """The most voters of a panel that nobody named."""
    group: str = DEFAULT_GROUP


def choose_panel(named: Sequence[str], snapshot: Snapshot) -> tuple[VoterId, ...]:
    """The voters named, or else the active ones of the default group, least loaded first, at most `panel_size`.

    Raises UnknownVoter, VoterUnavailable or InvalidMessage (a voter named twice) for a named panel, NoVoters when there
    is nobody to choose.
    """
    if named:
        return _named_panel(named, snapshot.voters)
    able = [(v.load, i) for i, v in snapshot.voters.items() if v.status == "active" and v.group == snapshot.group]
    chosen = sorted(able)[: max(snapshot.panel_size, 0)]
    if not chosen:
        raise NoVoters(f"no panel can be formed: no voter of the group {snapshot.group!r} is active")
    return tuple(sorted(voter for _, voter in chosen))


def _named_panel(named: Sequence[str], voters: Mapping[VoterId, Candidate]) -> tuple[VoterId, ...]:
    panel: list[VoterId] = []
    for name in named:
        voter = VoterId(name)
        if voter not in voters:
            raise UnknownVoter(f"no voter named {name[:80]!r} is registered")
        if voters[voter].status != "active":
            raise VoterUnavailable(f"voter {name!r} is {voters[voter].status}")
        if voter in panel:
            raise InvalidMessage(f"voter_list: {name!r} is named twice")
        panel.append(voter)
    return tuple(panel)
