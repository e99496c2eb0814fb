"""Panel choice: which voters judge a request, from a snapshot of the directory."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from magi.domain.errors import InvalidMessage, NoVoters, UnknownVoter, VoterUnavailable
from magi.domain.ids import VoterId
from magi.domain.slots import NamedVoter, Slot, parse_slots

VoterStatus = Literal["active", "suspended", "revoked"]
DEFAULT_GROUP = "default"


class Candidate(Struct, frozen=True):
    """What panel choice needs to know of a voter."""

    status: VoterStatus
    group: str = DEFAULT_GROUP
    load: int = 0
    """How many tasks it has open."""
    weight: float = 1.0
    """What its vote counts under the strategy `weighted`, for requests that name no weights."""


class Snapshot(Struct, frozen=True):
    """The voters as they were when a submission was decided on."""

    voters: Mapping[VoterId, Candidate]
    panel_size: int = 5
    """The most voters of a panel that nobody named."""
    group: str = DEFAULT_GROUP
    """Where such a panel's voters are from, when there is no default template."""
    templates: Mapping[str, tuple[str, ...]] = {}
    """The members of each panel template, by its name."""
    default: str = ""
    """The template of requests that name neither voters nor a panel; empty: the group."""


def choose_panel(named: Sequence[str], snapshot: Snapshot, template: str = "") -> tuple[VoterId, ...]:
    """The voters named; or those that a template asks for, the default one if none is given; or else the active voters
    of the default group, least loaded first, at most `panel_size`.

    Raises UnknownVoter, VoterUnavailable or InvalidMessage (a voter named twice) for a named panel, InvalidMessage for
    an unknown template or when both are given, NoVoters when there is nobody, or too few, to choose.
    """
    if named and template:
        raise InvalidMessage("panel: expected either panel or voter_list, not both")
    if named:
        return _named_panel(named, snapshot.voters)
    if template:
        if template not in snapshot.templates:
            known = ", ".join(sorted(snapshot.templates)) or "none"
            raise InvalidMessage(f"panel: no panel is named {template[:80]!r}; there are {known}")
        return _from_template(template, snapshot)
    if snapshot.default:
        if snapshot.default not in snapshot.templates:
            raise NoVoters(f"no panel can be formed: the default panel {snapshot.default!r} is not defined")
        return _from_template(snapshot.default, snapshot)
    chosen = _least_loaded(snapshot, snapshot.group, ())[: max(snapshot.panel_size, 0)]
    if not chosen:
        raise NoVoters(f"no panel can be formed: no voter of the group {snapshot.group!r} is active")
    return tuple(sorted(chosen))


def weights(panel: Sequence[VoterId], snapshot: Snapshot) -> dict[str, float]:
    """The registered weight of each voter of a panel that was chosen from `snapshot`."""
    return {voter: snapshot.voters[voter].weight for voter in panel}


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


def _least_loaded(snapshot: Snapshot, group: str, taken: Sequence[VoterId]) -> list[VoterId]:
    """The active voters of a group that aren't taken, least loaded first, equals by name."""
    voters = snapshot.voters
    able = [(v.load, i) for i, v in voters.items() if v.status == "active" and v.group == group and i not in taken]
    return [voter for _, voter in sorted(able)]


def _from_template(name: str, snapshot: Snapshot) -> tuple[VoterId, ...]:
    """The panel of a template, in the order of its slots.

    First the voters it names are seated, then those of groups; for a named one that is out another of its group stands
    in. Seats that nobody can have stay empty, as long as more than half of them are taken.
    """
    slots = parse_slots(snapshot.templates[name])
    seated: dict[Slot, list[VoterId]] = {slot: [] for slot in slots}
    taken: list[VoterId] = []

    def seat(slot: Slot, voters: Sequence[VoterId]) -> None:
        seated[slot] += sorted(voters)
        taken.extend(voters)

    for slot in slots:
        if isinstance(slot, NamedVoter) and _is_active(slot.voter, snapshot):
            seat(slot, [slot.voter])
    for slot in slots:
        if not isinstance(slot, NamedVoter):
            seat(slot, _least_loaded(snapshot, slot.group, taken)[: slot.seats])
    for slot in slots:
        if isinstance(slot, NamedVoter) and not seated[slot] and slot.voter in snapshot.voters:
            seat(slot, _least_loaded(snapshot, snapshot.voters[slot.voter].group, taken)[:1])
    seats = sum(slot.seats for slot in slots)
    if len(taken) < seats // 2 + 1:
        empty = ", ".join(_shortage(slot, seated[slot], snapshot) for slot in slots if len(seated[slot]) < slot.seats)
        needed = f"{len(taken)} of {seats} voters are there, and {seats // 2 + 1} are needed"
        raise NoVoters(f"panel {name!r} can't be formed: {needed}: {empty}")
    return tuple(voter for slot in slots for voter in seated[slot])


def _is_active(voter: VoterId, snapshot: Snapshot) -> bool:
    return voter in snapshot.voters and snapshot.voters[voter].status == "active"


def _shortage(slot: Slot, seated: Sequence[VoterId], snapshot: Snapshot) -> str:
    if not isinstance(slot, NamedVoter):
        return f"{slot} has {len(seated)}"
    if slot.voter not in snapshot.voters:
        return f"{slot.voter} is not registered"
    return f"{slot.voter} is {snapshot.voters[slot.voter].status}"
