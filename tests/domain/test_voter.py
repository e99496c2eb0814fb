"""What each command leads to, from each state of a voter."""

import pytest

from magi.domain.clock import rfc3339
from magi.domain.errors import Conflict, InvalidMessage, UnknownVoter
from magi.domain.voter import (
    INITIAL,
    Register,
    Reinstate,
    Revoke,
    Suspend,
    Voter,
    VoterCommand,
    VoterEvent,
    VoterRegistered,
    VoterReinstated,
    VoterRevoked,
    VoterSuspended,
    decide,
    evolve,
)
from tests.domain.spec import Aggregate

VOTER: Aggregate[Voter, VoterCommand, VoterEvent] = Aggregate(INITIAL, decide, evolve)
given = VOTER.given

NOW = 1_769_860_800_000
AT = rfc3339(NOW)

REGISTER = Register("melchior", "builtin", "well formed?", "default", "", "admin", NOW)
SUSPEND = Suspend("melchior", "flapping", "admin", NOW)
REINSTATE = Reinstate("melchior", "repaired", "admin", NOW)
REVOKE = Revoke("melchior", "retired", "admin", NOW)

registered = VoterRegistered(
    at=AT, voter_id="melchior", kind="builtin", description="well formed?", group="default", by="admin"
)
suspended = VoterSuspended(at=AT, reason="flapping", by="admin")
reinstated = VoterReinstated(at=AT, reason="repaired", by="admin")
revoked = VoterRevoked(at=AT, reason="retired", by="admin")


def test_a_voter_is_registered_once() -> None:
    given().when(REGISTER).then(registered)
    given(registered).when(REGISTER).then_refused(Conflict, "'melchior' is registered already, and active")
    given(registered, suspended).when(REGISTER).then_refused(Conflict, "and suspended")


def test_a_voter_is_suspended_and_reinstated_as_often_as_needed() -> None:
    given(registered).when(SUSPEND).then(suspended)
    given(registered, suspended).when(REINSTATE).then(reinstated)
    given(registered, suspended, reinstated).when(SUSPEND).then(suspended)


def test_what_is_so_already_needs_no_event() -> None:
    given(registered, suspended).when(SUSPEND).then_nothing()
    given(registered).when(REINSTATE).then_nothing()
    given(registered, revoked).when(REVOKE).then_nothing()


@pytest.mark.parametrize("history", [[registered], [registered, suspended], [registered, suspended, reinstated]])
def test_a_voter_can_be_revoked_at_any_time(history: list[VoterEvent]) -> None:
    given(*history).when(REVOKE).then(revoked)


@pytest.mark.parametrize("command", [REGISTER, SUSPEND, REINSTATE])
def test_a_revoked_voter_stays_revoked_and_its_id_is_never_given_again(command: VoterCommand) -> None:
    given(registered, revoked).when(command).then_refused(Conflict, "revoked")
    given(registered, suspended, revoked).when(command).then_refused(Conflict, "revoked")


@pytest.mark.parametrize("command", [SUSPEND, REINSTATE, REVOKE])
def test_a_voter_that_was_never_registered_is_unknown(command: VoterCommand) -> None:
    given().when(command).then_refused(UnknownVoter, "no voter named 'melchior' is registered")


@pytest.mark.parametrize("name", ["", "Melchior", "a.b", "a b", "*", "x" * 65, "a\x00"])
def test_a_voter_whose_id_could_not_stand_in_a_subject_is_refused(name: str) -> None:
    given().when(REGISTER._replace(voter_id=name)).then_refused(InvalidMessage, "voter_id")


def test_the_state_follows_the_events() -> None:
    later = VoterSuspended(at=rfc3339(NOW + 5), reason="flapping", by="admin")
    assert VOTER.fold([registered]) == Voter(1, "melchior", "builtin", "well formed?", "default", "", "active", AT)
    state = VOTER.fold([registered, later])
    assert (state.version, state.status, state.reason, state.since) == (2, "suspended", "flapping", later.at)
    assert (state.kind, state.description) == ("builtin", "well formed?")
    assert VOTER.fold([registered, later, reinstated]).status == "active"
    assert VOTER.fold([registered, revoked]).status == "revoked"
