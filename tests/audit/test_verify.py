"""The audit of a log: what somebody does to it is caught."""

from itertools import pairwise

import msgspec
import pytest

from magi.audit.events import digest
from magi.audit.findings import MOST, Findings
from magi.audit.rolling import Head
from magi.audit.verify import LogVerifier
from magi.eventstore.direct import StoredMessage
from tests.audit.histories import (
    LATER,
    START,
    Book,
    changed,
    codec,
    dropped,
    inserted,
    kinds,
    registry,
    renumbered,
    rewritten,
    sound_book,
    swapped,
    verify,
)


def head_of(messages: list[StoredMessage]) -> Head:
    head = Head()
    for message in messages:
        head = head.then(message.sequence, digest(message.data))
    return head


def test_a_sound_log_is_fine_and_counted() -> None:
    book = sound_book()
    verifier = LogVerifier(registry(), Findings())
    for message in book.messages:
        assert not verifier.wants(message)
        assert verifier.feed(message) == []
    read = verifier.finish(len(book.messages), LATER)
    assert verifier.findings.first == []
    assert (read.events, read.first, read.last) == (len(book.messages), 1, len(book.messages))
    assert (read.requests, read.votes, read.open) == (3, 8, 0)
    assert read.verdicts == {"pass": 2, "fail": 1}
    assert verifier.head == head_of(book.messages)


def test_histories_may_be_interleaved_in_any_way() -> None:
    book = Book()
    one, two = book.receive("one"), book.receive("two")
    for voter in "abc":
        book.vote(one, voter, "pass")
        book.vote(two, voter, "fail")
    assert kinds(verify(book.messages)) == []


def test_only_open_requests_are_held() -> None:
    book = Book()
    for number in range(50):
        book.request(f"request {number}", a="pass", b="pass", c="pass")
    still_open = book.receive("open")
    verifier = LogVerifier(registry(), Findings())
    held = []
    for message in book.messages:
        verifier.wants(message)
        verifier.feed(message)
        held.append(len(verifier._open))
    assert max(held) == 1
    assert verifier.holds(still_open)


EVENTS = len(sound_book().messages)


@pytest.mark.parametrize("place", range(EVENTS))
def test_an_event_that_was_changed_is_found(place: int) -> None:
    book = sound_book()
    messages = changed(book.messages, place, b'"at":"2026', b'"at":"2025')
    if place in ends(book):  # nothing comes after it that could hold its hash
        assert kinds(verify(messages)) in (["clock"], ["verdict", "clock"])  # or that it is before the deadline
    else:
        assert verify(messages).count("broken") > 0
    assert "changed_since" in kinds(verify(messages, since=head_of(book.messages)))


@pytest.mark.parametrize("place", range(EVENTS))
def test_an_event_that_was_dropped_leaves_a_hole(place: int) -> None:
    messages = sound_book().messages
    left = [*messages[:place], *messages[place + 1 :]]
    assert "hole" in kinds(verify(left, last=len(messages)))


def ends(book: Book) -> set[int]:
    """The places of the last event of each history."""
    return {max(i for i, m in enumerate(book.messages) if m.subject == subject) for subject in _subjects(book)}


def _subjects(book: Book) -> set[str]:
    return {message.subject for message in book.messages}


def test_a_dropped_event_is_found_in_a_copy_without_holes_too() -> None:
    book = sound_book()
    for place in range(len(book.messages)):
        findings = verify(dropped(book.messages, place))
        if place in ends(book):  # a verdict that is gone leaves a request that nobody decided
            assert kinds(findings) == ["overdue"]
        else:
            assert findings.count("broken") > 0, place


def test_a_verdict_that_was_dropped_from_a_copy_is_found_by_the_head_of_an_earlier_audit() -> None:
    book = sound_book()
    head = head_of(book.messages)
    for place in ends(book):
        assert "cut_off" in kinds(verify(dropped(book.messages, place), since=head))


def test_events_of_a_request_in_another_order_are_found() -> None:
    book = sound_book()
    of = [i for i, m in enumerate(book.messages) if m.subject == book.messages[0].subject]
    for place, other in pairwise(of):
        assert verify(swapped(book.messages, place, other)).count("broken") > 0


def test_events_of_two_requests_in_another_order_are_found_by_the_head_only() -> None:
    """The order among requests is nobody's claim but the log's; an earlier head holds it to it."""
    book = Book()
    book.receive("one")
    book.receive("two")
    head = head_of(book.messages)
    messages = swapped(book.messages, 0, 1)
    assert verify(messages).count("broken") == 0
    assert "changed_since" in kinds(verify(messages, since=head))


def forged_vote(book: Book, place: int) -> StoredMessage:
    """A vote like the one at `place`, of a voter that hasn't voted, made with the hash that it must have there."""
    event = codec.decode(book.messages[place].data)
    forged = msgspec.structs.replace(event, id="ffffffffffffffff-1", cause=1000)
    return StoredMessage(0, book.messages[place].subject, msgspec.json.encode(forged))


def test_an_event_that_was_inserted_is_found() -> None:
    book = sound_book()
    for place in range(1, len(book.messages)):
        copied = inserted(book.messages, place, book.messages[0])
        assert verify(copied).count("broken") > 0, place
    votes = [i for i, m in enumerate(book.messages) if b"voter_result" in m.data]
    for place in votes:
        assert verify(inserted(book.messages, place, forged_vote(book, place))).count("broken") > 0


def test_a_history_that_was_appended_to_after_its_verdict_is_found() -> None:
    book = sound_book()
    last_vote = codec.decode(book.messages[6].data)
    end = book.of(book.messages[0].subject)[-1]
    appended = msgspec.structs.replace(
        last_vote, originator_version=9, prev=digest(end.data).hex(), id="ffffffffffffffff-1", cause=1000
    )
    messages = renumbered([*book.messages, StoredMessage(0, book.messages[0].subject, msgspec.json.encode(appended))])
    findings = verify(messages)
    assert kinds(findings) == ["history"]
    assert "after the verdict" in findings.first[0].message


def test_a_whole_history_that_is_there_a_second_time_is_found() -> None:
    book = sound_book()
    messages = renumbered([*book.messages, *book.of(book.messages[0].subject)])
    found = kinds(verify(messages))
    assert found.count("event_id") == 8
    assert "version" in found


def test_a_vote_that_was_changed_with_every_hash_made_right_contradicts_its_verdict() -> None:
    book = sound_book()
    place = next(i for i, m in enumerate(book.messages) if b'"vote":"pass"' in m.data)
    messages = rewritten(changed(book.messages, place, b'"vote":"pass"', b'"vote":"fail"'))
    findings = verify(messages)
    assert set(kinds(findings)) == {"verdict"}
    assert "final_vote is pass, decided again it is fail" in "\n".join(f.message for f in findings.first)


def test_a_history_that_was_rewritten_as_a_whole_is_found_by_the_head_of_an_earlier_audit() -> None:
    """Vote and verdict both: nothing in the log contradicts it any more."""
    book = Book()
    book.request("one", a="pass", b="pass", c="fail")
    other = Book()
    other.request("one", a="pass", b="fail", c="fail")
    assert verify(other.messages).count("broken") == 0
    assert kinds(verify(other.messages, since=head_of(book.messages))) == ["changed_since"]


@pytest.mark.parametrize("data", [b"", b"not json", b"{}", b"[" * 5000, b"\xff", b'{"type":"received"}'])
def test_bytes_that_are_no_event_are_found_and_the_others_still_checked(data: bytes) -> None:
    book = sound_book()
    message = msgspec.structs.replace(book.messages[3], data=data)
    findings = verify([*book.messages[:3], message, *book.messages[4:]])
    assert kinds(findings)[0] == "unreadable"
    assert findings.first[0].version == 4
    assert "chain" in kinds(findings)


@pytest.mark.parametrize("at", ["", "yesterday", "2026-01-31T12:00:00", "9999999-01-01T00:00:00Z"])
def test_a_time_that_is_none_makes_an_event_unreadable(at: str) -> None:
    book = sound_book()
    event = msgspec.structs.replace(codec.decode(book.messages[0].data), at=at)
    message = msgspec.structs.replace(book.messages[0], data=msgspec.json.encode(event))
    assert "unreadable" in kinds(verify([message, *book.messages[1:]]))


def test_a_request_that_is_long_overdue_is_noted() -> None:
    book = Book()
    book.receive("one", now=START)
    verifier = LogVerifier(registry(), Findings())
    for message in book.messages:
        verifier.feed(message)
    read = verifier.finish(1, LATER)
    assert read.open == 1
    assert kinds(verifier.findings) == ["overdue"]
    assert verifier.findings.count("broken") == 0


def test_a_tail_goes_on_where_an_earlier_audit_ended() -> None:
    book = sound_book()
    for place in range(1, len(book.messages) + 1):
        head = head_of(book.messages[:place])
        findings, verifier = run_tail(book, head, book.messages)
        assert findings.first == [], place
        assert verifier.head == head_of(book.messages)


def run_tail(book: Book, head: Head, messages: list[StoredMessage]) -> tuple[Findings, LogVerifier]:
    verifier = LogVerifier(registry(), Findings(), "tail", head)
    for message in messages[max(0, head.sequence - 1) :]:
        earlier: list[StoredMessage] = []
        if verifier.wants(message):
            earlier = [m for m in messages if m.subject == message.subject and m.sequence < message.sequence]
        verifier.feed(message, earlier)
    verifier.finish(len(messages), LATER)
    return verifier.findings, verifier


def test_a_tail_finds_that_the_event_it_begins_with_is_another() -> None:
    book = sound_book()
    head = head_of(book.messages[:10])
    messages = changed(book.messages, 9, b'"at":"2026', b'"at":"2025')
    assert "changed_since" in kinds(run_tail(book, head, messages)[0])


def test_a_tail_finds_what_was_changed_before_it_in_a_request_that_goes_on() -> None:
    book = sound_book()
    head = head_of(book.messages[:5])
    messages = changed(book.messages, 1, b'"at":"2026', b'"at":"2025')
    findings, _ = run_tail(book, head, messages)
    assert kinds(findings) == ["clock", "chain"]
    assert findings.first[1].sequence == 3


def test_a_tail_finds_that_its_first_event_or_the_log_behind_it_is_gone() -> None:
    book = sound_book()
    head = head_of(book.messages[:10])
    verifier = LogVerifier(registry(), Findings(), "tail", head)
    for message in book.messages[10:]:
        verifier.feed(message, [m for m in book.messages[:10] if m.subject == message.subject])
    assert kinds(verifier.findings)[0] == "hole"
    findings, _ = run_tail(book, head, book.messages[:7])
    assert kinds(findings) == ["cut_off"]


def test_a_log_that_is_wrong_everywhere_fills_no_memory() -> None:
    book = Book()
    for number in range(300):
        book.request(f"request {number}", a="pass", b="pass", c="pass")
    findings = verify([msgspec.structs.replace(m, data=b"") for m in book.messages])
    assert len(findings.first) == MOST
    assert findings.counts["unreadable"] == len(book.messages)


def test_garbage_under_a_closed_name_is_loaded_once_and_not_with_every_event() -> None:
    book = Book()
    aggregate = book.request("one", a="pass", b="pass", c="pass")
    junk = [StoredMessage(0, f"magi.log.{aggregate}", b"junk") for _ in range(100)]
    verifier = LogVerifier(registry(), Findings())
    wanted = 0
    for message in renumbered([*book.messages, *junk]):
        wants = verifier.wants(message)
        wanted += wants
        verifier.feed(message, book.messages if wants else ())
    assert wanted == 1
