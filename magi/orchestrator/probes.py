"""Probes: copies of real tasks for voters that are to be tried, whose votes don't count. Pure.

A probe is known only to the orchestrator that made it. One that dies forgets its probes: another request makes the
next, and a ballot on a forgotten one is refused like any of a voter that is not on the panel.
"""

from collections.abc import Collection
from typing import Literal

import msgspec
from msgspec import Struct

from magi.domain.clock import milliseconds
from magi.domain.ids import AggregateId, VoterId
from magi.domain.messages import ProgressBallot, ResultBallot
from magi.domain.panel import Snapshot
from magi.domain.slots import NamedVoter, parse_slots
from magi.domain.voter import Voter
from magi.domain.voting_request import Received

GRACE = 2_000
"""Milliseconds after its end in which a ballot that was in time may still be on its way to us."""
REMEMBER = 60_000
"""Milliseconds after its end in which ballots of a probe are known as such: those that come twice."""

Heard = Literal["stranger", "nothing", "good", "bad"]
"""What a ballot tells: it is of no probe of ours; nothing new; the voter judges again; it doesn't."""


class Probe(Struct, frozen=True):
    voter: VoterId
    aggregate: AggregateId
    """The request whose task it is a copy of."""
    ends: int
    """Until when a vote is good, in milliseconds since 1970."""
    connection: int
    """As in `Given`."""
    over: bool = False
    """It has told what it had to tell."""


class Probes:
    """Those that were made here. Times are milliseconds since 1970."""

    def __init__(self) -> None:
        self._probes: dict[tuple[AggregateId, str], Probe] = {}

    def begin(self, probe: Probe) -> None:
        self._probes[probe.aggregate, probe.voter] = probe

    def never_was(self, probe: Probe) -> None:
        """Its task could not be given out."""
        self._probes.pop((probe.aggregate, probe.voter), None)

    def is_open(self, voter: str) -> bool:
        return any(probe.voter == voter and not probe.over for probe in self._probes.values())

    def end(self, voter: str) -> None:
        """Nothing more is to be learned of the voter."""
        for key, probe in self._probes.items():
            if probe.voter == voter:
                self._probes[key] = msgspec.structs.replace(probe, over=True)

    def hear(self, aggregate: AggregateId, voter: str, ballot: ProgressBallot | ResultBallot, arrived: int) -> Heard:
        """What a ballot tells that reached the inbox at `arrived`. A result ends its probe."""
        probe = self._probes.get((aggregate, voter))
        if probe is None:
            return "stranger"
        if probe.over or isinstance(ballot, ProgressBallot):
            return "nothing"
        self.end(voter)
        failed = ballot.failed and ballot.vote == "abstain"
        return "bad" if failed or arrived >= probe.ends else "good"

    def overdue(self, now: int) -> list[Probe]:
        """The probes that nobody has answered, now over."""
        found = [probe for probe in self._probes.values() if not probe.over and probe.ends + GRACE <= now]
        for probe in found:
            self.end(probe.voter)
        for key in [key for key, probe in self._probes.items() if probe.over and probe.ends + REMEMBER <= now]:
            del self._probes[key]
        return found


def open_groups(snapshot: Snapshot) -> frozenset[str]:
    """The groups that the panel of a request may be from which names neither voters nor a template."""
    members = snapshot.templates.get(snapshot.default)
    if not members:
        return frozenset({snapshot.group})
    found = set()
    for slot in parse_slots(members):
        if not isinstance(slot, NamedVoter):
            found.add(slot.group)
        elif slot.voter in snapshot.voters:
            found.add(snapshot.voters[slot.voter].group)  # others of it stand in for the voter
    return frozenset(found)


def may_probe(name: str, voter: Voter, received: Received, groups: Collection[str], now: int, least_ms: int) -> bool:
    """Whether a request whose panel nobody named is fit for trying a voter: it could have been chosen, it was not, and
    there is time enough. `groups` are those that such panels are from: only their voters may see the content."""
    return (
        voter.on_probation(now)
        and voter.group in groups
        and name not in received.voters
        and milliseconds(received.deadline) - now >= least_ms
    )


def untried(voter: Voter, groups: Collection[str], now: int, longest_ms: int) -> bool:
    """Whether a voter that is to be tried has waited in vain for a request that it can be tried with.

    Of other groups than the open ones nobody is ever probed; of those it may be that all requests name their panels.
    """
    wait = longest_ms if voter.group in groups else 0
    return voter.on_probation(now) and now >= milliseconds(voter.until) + wait
