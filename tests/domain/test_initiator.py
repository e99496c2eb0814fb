"""What each command leads to, from each state of an initiator."""

import hashlib
import math
from typing import Any

import msgspec
import pytest

from magi.domain.clock import rfc3339
from magi.domain.errors import Conflict, InvalidMessage
from magi.domain.initiator import (
    AS_DEFAULT,
    INITIAL,
    NO_QUOTA,
    Change,
    Initiator,
    InitiatorChanged,
    InitiatorCommand,
    InitiatorEvent,
    InitiatorRegistered,
    InitiatorRevoked,
    IssueToken,
    Quotas,
    Register,
    Revoke,
    RevokeToken,
    RotateTokens,
    TokenExpires,
    TokenIssued,
    TokenRevoked,
    decide,
    evolve,
)
from magi.domain.tokens import Token, token_id
from tests.domain.spec import Aggregate

INITIATOR: Aggregate[Initiator, InitiatorCommand, InitiatorEvent] = Aggregate(INITIAL, decide, evolve)
given = INITIATOR.given

NOW = 1_769_860_800_000
AT = rfc3339(NOW)
LATER = rfc3339(NOW + 1000)
ONE, TWO = (hashlib.sha256(text).hexdigest() for text in (b"one", b"two"))

REGISTER = Register("agent", "a coding agent", "admin", NOW)
REVOKE = Revoke("agent", "left", "admin", NOW)


def issue(sha256: str) -> IssueToken:
    return IssueToken("agent", sha256, "admin", NOW)


def revoke_token(sha256: str) -> RevokeToken:
    return RevokeToken("agent", token_id(sha256), "leaked", "admin", NOW)


def issued(sha256: str, **fields: Any) -> TokenIssued:
    return TokenIssued(at=AT, token_id=sha256[:12], sha256=sha256, by="admin", **fields)


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
    kept = {TWO[:12]: Token(TWO, ("initiate",), "", AT)}
    assert (state.version, state.status, state.tokens) == (4, "active", kept)
    assert INITIATOR.fold([registered, revoked]).status == "revoked"


def test_a_token_is_never_stored_nor_told_by_its_name() -> None:
    assert token_id(ONE) == ONE[:12]
    assert [*INITIATOR.fold([registered, issued(ONE)]).tokens] == [ONE[:12]]


def test_a_token_is_good_for_what_it_was_issued_for() -> None:
    given(registered).when(issue(ONE)._replace(scopes=("read", "initiate", "read"))).then(
        issued(ONE, scopes=("initiate", "read"))
    )
    given(registered).when(issue(ONE)._replace(scopes=())).then(issued(ONE))
    for scope, why in (("admin", "reserved"), ("vote:agent", "expected initiate or read"), ("", "expected")):
        given(registered).when(issue(ONE)._replace(scopes=(scope,))).then_refused(InvalidMessage, why)


def test_a_token_of_before_there_were_scopes_may_do_what_there_was_to_be_done() -> None:
    stored = f'{{"type":"token_issued","token_id":"{ONE[:12]}","sha256":"{ONE}","by":"admin","at":"{AT}"}}'
    event = msgspec.json.decode(stored, type=TokenIssued)
    assert INITIATOR.fold([registered, event]).tokens == {ONE[:12]: Token(ONE, ("initiate",), "", AT)}


def test_a_token_expires_when_it_was_said_to() -> None:
    given(registered).when(issue(ONE)._replace(expires=LATER)).then(issued(ONE, expires=LATER))
    given(registered).when(issue(ONE)._replace(expires=AT)).then_refused(InvalidMessage, "expected a time to come")
    token = INITIATOR.fold([registered, issued(ONE, expires=LATER)]).tokens[ONE[:12]]
    assert (token.has_expired(NOW + 999), token.has_expired(NOW + 1000)) == (False, True)
    assert not INITIATOR.fold([registered, issued(TWO)]).tokens[TWO[:12]].has_expired(2 * NOW)


def rotate(overlap: int, sha256: str = TWO, **fields: Any) -> RotateTokens:
    return RotateTokens("agent", sha256, NOW + overlap, "a leak", "admin", NOW, **fields)


def expires(sha256: str, at: str = LATER) -> TokenExpires:
    return TokenExpires(at=AT, token_id=sha256[:12], expires=at, reason="a leak", by="admin")


def test_rotating_gives_the_others_an_end() -> None:
    given(registered, issued(ONE)).when(rotate(1000)).then(issued(TWO), expires(ONE))
    given(registered).when(rotate(1000)).then(issued(TWO))
    given(registered, issued(ONE), issued(TWO)).when(rotate(1000)).then_nothing()
    given(registered, revoked).when(rotate(1000)).then_refused(Conflict, "revoked, for ever")


def test_rotating_lets_a_token_live_no_longer_than_it_would_have() -> None:
    given(registered, issued(ONE, expires=LATER)).when(rotate(5000)).then(issued(TWO))
    given(registered, issued(ONE, expires=LATER)).when(rotate(0)).then(issued(TWO), expires(ONE, AT))


def test_rotating_leaves_tokens_of_another_scope_alone() -> None:
    given(registered, issued(ONE, scopes=("read",))).when(rotate(0)).then(issued(TWO))
    read = rotate(0, scopes=("read",))
    given(registered, issued(ONE, scopes=("read",))).when(read).then(issued(TWO, scopes=("read",)), expires(ONE, AT))


def change(**fields: Any) -> Change:
    return Change("agent", "admin", NOW, "busy", **fields)


def test_quotas_are_changed_one_by_one_and_given_back_to_the_settings() -> None:
    changed = InitiatorChanged(at=AT, requests_per_second=5.0, reason="busy", by="admin")
    given(registered).when(change(requests_per_second=5.0)).then(changed)
    given(registered, changed).when(change(requests_per_second=5.0)).then_nothing()
    more = InitiatorChanged(at=AT, connections=NO_QUOTA, description="a robot", reason="busy", by="admin")
    given(registered, changed).when(change(connections=NO_QUOTA, description="a robot")).then(more)
    state = INITIATOR.fold([registered, changed, more])
    assert (state.quotas, state.description) == (Quotas(5.0, None, 0), "a robot")
    default = InitiatorChanged(at=AT, requests_per_second=AS_DEFAULT, reason="busy", by="admin")
    given(registered, changed).when(change(requests_per_second=AS_DEFAULT)).then(default)
    assert INITIATOR.fold([registered, changed, default]).quotas == Quotas()
    given(registered).when(change(requests_per_second=AS_DEFAULT)).then_nothing()


def test_a_quota_that_can_be_none_is_refused() -> None:
    for value in (-2, -0.5, math.inf, math.nan):
        given(registered).when(change(requests_per_second=value)).then_refused(InvalidMessage, "requests_per_second")
    given(registered).when(change(open_requests=-3)).then_refused(InvalidMessage, "open_requests")
    given(registered, revoked).when(change(connections=1)).then_refused(Conflict, "revoked, for ever")
