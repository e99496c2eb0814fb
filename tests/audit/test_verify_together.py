"""The audit of messages that hold several events: what somebody does inside of one is caught."""

from collections.abc import Callable

import msgspec
import pytest

from magi.audit.directory_check import check_directory
from magi.audit.events import parts
from magi.audit.findings import Finding, Findings
from magi.domain.clock import rfc3339
from magi.domain.initiator import TokenExpires, TokenIssued
from magi.eventstore.codec import pack
from magi.eventstore.direct import StoredMessage
from tests.audit.histories import INITIATOR, START, Book, directory, kinds, renumbered, verify, verify_one
from tests.audit.test_verify import head_of, run_tail
from tests.audit.together import apart, together

Events = list[bytes]


@pytest.fixture
def book() -> Book:
    """Two requests; of the first the reception alone, then five events at once, then two."""
    book = Book()
    one = book.of(book.request("one", a="pass", b="pass", c="fail"))
    other = book.of(book.request("other", a="pass", b="pass", c="fail"))
    book.messages = renumbered([one[0], *other[:3], together(one[1:6]), *other[3:], together(one[6:])])
    return book


FIVE = 4
"""The place of the message with five events, versions 2 to 6."""


def with_events(book: Book, change: Callable[[Events], Events]) -> list[StoredMessage]:
    message = book.messages[FIVE]
    changed = msgspec.structs.replace(message, data=pack(change(parts(message.data))))
    return [*book.messages[:FIVE], changed, *book.messages[FIVE + 1 :]]


def with_data(book: Book, data: bytes) -> list[StoredMessage]:
    return [*book.messages[:FIVE], msgspec.structs.replace(book.messages[FIVE], data=data), *book.messages[FIVE + 1 :]]


def places(findings: Findings) -> list[tuple[int, int, str]]:
    def place(finding: Finding) -> tuple[int, int, str]:
        return finding.sequence, finding.version, finding.kind

    return [place(finding) for finding in findings.first]


def test_a_sound_one_is_fine(book: Book) -> None:
    assert kinds(verify(book.messages)) == []
    assert verify_one(book.of(book.messages[0].subject)).read.events == 8


def test_what_is_wrong_is_told_of_the_event_and_the_message_that_holds_it(book: Book) -> None:
    messages = with_events(book, lambda e: [*e[:2], e[2].replace(b'"status":"', b'"status":"un'), *e[3:]])
    assert places(verify(messages)) == [(FIVE + 1, 5, "chain")]
    messages = with_events(book, lambda e: [*e[:4], e[4].replace(b'"vote":"pass"', b'"vote":"fail"')])
    assert places(verify(messages))[0] == (len(messages), 7, "chain")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda e: [*e[:1], *e[2:]], "version"),
        (lambda e: e[:-1], "version"),
        (lambda e: e[1:], "version"),
        (lambda e: [e[0], e[2], e[1], *e[3:]], "version"),
        (lambda e: [*e, e[-1]], "event_id"),
        (lambda e: [*e[:2], b'{"type":"adjudicated"}', *e[3:]], "unreadable"),
        (lambda e: [*e[:2], b"[%b]" % e[2], *e[3:]], "unreadable"),
        (lambda e: [*e[:2], b"7", *e[3:]], "unreadable"),
    ],
)
def test_events_that_were_dropped_moved_doubled_or_replaced_in_one_are_found(
    book: Book, change: Callable[[Events], Events], found: str
) -> None:
    findings = verify(with_events(book, change))
    assert found in kinds(findings)
    assert findings.first[0].sequence >= FIVE + 1


def test_an_event_of_another_request_in_one_is_misplaced(book: Book) -> None:
    foreign = book.messages[1].data
    findings = verify(with_events(book, lambda e: [*e, foreign]))
    assert (FIVE + 1, 1, "misplaced") in places(findings)


@pytest.mark.parametrize("damage", [b"[]", b"[", b"[%b", b"%b]", b"[%b]]", b"[%b,]", b"[%b\xff]", b"[" * 100_000])
def test_one_that_can_not_be_taken_apart_is_unreadable_and_the_log_is_read_on(book: Book, damage: bytes) -> None:
    events = b",".join(parts(book.messages[FIVE].data))
    messages = with_data(book, damage % events if b"%b" in damage else damage)
    findings = verify(messages)
    assert places(findings)[0] == (FIVE + 1, 2, "unreadable")
    assert {finding.sequence for finding in findings.first} == {FIVE + 1, len(messages)}  # and what came after it


def test_blanks_in_one_change_no_event_but_the_head(book: Book) -> None:
    messages = with_data(book, b"[ %b ]" % b" , ".join(parts(book.messages[FIVE].data)))
    assert kinds(verify(messages)) == []
    assert kinds(verify(messages, since=head_of(book.messages))) == ["changed_since"]


def test_events_in_other_messages_are_seen_by_an_earlier_head_only(book: Book) -> None:
    messages = apart(book.messages)
    assert kinds(verify(messages)) == []
    assert kinds(verify(messages, since=head_of(book.messages))) == ["changed_since"]


def test_a_tail_begins_with_the_message_that_the_audit_before_it_ended_with(book: Book) -> None:
    head = head_of(book.messages[: FIVE + 1])
    findings, verifier = run_tail(book, head, book.messages)
    assert findings.first == []
    assert verifier.finish(len(book.messages), START).events == len(apart(book.messages[FIVE + 1 :]))
    changed = with_events(book, lambda e: [*e[:-1], e[-1].replace(b'"pass"', b'"fail"')])
    findings, _ = run_tail(book, head, changed)
    assert kinds(findings)[0] == "changed_since"


def test_changes_of_the_directory_that_were_stored_together_are_checked_each() -> None:
    at = rfc3339(START)
    name = f"initiator.{INITIATOR}"
    rotated = directory(
        TokenIssued(originator_id=name, at=at, token_id="one", sha256="1", by="test"),
        TokenIssued(originator_id=name, at=at, token_id="two", sha256="2", by="test"),
        TokenExpires(originator_id=name, at=at, token_id="one", expires=at, by="test"),
    )
    messages = [*rotated[:-2], together(rotated[-2:])]
    findings = Findings()
    assert "active" in check_directory(messages, findings, len(messages)).initiator(INITIATOR, START)
    assert findings.first == []
    last = messages[-1]
    for damage in (
        last.data.replace(b'"sha256":"2"', b'"sha256":"3"'),
        pack(list(reversed(parts(last.data)))),
        pack(parts(last.data)[1:]),
        last.data[:-1],
    ):
        findings = Findings()
        check_directory([*messages[:-1], msgspec.structs.replace(last, data=damage)], findings, len(messages))
        assert findings.count("broken") > 0
        assert {finding.sequence for finding in findings.first} == {len(messages)}
