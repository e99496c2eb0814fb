"""A request as it was."""

import msgspec
import pytest

from magi.audit.events import raw_events
from magi.audit.state_at import Moment, state_at, up_to
from magi.eventstore.history import CorruptHistory
from tests.audit.histories import START, Book


@pytest.fixture
def book() -> Book:
    book = Book()
    book.request("other", a="pass", b="pass", c="pass")
    aggregate = book.receive("one")
    for place, voter in enumerate("abc", 1):
        book.vote(aggregate, voter, "pass", START + place * 1000)
    return book


def test_at_a_version(book: Book) -> None:
    history = book.messages[8:]
    assert state_at(history, Moment("version", 0)).received is None
    assert list(state_at(history, Moment("version", 3)).votes) == ["a", "b"]
    assert state_at(history, Moment("version", 99)).verdict


def test_at_a_time(book: Book) -> None:
    history = book.messages[8:]
    assert state_at(history, Moment("time", START - 1)).received is None
    assert state_at(history, Moment("time", START)).received
    assert list(state_at(history, Moment("time", START + 2999)).votes) == ["a", "b"]
    assert state_at(history, Moment("time", START + 3000)).verdict


def test_at_a_sequence_of_the_log(book: Book) -> None:
    history = book.messages[8:]
    assert state_at(history, Moment("sequence", 8)).received is None
    assert list(state_at(history, Moment("sequence", 10)).votes) == ["a"]


def test_an_unreadable_event_stays_where_it_is_found(book: Book) -> None:
    history = book.messages[8:]
    damaged = [*history[:2], msgspec.structs.replace(history[2], data=b"junk"), *history[3:]]
    assert up_to(damaged, Moment("version", 3)) == list(raw_events(damaged[:3]))
    assert up_to(damaged, Moment("version", 2)) == list(raw_events(damaged[:2]))
    with pytest.raises(CorruptHistory):
        state_at(damaged, Moment("version", 3))
