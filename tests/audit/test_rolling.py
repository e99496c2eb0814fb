"""The log's head."""

import pytest

from magi.audit.events import digest
from magi.audit.rolling import Head, parse_head
from tests.audit.histories import sound_book


def head_of(messages) -> Head:  # type: ignore[no-untyped-def]
    head = Head()
    for message in messages:
        head = head.then(message.sequence, digest(message.data))
    return head


def test_it_is_read_as_it_is_written() -> None:
    head = head_of(sound_book().messages)
    assert parse_head(str(head)) == head
    assert parse_head(f" {Head()}\n") == Head()


def test_every_event_and_every_place_counts() -> None:
    messages = sound_book().messages
    heads = {head_of(messages[:count]) for count in range(len(messages) + 1)}
    assert len(heads) == len(messages) + 1
    swapped = [messages[1], messages[0], *messages[2:]]
    assert head_of(swapped).rolling != head_of(messages).rolling


def test_the_last_event_shows_in_the_head_itself() -> None:
    messages = sound_book().messages
    assert head_of(messages).last == digest(messages[-1].data)


@pytest.mark.parametrize("text", ["", "5", "5,", "5,ab", "-1," + "0" * 128, "5," + "g" * 128, "5," + "0" * 64, "x,y"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="SEQ,HASH"):
        parse_head(text)
