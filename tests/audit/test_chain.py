"""The hash chain of one aggregate."""

from magi.audit.chain import START, Link, check_link
from magi.audit.events import digest, request_event
from tests.audit.histories import Book, sound_book


def test_a_sound_history_has_no_problems() -> None:
    book = Book()
    aggregate = book.request("one", a="pass", b="pass", c="pass")
    link = START
    for message in book.of(aggregate):
        event = request_event(message.data)
        assert check_link(link, aggregate, event) == []
        link = Link(event.originator_version, digest(message.data).hex())


def test_each_broken_link_is_named() -> None:
    book = sound_book()
    first, second = (request_event(m.data) for m in book.messages[:2])
    sound = Link(1, digest(book.messages[0].data).hex())
    aggregate = first.originator_id
    assert check_link(sound, aggregate, second) == []
    assert [p.kind for p in check_link(Link(1, "0" * 64), aggregate, second)] == ["chain"]
    assert [p.kind for p in check_link(sound, "agent.other", second)] == ["misplaced"]
    [missing] = check_link(START, aggregate, second)
    assert missing.kind == "version"
    assert "version 2 where 1 was expected: 1 missing" in missing.message
    [again] = check_link(Link(2, ""), aggregate, second)
    assert "version 2 again" in again.message


def test_the_first_event_must_not_follow_anything() -> None:
    book = sound_book()
    first = request_event(book.messages[0].data)
    assert check_link(Link(0, "0" * 64), first.originator_id, first)[0].kind == "chain"
