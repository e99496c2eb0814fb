"""Who was allowed to judge and to submit, and when: the directory's own history, asked about a moment."""

from typing import Literal

from msgspec import Struct

from magi.audit.findings import Problem
from magi.domain.clock import milliseconds
from magi.domain.directory import DirectoryEvent
from magi.domain.initiator import InitiatorRegistered, InitiatorRevoked
from magi.domain.voter import VoterRegistered, VoterReinstated, VoterRevoked, VoterSuspended
from magi.domain.voting_request import Adjudicated, Received, VoterResult

Status = Literal["unregistered", "active", "suspended", "revoked"]

SLACK = 5_000
"""Milliseconds. Two machines' clocks differ, and an orchestrator's copy of the directory is a moment behind: what was
so within this time of an event counts as being so at it."""


class _Change(Struct, frozen=True):
    at: int
    """Milliseconds since 1970."""
    status: Status


class Registry:
    """The statuses of all voters and Initiators over time."""

    def __init__(self) -> None:
        self._voters: dict[str, list[_Change]] = {}
        self._initiators: dict[str, list[_Change]] = {}

    def apply(self, event: DirectoryEvent) -> None:
        """Take in the next event of the directory. Raises ValueError when it has no time."""
        name = event.originator_id.partition(".")[2]
        match event:
            case VoterRegistered() | VoterReinstated():
                self._note(self._voters, name, event, "active")
            case VoterSuspended():
                self._note(self._voters, name, event, "suspended")
            case VoterRevoked():
                self._note(self._voters, name, event, "revoked")
            case InitiatorRegistered():
                self._note(self._initiators, name, event, "active")
            case InitiatorRevoked():
                self._note(self._initiators, name, event, "revoked")
            case _:
                pass  # tokens: which one a request came with is not stored

    @staticmethod
    def _note(known: dict[str, list[_Change]], name: str, event: DirectoryEvent, status: Status) -> None:
        known.setdefault(name, []).append(_Change(milliseconds(event.at), status))

    def voter(self, name: str, at: int) -> set[Status]:
        """Every status that a voter had within `SLACK` of the time `at`."""
        return _around(self._voters.get(name, ()), at)

    def initiator(self, name: str, at: int) -> set[Status]:
        return _around(self._initiators.get(name, ()), at)


def _around(changes: "list[_Change] | tuple[()]", at: int) -> set[Status]:
    before: Status = "unregistered"
    found: set[Status] = set()
    for change in changes:
        if change.at < at - SLACK:
            before = change.status
        elif change.at <= at + SLACK:
            found.add(change.status)
    return found | {before}


def check_received(registry: Registry, event: Received) -> list[Problem]:
    """Whether the panel's voters were registered and active when the panel was fixed, and the Initiator known."""
    at = milliseconds(event.at)
    found: list[Problem] = []
    for voter in event.voters:
        were = registry.voter(voter, at)
        if "active" not in were:
            found.append(Problem("unauthorized", f"voter {voter!r} of the panel was {_text(were)} at {event.at}"))
    submitted = registry.initiator(event.initiator_id, at)
    if submitted == {"unregistered"}:
        found.append(Problem("unauthorized", f"initiator {event.initiator_id!r} was not registered at {event.at}"))
    elif "active" not in submitted:
        # No contradiction: it may have been revoked after the gateway had accepted the submission.
        found.append(Problem("initiator_revoked", f"initiator {event.initiator_id!r} was revoked at {event.at}"))
    return found


def check_vote(registry: Registry, event: VoterResult) -> list[Problem]:
    """Whether the voter still had its place when its vote was counted.

    A voter that is suspended gets no new tasks; the votes on those that it had count (see `voting_request.decide`), so
    that is a note. Revoked, its credentials are gone.
    """
    were = registry.voter(event.voter_id, milliseconds(event.at))
    if "active" in were:
        return []
    what = f"voter {event.voter_id!r} was {_text(were)} at {event.at}"
    if "suspended" in were:
        return [Problem("suspended", f"{what}, and its vote on a task that it had was counted")]
    return [Problem("unauthorized", f"{what}, and its vote was counted")]


def check_out(registry: Registry, event: Adjudicated) -> list[Problem]:
    """Whether the voters that were not waited for had been revoked: no other's vote may be passed over."""
    found = []
    for voter in event.out:
        were = registry.voter(voter, milliseconds(event.at))
        if "revoked" not in were:
            what = f"voter {voter!r} was {_text(were)} at {event.at}, and its vote was not waited for as if revoked"
            found.append(Problem("unauthorized", what))
    return found


def _text(statuses: set[Status]) -> str:
    return " or ".join(sorted("not registered" if s == "unregistered" else s for s in statuses))
