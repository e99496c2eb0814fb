"""Who was allowed to judge, and when."""

import msgspec
import pytest

from magi.audit.authority import SLACK, Registry, check_out, check_received, check_vote
from magi.domain.clock import rfc3339
from magi.domain.directory import DirectoryEvent
from magi.domain.initiator import InitiatorRevoked, TokenIssued
from magi.domain.voter import VoterReinstated, VoterRevoked, VoterSuspended
from magi.domain.voting_request import Received, VoterResult, Withdraw
from tests.audit.histories import INITIATOR, START, Book, kinds, registered, registry, rewritten, verify


def suspended(voter: str, at: int) -> DirectoryEvent:
    return VoterSuspended(originator_id=f"voter.{voter}", at=rfc3339(at), by="test")


def reinstated(voter: str, at: int) -> DirectoryEvent:
    return VoterReinstated(originator_id=f"voter.{voter}", at=rfc3339(at), by="test")


def revoked(voter: str, at: int) -> DirectoryEvent:
    return VoterRevoked(originator_id=f"voter.{voter}", at=rfc3339(at), by="test")


def received(book: Book, request: str = "one") -> Received:
    event = book.state(book.receive(request)).received
    assert event
    return event


def vote(voter: str, at: int) -> VoterResult:
    return VoterResult(at=rfc3339(at), voter_id=voter, vote="pass")


def test_statuses_change_when_their_events_say() -> None:
    who = registry(suspended("a", START), reinstated("a", START + 60_000), revoked("a", START + 120_000))
    assert who.voter("a", START - 120_000) == {"unregistered"}
    assert who.voter("a", START - 30_000) == {"active"}
    assert who.voter("a", START + 30_000) == {"suspended"}
    assert who.voter("a", START + 90_000) == {"active"}
    assert who.voter("a", START + 500_000) == {"revoked"}
    assert who.voter("nobody", START) == {"unregistered"}


def test_around_a_change_both_statuses_count() -> None:
    who = registry(suspended("a", START))
    assert who.voter("a", START + SLACK) == {"active", "suspended"}
    assert who.voter("a", START - SLACK) == {"active", "suspended"}
    assert who.voter("a", START + SLACK + 1) == {"suspended"}
    assert who.voter("a", START - SLACK - 1) == {"active"}


def test_a_panel_of_active_voters_is_authorized() -> None:
    assert check_received(registry(), received(Book())) == []


@pytest.mark.parametrize(
    ("change", "was"), [(suspended("b", START - 30_000), "suspended"), (revoked("b", START - 30_000), "revoked")]
)
def test_a_panel_with_a_voter_that_was_not_active_is_not(change: DirectoryEvent, was: str) -> None:
    [problem] = check_received(registry(change), received(Book()))
    assert problem.kind == "unauthorized"
    assert f"voter 'b' of the panel was {was}" in problem.message


def test_nor_one_with_a_voter_that_was_registered_later() -> None:
    book = Book()
    event = book.state(book.receive("one", panel=("a", "d"))).received
    assert event
    [problem] = check_received(registry(registered("d", START + 60_000)), event)
    assert "voter 'd' of the panel was not registered" in problem.message


def test_an_unknown_initiator_is_a_fault_and_one_revoked_meanwhile_a_note() -> None:
    event = received(Book())
    kinds = [p.kind for p in check_received(Registry(), event)]
    assert kinds == ["unauthorized"] * 4
    gone = InitiatorRevoked(originator_id=f"initiator.{INITIATOR}", at=rfc3339(START - 30_000), by="test")
    assert [p.kind for p in check_received(registry(gone), event)] == ["initiator_revoked"]


def test_a_token_changes_nobodys_status() -> None:
    token = TokenIssued(
        originator_id=f"initiator.{INITIATOR}", at=rfc3339(START), token_id="t", sha256="0" * 64, by="test"
    )
    assert registry(token).initiator(INITIATOR, START + 60_000) == {"active"}


def test_a_vote_of_a_revoked_voter_is_a_fault_and_of_a_suspended_one_a_note() -> None:
    assert check_vote(registry(), vote("a", START)) == []
    late = vote("a", START + 20_000)
    assert [p.kind for p in check_vote(registry(revoked("a", START)), late)] == ["unauthorized"]
    assert [p.kind for p in check_vote(registry(suspended("a", START)), late)] == ["suspended"]
    assert [p.kind for p in check_vote(registry(), vote("nobody", START))] == ["unauthorized"]


def test_a_request_that_is_judged_while_its_voter_is_suspended_is_not_broken() -> None:
    book = Book()
    aggregate = book.receive("one")
    for voter in "abc":
        book.vote(aggregate, voter, "pass", START + 20_000)
    findings = verify(book.messages, who=registry(suspended("b", START + 10_000)))
    assert findings.count("broken") == 0
    assert findings.count("note") == 1


def without_c(decide: str = "all") -> Book:
    """Decided after the votes of a and b, since c was revoked."""
    book = Book()
    aggregate = book.receive("one", decide=decide)
    book.vote(aggregate, "a", "pass")
    book.vote(aggregate, "b", "fail", START + 11)
    book.do(aggregate, Withdraw(frozenset("c"), START + 20_000), cause=1)
    assert book.verdict(aggregate).out == ("c",)
    return book


@pytest.mark.parametrize("decide", ["all", "early"])
def test_a_verdict_that_did_not_wait_for_a_revoked_voter_follows(decide: str) -> None:
    assert kinds(verify(without_c(decide).messages, who=registry(revoked("c", START + 19_000)))) == []


@pytest.mark.parametrize("change", [(), (suspended("c", START + 19_000),), (revoked("c", START + 60_000),)])
def test_one_that_did_not_wait_for_a_voter_that_was_not_revoked_is_a_fault(change: tuple[DirectoryEvent, ...]) -> None:
    findings = verify(without_c().messages, who=registry(*change))
    assert kinds(findings) == ["unauthorized"]
    assert "its vote was not waited for" in findings.first[0].message


def test_who_was_passed_over_cannot_be_left_out_or_added() -> None:
    messages = without_c().messages
    for old, new in ((b',"out":["c"]', b""), (b'"out":["c"]', b'"out":["c","a"]')):
        assert old in messages[-1].data
        last = msgspec.structs.replace(messages[-1], data=messages[-1].data.replace(old, new))
        everybody = registry(revoked("c", START + 19_000), revoked("a", START + 19_000))
        assert kinds(verify(rewritten([*messages[:-1], last]), who=everybody)) == ["verdict"]


def test_a_verdict_that_waited_for_all_passes_over_nobody() -> None:
    book = Book()
    assert check_out(registry(), book.verdict(book.request("one", a="pass"))) == []
