"""What each command leads to, from each state of a voter."""

import msgspec
import pytest

from magi.domain.clock import rfc3339
from magi.domain.errors import Conflict, InvalidMessage, UnknownVoter
from magi.domain.tokens import Token
from magi.domain.voter import (
    INITIAL,
    Voter,
    VoterChanged,
    VoterEvent,
    VoterKept,
    VoterKeyChanged,
    VoterOnProbation,
    VoterRegistered,
    VoterReinstated,
    VoterRevoked,
    VoterSuspended,
    VoterTokenExpires,
    VoterTokenIssued,
    VoterTokenRevoked,
    evolve,
)
from magi.domain.voter_commands import (
    BeginProbation,
    Change,
    ChangeKey,
    Eject,
    IssueToken,
    Keep,
    Recover,
    Register,
    Reinstate,
    Revoke,
    RevokeToken,
    RotateTokens,
    Suspend,
    VoterCommand,
    decide,
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
    assert VOTER.fold([registered]) == Voter(
        1, "melchior", "builtin", "well formed?", "default", status="active", since=AT
    )
    state = VOTER.fold([registered, later])
    assert (state.version, state.status, state.reason, state.since) == (2, "suspended", "flapping", later.at)
    assert (state.kind, state.description) == ("builtin", "well formed?")
    assert VOTER.fold([registered, later, reinstated]).status == "active"
    assert VOTER.fold([registered, revoked]).status == "revoked"


# --- Changes, credentials ---------------------------------------------------------------------------------------------

NATS = msgspec.structs.replace(registered, kind="nats", public_key="UOLD")
SOCKET = msgspec.structs.replace(registered, kind="websocket")
DIGEST = "ab" * 32


def test_a_change_names_only_what_changes() -> None:
    change = Change("melchior", "admin", NOW, "slower", group="default", weight=2.0, capacity=4)
    given(registered).when(change).then(VoterChanged(at=AT, weight=2.0, capacity=4, reason="slower", by="admin"))


def test_a_change_that_changes_nothing_is_no_event() -> None:
    given(registered).when(Change("melchior", "admin", NOW, group="default")).then()


@pytest.mark.parametrize(
    ("field", "value"),
    [("weight", -0.1), ("weight", float("nan")), ("capacity", 0), ("capacity", 1025), ("max_attempts", 0)],
)
def test_a_change_to_what_can_not_be_names_the_field(field: str, value: float) -> None:
    change = Change(**{"voter_id": "melchior", "by": "admin", "now": NOW, field: value})  # type: ignore[arg-type]
    given(registered).when(change).then_refused(InvalidMessage, field)


def test_a_registration_with_what_can_not_be_names_the_field() -> None:
    given().when(REGISTER._replace(capacity=0)).then_refused(InvalidMessage, "capacity")
    given().when(REGISTER._replace(group="No Group")).then_refused(InvalidMessage, "group")


def test_what_is_changed_is_so_from_then_on() -> None:
    changed = VoterChanged(at=AT, group="code", settings={"url": "x"}, by="admin")
    voter = evolve(evolve(INITIAL, registered), changed)
    assert (voter.group, voter.settings, voter.weight) == ("code", {"url": "x"}, 1.0)


def test_only_a_voter_on_the_bus_has_a_key() -> None:
    change = ChangeKey("melchior", "UNEW", "lost", "admin", NOW)
    given(NATS).when(change).then(VoterKeyChanged(at=AT, public_key="UNEW", reason="lost", by="admin"))
    given(NATS).when(change._replace(public_key="UOLD")).then()
    given(SOCKET).when(change).then_refused(Conflict, "websocket")


def test_only_a_voter_that_shows_tokens_gets_one() -> None:
    issue = IssueToken("melchior", DIGEST, "admin", NOW)
    votes = ("vote:melchior",)
    issued = VoterTokenIssued(at=AT, token_id=DIGEST[:12], sha256=DIGEST, scopes=votes, by="admin")
    given(SOCKET).when(issue).then(issued)
    given(SOCKET, issued).when(issue).then()
    given(NATS).when(issue).then_refused(Conflict, "nats")
    revoke = RevokeToken("melchior", DIGEST[:12], "leaked", "admin", NOW)
    given(SOCKET, issued).when(revoke).then(VoterTokenRevoked(at=AT, token_id=DIGEST[:12], reason="leaked", by="admin"))
    given(SOCKET).when(revoke).then_refused(Conflict, "no valid token")


def test_a_token_is_good_for_the_votes_of_its_voter_alone() -> None:
    old = VoterTokenIssued(at=AT, token_id=DIGEST[:12], sha256=DIGEST, by="admin")  # of before there were scopes
    voter = evolve(evolve(INITIAL, SOCKET), old)
    assert voter.tokens == {DIGEST[:12]: Token(DIGEST, ("vote:melchior",), "", AT)}


def test_rotating_gives_a_voters_other_tokens_an_end() -> None:
    old = VoterTokenIssued(at=AT, token_id=DIGEST[:12], sha256=DIGEST, by="admin")
    new, later = "ef" * 32, rfc3339(NOW + 1000)
    votes = ("vote:melchior",)
    issued = VoterTokenIssued(at=AT, token_id=new[:12], sha256=new, scopes=votes, expires=later, by="admin")
    ends = VoterTokenExpires(at=AT, token_id=DIGEST[:12], expires=later, reason="a leak", by="admin")
    rotate = RotateTokens("melchior", new, NOW + 1000, "a leak", "admin", NOW, expires=later)
    given(SOCKET, old).when(rotate).then(issued, ends)
    given(NATS).when(rotate).then_refused(Conflict, "nats")
    voter = INITIAL
    for event in (SOCKET, old, issued, ends):
        voter = evolve(voter, event)
    assert {token: kept.expires for token, kept in voter.tokens.items()} == {DIGEST[:12]: later, new[:12]: later}


def test_a_revoked_voter_has_no_tokens() -> None:
    issued = VoterTokenIssued(at=AT, token_id=DIGEST[:12], sha256=DIGEST, by="admin")
    voter = INITIAL
    for event in (SOCKET, issued, VoterRevoked(at=AT, by="admin")):
        voter = evolve(voter, event)
    assert voter.tokens == {}


# --- Ejection ---------------------------------------------------------------------------------------------------------

EJECT = Eject("melchior", "5 time-outs in a row", "health", NOW)


def ejected(at: int, seconds: int, times: int) -> VoterSuspended:
    return VoterSuspended(
        at=rfc3339(at),
        reason="5 time-outs in a row",
        until=rfc3339(at + 1000 * seconds),
        ejections=times,
        by="health",
    )


def recovered(at: int) -> VoterReinstated:
    return VoterReinstated(at=rfc3339(at), reason="answered", by="health")


def test_a_voter_that_does_not_answer_is_out_for_a_while() -> None:
    given(registered).when(EJECT).then(ejected(NOW, 30, 1))


def test_each_time_in_a_row_it_is_out_for_twice_as_long_to_a_bound() -> None:
    history: list[VoterEvent] = [registered]
    now = NOW
    for times, seconds in enumerate((30, 60, 120, 240, 480, 600, 600), start=1):
        given(*history).when(EJECT._replace(now=now)).then(ejected(now, seconds, times))
        history.append(ejected(now, seconds, times))
        now += 1000 * seconds


def test_while_it_is_out_it_is_not_ejected_again() -> None:
    given(registered, ejected(NOW, 30, 1)).when(EJECT._replace(now=NOW + 29_999)).then()
    given(registered, suspended).when(EJECT).then()


def test_a_voter_that_came_back_only_now_has_not_been_forgiven() -> None:
    back = (registered, ejected(NOW, 30, 1), recovered(NOW + 31_000))
    given(*back).when(EJECT._replace(now=NOW + 60_000)).then(ejected(NOW + 60_000, 60, 2))
    later = NOW + 31_000 + 600_001
    given(*back).when(EJECT._replace(now=later)).then(ejected(later, 30, 1))


def test_a_voter_recovers_only_once_it_is_tried() -> None:
    out = (registered, ejected(NOW, 30, 1))
    recover = Recover("melchior", "answered", "health", NOW + 30_000)
    given(*out).when(recover).then(recovered(NOW + 30_000))
    given(*out).when(recover._replace(now=NOW + 29_999)).then()
    given(registered).when(recover).then()
    given(registered, suspended).when(recover).then()


def test_a_person_may_end_an_ejection_or_make_it_last() -> None:
    out = (registered, ejected(NOW, 30, 1))
    given(*out).when(REINSTATE).then(reinstated)
    given(*out).when(SUSPEND).then(suspended)


# --- On probation, and kept -------------------------------------------------------------------------------------------


def test_a_voter_whose_time_is_over_is_on_probation_once() -> None:
    out = (registered, ejected(NOW, 30, 1))
    begin = BeginProbation("melchior", "tried", "health", NOW + 30_000)
    tried = VoterOnProbation(at=rfc3339(NOW + 30_000), reason="tried", by="health")
    given(*out).when(begin).then(tried)
    given(*out, tried).when(begin).then()
    given(*out).when(begin._replace(now=NOW + 29_999)).then()
    given(registered).when(begin).then()
    again = ejected(NOW + 31_000, 60, 2)
    later = begin._replace(now=NOW + 91_000)
    given(*out, tried, again).when(later).then(VoterOnProbation(at=rfc3339(NOW + 91_000), reason="tried", by="health"))


def test_probation_changes_nothing_else() -> None:
    out = (registered, ejected(NOW, 30, 1))
    tried = VoterOnProbation(at=rfc3339(NOW + 30_000), by="health")
    given(*out, tried).when(EJECT._replace(now=NOW + 31_000)).then(ejected(NOW + 31_000, 60, 2))
    given(*out, tried).when(Recover("melchior", "answered", "health", NOW + 31_000)).then(recovered(NOW + 31_000))


def test_that_a_voter_is_kept_is_said_once_in_ten_minutes() -> None:
    keep = Keep("melchior", "too few", "health", NOW)
    kept = VoterKept(at=rfc3339(NOW), reason="too few", by="health")
    given(registered).when(keep).then(kept)
    given(registered, kept).when(keep._replace(now=NOW + 600_000)).then()
    later = keep._replace(now=NOW + 600_001)
    given(registered, kept).when(later).then(VoterKept(at=rfc3339(NOW + 600_001), reason="too few", by="health"))
    given(registered, ejected(NOW, 30, 1)).when(keep).then()
