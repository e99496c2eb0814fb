"""What makes events a voting request's history."""

import msgspec
import pytest

from magi.audit.events import request_event
from magi.audit.history_rules import RequestCheck, event_name
from magi.domain.clock import rfc3339
from magi.domain.voting_request import Adjudicated, Received, VoterProgress, VoterResult
from magi.eventstore.codec import digest
from tests.audit.histories import START, TIMEOUT, Book, aggregate_of, kinds, registry, verify, verify_one


def test_a_sound_request_has_no_problems_and_its_content_is_not_kept() -> None:
    book = Book()
    aggregate = book.request("one", a="pass", b="fail", c="abstain")
    check = RequestCheck(aggregate, registry())
    for message in book.of(aggregate):
        assert check.take(request_event(message.data), digest(message.data)) == []
    assert check.state.verdict == book.verdict(aggregate)
    assert check.state.received
    assert check.state.received.content.agent_answer == ""


def vote(voter: str) -> VoterResult:
    return VoterResult(at=rfc3339(START + 20), voter_id=voter, vote="pass")


def test_a_vote_of_a_voter_that_is_not_on_the_panel_is_found() -> None:
    book = Book()
    aggregate = book.receive("one", panel=("a", "b"))
    book.store(aggregate, vote("c"), 7)
    assert kinds(verify_one(book.of(aggregate)).findings) == ["not_on_panel"]


def test_so_is_its_progress() -> None:
    book = Book()
    aggregate = book.receive("one", panel=("a", "b"))
    book.store(aggregate, VoterProgress(at=rfc3339(START + 1), voter_id="c", status="x"), 7)
    assert kinds(verify_one(book.of(aggregate)).findings) == ["not_on_panel"]


def test_a_second_vote_of_a_voter_is_found() -> None:
    book = Book()
    aggregate = book.receive("one")
    book.vote(aggregate, "a", "fail")
    book.store(aggregate, vote("a"), 7)
    findings = verify_one(book.of(aggregate)).findings
    assert kinds(findings) == ["history"]
    assert "voted already" in findings.first[0].message


def test_anything_after_the_verdict_is_found() -> None:
    book = Book()
    aggregate = book.request("one", a="pass", b="pass", c="pass")
    book.store(aggregate, vote("a"), 99)
    findings = verify_one(book.of(aggregate)).findings
    assert kinds(findings) == ["history"]
    assert "after the verdict of version 8" in findings.first[0].message


def test_a_second_reception_is_found() -> None:
    book = Book()
    aggregate = book.receive("one")
    received = book.state(aggregate).received
    assert received
    book.store(aggregate, received, 9)
    assert "history" in kinds(verify_one(book.of(aggregate)).findings)


def test_a_history_without_its_beginning_is_told_once() -> None:
    book = Book()
    aggregate = book.request("one", a="pass", b="pass", c="pass")
    findings = verify_one(book.of(aggregate)[1:]).findings
    assert sorted(kinds(findings)) == ["history", "version"]


def received(**changes: object) -> Book:
    book = Book()
    event = book.state(book.receive("one")).received
    assert event
    other = Book()
    other.store(aggregate_of("one"), msgspec.structs.replace(event, **changes), 1)
    return other


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"request_id": "two"}, "misplaced"),
        ({"initiator_id": "somebody"}, "misplaced"),
        ({"voters": ("a", "a")}, "history"),
        ({"voters": ()}, "history"),
        ({"deadline": rfc3339(START + TIMEOUT + 1)}, "history"),
        ({"timeout_ms": 10**30}, "history"),
    ],
)
def test_a_reception_that_decide_would_not_have_made_is_found(changes: dict[str, object], kind: str) -> None:
    assert kind in kinds(verify(received(**changes).messages))


def test_every_event_names_the_message_that_led_to_it() -> None:
    book = Book()
    aggregate = book.receive("one")
    book.store(aggregate, vote("a"), 0)
    assert kinds(verify_one(book.of(aggregate)).findings) == ["cause"]


def test_one_ballot_leads_to_one_vote() -> None:
    book = Book()
    aggregate = book.receive("one")
    book.store(aggregate, vote("a"), 5)
    book.store(aggregate, vote("b"), 5)
    findings = verify_one(book.of(aggregate)).findings
    assert kinds(findings) == ["cause"]
    assert "message 5 of the inbox" in findings.first[0].message


def test_a_verdict_at_the_deadline_comes_from_the_submission() -> None:
    book = Book()
    aggregate = book.receive("one")
    book.expire(aggregate)
    assert kinds(verify_one(book.of(aggregate)).findings) == []
    other = Book()
    other.receive("one")
    other.store(aggregate, book.verdict(aggregate), 7)
    assert kinds(verify_one(other.of(aggregate)).findings) == ["cause"]


def test_a_clock_that_was_put_back_is_noted() -> None:
    book = Book()
    aggregate = book.receive("one")
    book.vote(aggregate, "a", "pass", now=START - 60_000)
    found = verify_one(book.of(aggregate))
    assert kinds(found.findings) == ["clock"]
    assert found.outcome == "fine"


def test_events_have_the_names_that_they_are_stored_under() -> None:
    book = Book()
    book.request("one", a="pass", b="pass", c="pass")
    events = [request_event(message.data) for message in book.messages]
    assert [event_name(event) for event in events[:2]] == ["received", "voter_progress"]
    assert {type(event) for event in events} == {Received, VoterProgress, VoterResult, Adjudicated}
