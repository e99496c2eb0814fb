"""What each command leads to, from each state of an initiator."""

import hashlib

import pytest

from magi.domain.clock import rfc3339
from magi.domain.errors import Conflict, InvalidMessage
from magi.domain.initiator import (
    INITIAL,
    Initiator,
    InitiatorCommand,
    InitiatorEvent,
    InitiatorRegistered,
    InitiatorRevoked,
    IssueToken,
    Register,
    Revoke,
    RevokeToken,
    TokenIssued,
    TokenRevoked,
    decide,
    evolve,
)
from magi.domain.tokens import token_id
from tests.domain.spec import Aggregate

INITIATOR: Aggregate[Initiator, InitiatorCommand, InitiatorEvent] = Aggregate(INITIAL, decide, evolve)
given = INITIATOR.given

NOW = 1_769_860_800_000
AT = rfc3339(NOW)
ONE, TWO = (hashlib.sha256(text).hexdigest() for text in (b"one", b"two"))

REGISTER = Register("agent", "a coding agent", "admin", NOW)
REVOKE = Revoke("agent", "left", "admin", NOW)


def issue(sha256: str) -> IssueToken:
    return IssueToken("agent", sha256, "admin", NOW)


def revoke_token(sha256: str) -> RevokeToken:
    return RevokeToken("agent", token_id(sha256), "leaked", "admin", NOW)


def issued(sha256: str) -> TokenIssued:
    return TokenIssued(at=AT, token_id=sha256[:12], sha256=sha256, by="admin")


def token_revoked(sha256: str) -> TokenRevoked:
    return TokenRevoked(at=AT, token_id=sha256[:12], reason="leaked", by="admin")


registered = InitiatorRegistered(at=AT, initiator_id="agent", description="a coding agent", by="admin")
revoked = InitiatorRevoked(at=AT, reason="left", by="admin")


def test_an_initiator_is_registered_once() -> None:
    given().when(REGISTER).then(registered)
    given(registered).when(REGISTER).then_refused(Conflict, "'agent' is registered already, and active")
    given(registered, revoked).when(REGISTER).then_refused(Conflict, "and revoked")


@pytest.mark.parametrize("name", ["", "Agent", "a.b", ">", "x" * 65])
def test_an_initiator_whose_id_could_not_stand_in_a_subject_is_refused(name: str) -> None:
    given().when(REGISTER._replace(initiator_id=name)).then_refused(InvalidMessage, "initiator_id")


def test_an_initiator_can_hold_several_tokens() -> None:
    given(registered).when(issue(ONE)).then(issued(ONE))
    given(registered, issued(ONE)).when(issue(TWO)).then(issued(TWO))
    given(registered, issued(ONE)).when(issue(ONE)).then_nothing()


def test_a_token_is_revoked_by_its_name_alone() -> None:
    given(registered, issued(ONE), issued(TWO)).when(revoke_token(ONE)).then(token_revoked(ONE))
    given(registered, issued(ONE)).when(revoke_token(TWO)).then_refused(Conflict, f"no valid token '{token_id(TWO)}'")
    given(registered, issued(ONE), token_revoked(ONE)).when(revoke_token(ONE)).then_refused(Conflict)


def test_revoking_an_initiator_revokes_its_tokens_for_ever() -> None:
    given(registered, issued(ONE)).when(REVOKE).then(revoked)
    assert INITIATOR.fold([registered, issued(ONE), revoked]).tokens == {}
    given(registered, revoked).when(REVOKE).then_nothing()
    given(registered, revoked).when(issue(TWO)).then_refused(Conflict, "revoked, for ever")
    given(registered, issued(ONE), revoked).when(revoke_token(ONE)).then_refused(Conflict)


@pytest.mark.parametrize("command", [issue(ONE), revoke_token(ONE), REVOKE])
def test_an_initiator_that_was_never_registered_is_unknown(command: InitiatorCommand) -> None:
    given().when(command).then_refused(Conflict, "no initiator named 'agent' is registered")


def test_the_state_follows_the_events() -> None:
    assert INITIATOR.fold([registered]) == Initiator(1, "agent", "a coding agent", "active", AT, {})
    state = INITIATOR.fold([registered, issued(ONE), issued(TWO), token_revoked(ONE)])
    assert (state.version, state.status, state.tokens) == (4, "active", {TWO[:12]: TWO})
    assert INITIATOR.fold([registered, revoked]).status == "revoked"


def test_a_token_is_never_stored_nor_told_by_its_name() -> None:
    assert token_id(ONE) == ONE[:12]
    assert INITIATOR.fold([registered, issued(ONE)]).tokens == {ONE[:12]: ONE}
