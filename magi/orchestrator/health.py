"""The health of voters, after Envoy's outlier detection: what counts against one, and when it has to go. Pure.

Counted are failures in a row: a deadline that passed without its vote, a vote that says "I could not judge", a ballot
that can't be read. One good vote and the count begins anew. How it votes is never looked at.

The counts are those of one orchestrator, and nobody else knows them: where several share the load each sees enough of
it, and one that dies takes no more with it than a few failures, which a dead voter soon has again.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from magi.domain.clock import milliseconds
from magi.domain.errors import NoVoters
from magi.domain.ids import VoterId
from magi.domain.panel import Snapshot, choose_panel
from magi.domain.voter import Voter
from magi.domain.voting_request import Adjudicated

Failure = Literal["timeout", "failed", "unreadable"]

AWAY = 5_000
"""Milliseconds after its deadline. A request that is decided later than that was kept waiting by MAGI itself, or by a
machine that slept: its voters may have had no chance."""

_NAMES: dict[Failure, tuple[str, str]] = {
    "timeout": ("time-out", "time-outs"),
    "failed": ("vote of one that could not judge", "votes of one that could not judge"),
    "unreadable": ("unreadable ballot", "unreadable ballots"),
}


class HealthSettings(Struct, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True
    """Whether voters that don't answer are suspended."""
    consecutive: Annotated[int, Meta(ge=1, le=1000)] = 5
    """Failures in a row that suspend a voter. Envoy's own figure."""
    first_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 30.0
    """How long it is out the first time; each time in a row twice as long."""
    longest_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 600.0
    """… at most."""
    least_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 2.0
    """A deadline that gave a voter less time than this doesn't count against it: the Initiator chose it."""


class Given(Struct, frozen=True):
    """The tasks of a request that went out from here."""

    voters: frozenset[str]
    """Who got one."""
    at: int
    """When, in milliseconds since 1970."""
    deadline: int
    connection: int
    """Which of our connections to NATS it was: once it breaks, nobody can tell who had a fair chance."""


class Health:
    """The failures of every voter since its last good vote. Times are milliseconds since 1970."""

    def __init__(self, consecutive: int) -> None:
        self._consecutive = consecutive
        self._failures: dict[str, Counter[Failure]] = {}
        self._answered: dict[str, int] = {}
        self._on_trial: set[str] = set()

    def answered(self, voter: str, now: int) -> None:
        """It voted, whatever it voted."""
        self._answered[voter] = now
        self._failures.pop(voter, None)
        self._on_trial.discard(voter)

    def failed(self, voter: str, how: Failure) -> None:
        self._failures.setdefault(voter, Counter())[how] += 1

    def timed_out(self, voter: str, given: int) -> None:
        """A task that it got at `given` has had no vote. That is no failure of one that has voted on others since: it
        has more to do than it can, as when a hundred requests come at once and share their deadline."""
        if self._answered.get(voter, -1) < given:
            self.failed(voter, "timeout")

    def forget(self, voter: str) -> None:
        """Its status is another one now: what was before doesn't count any more."""
        self._failures.pop(voter, None)
        self._on_trial.discard(voter)

    def on_trial(self, voter: str) -> None:
        """It is back from an ejection: until its first good vote a single failure is enough."""
        self.forget(voter)
        self._on_trial.add(voter)

    def why_out(self, voter: str) -> str:
        """Why the voter has to go; empty when it doesn't."""
        failures = self._failures.get(voter)
        if not failures or failures.total() < (1 if voter in self._on_trial else self._consecutive):
            return ""
        said = ", ".join(f"{count} {_NAMES[how][count > 1]}" for how, count in failures.items())
        return f"{said} {'after it came back' if voter in self._on_trial else 'in a row'}"


def missed(
    verdict: Adjudicated, given: Given, voters: Mapping[VoterId, Voter], *, connection: int, least_ms: int
) -> list[str]:
    """The voters that a verdict at the deadline counts against: they had the task, were in service all the time, and
    nothing on our side kept them from voting. `connection` is the present one."""
    if verdict.decided_by != "deadline" or given.connection != connection:
        return []
    if given.deadline - given.at < least_ms or milliseconds(verdict.at) > given.deadline + AWAY:
        return []
    return [
        name
        for name, said in verdict.details.items()
        if said == "missing" and name in given.voters and _in_service(voters.get(VoterId(name)), given.at)
    ]


def _in_service(voter: Voter | None, since: int) -> bool:
    return voter is not None and voter.status == "active" and milliseconds(voter.since) <= since


def quorum(members: int, panel_size: int) -> int:
    """Votes that a panel which nobody named needs, in a group of so many members."""
    return min(panel_size, members) // 2 + 1


def can_spare(
    voter: str, voters: Mapping[VoterId, Voter], panel_size: int, leaving: Collection[str] = frozenset()
) -> bool:
    """Whether the voter's group has a quorum of active voters without it, and without those that are `leaving`."""
    group = voters[VoterId(voter)].group
    return _active(group, voters, {voter, *leaving}) >= quorum(_members(group, voters), panel_size)


def still_formed(snapshot: Snapshot, without: Collection[str]) -> bool:
    """Whether a panel that nobody named can be formed without these voters."""
    suspended = {
        name: msgspec.structs.replace(voter, status="suspended") if name in without else voter
        for name, voter in snapshot.voters.items()
    }
    try:
        choose_panel((), msgspec.structs.replace(snapshot, voters=suspended))
    except NoVoters:
        return False
    return True


def too_few(group: str, voters: Mapping[VoterId, Voter], panel_size: int) -> bool:
    """Whether a group has less than a quorum of active voters."""
    return _active(group, voters, frozenset()) < quorum(_members(group, voters), panel_size)


def _members(group: str, voters: Mapping[VoterId, Voter]) -> int:
    return sum(1 for voter in voters.values() if voter.group == group and voter.status != "revoked")


def _active(group: str, voters: Mapping[VoterId, Voter], without: Collection[str]) -> int:
    return sum(1 for i, v in voters.items() if v.group == group and v.status == "active" and i not in without)
