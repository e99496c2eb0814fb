"""The directory is folded from the events of all voters and initiators, and says whom a token names."""

import hashlib
from typing import TypeVar

import msgspec
import pytest

from magi.domain.directory import Directory, DirectoryEvent, Principal
from magi.domain.event import Event
from magi.domain.ids import AggregateId, InitiatorId, VoterId, initiator_aggregate, panel_aggregate, voter_aggregate
from magi.domain.initiator import InitiatorRegistered, InitiatorRevoked, TokenIssued, TokenRevoked
from magi.domain.panel import Candidate, Snapshot
from magi.domain.template import PanelDefined, PanelRemoved
from magi.domain.voter import VoterChanged, VoterRegistered, VoterReinstated, VoterRevoked, VoterSuspended

ONE, TWO = (hashlib.sha256(text).hexdigest() for text in (b"one", b"two"))
E = TypeVar("E", bound=Event)


def nth(version: int, aggregate: str, event: E) -> E:
    return msgspec.structs.replace(event, originator_id=aggregate, originator_version=version)


def voter(version: int, name: str, event: E) -> E:
    return nth(version, voter_aggregate(VoterId(name)), event)


def agent(version: int, event: E, name: str = "agent") -> E:
    return nth(version, initiator_aggregate(InitiatorId(name)), event)


def registered(name: str, group: str = "default") -> VoterRegistered:
    return voter(1, name, VoterRegistered(voter_id=name, kind="nats", group=group, by="admin"))


def issued(sha256: str) -> TokenIssued:
    return TokenIssued(token_id=sha256[:12], sha256=sha256, by="admin")


def directory(*events: DirectoryEvent) -> Directory:
    made = Directory()
    for event in events:
        made.apply(event)
    return made


AGENT = agent(1, InitiatorRegistered(initiator_id="agent", by="admin"))
OTHER = agent(1, InitiatorRegistered(initiator_id="other", by="admin"), "other")
REVOKE_ONE = TokenRevoked(token_id=ONE[:12], by="admin")
ME = Principal(InitiatorId("agent"), ONE[:12])


def test_a_token_names_its_initiator_from_its_issue_on() -> None:
    known = directory(AGENT)
    assert known.authenticate(ONE) is None
    known.apply(agent(2, issued(ONE)))
    assert known.authenticate(ONE) == ME
    assert known.is_valid(ME)
    assert known.authenticate(TWO) is None


def test_a_revoked_token_names_nobody_and_the_others_still_do() -> None:
    known = directory(AGENT, agent(2, issued(ONE)), agent(3, issued(TWO)), agent(4, REVOKE_ONE))
    assert known.authenticate(ONE) is None
    assert not known.is_valid(ME)
    assert known.authenticate(TWO) == Principal(InitiatorId("agent"), TWO[:12])


def test_no_token_of_a_revoked_initiator_is_valid() -> None:
    known = directory(AGENT, agent(2, issued(ONE)), agent(3, issued(TWO)), agent(4, InitiatorRevoked(by="admin")))
    assert known.authenticate(ONE) is None
    assert known.authenticate(TWO) is None
    assert not known.is_valid(ME)


def test_whoever_is_not_in_the_directory_is_not_valid() -> None:
    assert not directory().is_valid(ME)
    assert not directory(AGENT).is_valid(ME)


def test_the_same_token_of_two_initiators_is_revoked_for_each_by_itself() -> None:
    events: list[DirectoryEvent] = [AGENT, agent(2, issued(ONE)), OTHER, agent(2, issued(ONE), "other")]
    known = directory(*events, agent(3, issued(TWO)))
    assert known.authenticate(ONE) == Principal(InitiatorId("other"), ONE[:12])
    known.apply(agent(4, REVOKE_ONE))
    assert known.authenticate(ONE) == Principal(InitiatorId("other"), ONE[:12])
    known.apply(agent(3, REVOKE_ONE, "other"))
    assert known.authenticate(ONE) is None


def test_an_event_that_was_seen_changes_nothing() -> None:
    issue, revoke = agent(2, issued(ONE)), agent(3, REVOKE_ONE)
    suspend = voter(2, "a", VoterSuspended(by="admin"))
    reinstate = voter(3, "a", VoterReinstated(by="admin"))
    known = directory(AGENT, issue, revoke, registered("a"), suspend, reinstate)
    for event in (AGENT, issue, registered("a"), suspend):
        known.apply(event)
    assert known.authenticate(ONE) is None
    assert known.voters[VoterId("a")].status == "active"
    assert known.voters[VoterId("a")].version == 3


def test_a_missed_event_is_an_error_and_not_an_old_token_that_stays_valid() -> None:
    known = directory(AGENT, agent(2, issued(ONE)))
    with pytest.raises(ValueError, match=r"initiator\.agent: expected version 3, got 4"):
        known.apply(agent(4, issued(TWO)))
    with pytest.raises(ValueError, match=r"voter\.a: expected version 1, got 2"):
        known.apply(voter(2, "a", VoterSuspended(by="admin")))


def test_the_snapshot_has_every_voter_with_its_status_group_and_load() -> None:
    known = directory(
        registered("a"),
        registered("b", "others"),
        registered("c"),
        voter(2, "c", VoterSuspended(by="admin")),
        registered("d"),
        voter(2, "d", VoterRevoked(by="admin")),
    )
    assert known.snapshot({VoterId("a"): 3}, panel_size=2, group="others") == Snapshot(
        {
            VoterId("a"): Candidate("active", "default", 3),
            VoterId("b"): Candidate("active", "others", 0),
            VoterId("c"): Candidate("suspended", "default", 0),
            VoterId("d"): Candidate("revoked", "default", 0),
        },
        2,
        "others",
    )


def test_the_snapshot_has_the_weights_and_the_templates_that_there_are() -> None:
    def defined(version: int, name: str, *members: str) -> PanelDefined:
        return nth(version, panel_aggregate(name), PanelDefined(panel_id=name, members=members, by="admin"))

    known = directory(
        registered("a"),
        voter(2, "a", VoterChanged(weight=2.5, by="admin")),
        defined(1, "code", "a", "1 of llm"),
        defined(2, "code", "a"),
        defined(1, "old", "a"),
        nth(2, panel_aggregate("old"), PanelRemoved(by="admin")),
    )
    assert known.snapshot({}, 5, "default", "code") == Snapshot(
        {VoterId("a"): Candidate("active", "default", 0, 2.5)}, 5, "default", {"code": ("a",)}, "code"
    )


def test_a_panel_and_a_voter_and_an_initiator_of_one_name_are_three() -> None:
    panel = nth(1, AggregateId("panel.agent"), PanelDefined(panel_id="agent", members=("agent",), by="admin"))
    known = directory(AGENT, registered("agent"), panel)
    assert (len(known.voters), len(known.initiators), len(known.templates)) == (1, 1, 1)


def test_a_snapshot_stays_as_it_was() -> None:
    known = directory(registered("a"))
    before = known.snapshot({}, 5)
    known.apply(voter(2, "a", VoterSuspended(by="admin")))
    assert before.voters[VoterId("a")].status == "active"
    assert known.snapshot({}, 5).voters[VoterId("a")].status == "suspended"
