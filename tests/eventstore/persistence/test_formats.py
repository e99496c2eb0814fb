"""The two formats: every originator has a subject of its own, and what was encoded is decoded as it was."""

import uuid

import pytest
from eventsourcing.persistence import ProgrammingError, StoredEvent
from hypothesis import given
from hypothesis import strategies as st

from magi.eventstore.direct import StoredMessage
from magi.eventstore.persistence.formats import PlainFormat

form = PlainFormat()
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(texts)
def test_any_text_is_one_token_of_a_subject(name: str) -> None:
    token = form.token(name)
    assert token
    assert not set(token) & set(" .*>\t\r\n\x00")
    assert token.isascii()


@given(texts, texts)
def test_different_originators_have_different_subjects(one: str, other: str) -> None:
    assert (form.token(one) == form.token(other)) == (one == other)


def test_an_originator_without_a_name_has_no_subject() -> None:
    with pytest.raises(ProgrammingError, match="empty"):
        form.token("")


@given(st.one_of(texts, st.uuids()), st.integers(0, 10**9), texts, st.binary())
def test_what_was_encoded_is_decoded_as_it_was(
    originator: str | uuid.UUID, version: int, topic: str, state: bytes
) -> None:
    event = StoredEvent(originator, version, topic, state)
    encoded = form.encode([event])
    message = StoredMessage(7, f"any.prefix.{form.token(originator)}", encoded.data, encoded.headers)
    assert form.decode(message) == [event]
    assert form.id_of(message) == encoded.id


@given(texts)
def test_headers_hold_what_a_header_can(topic: str) -> None:
    for value in form.encode([StoredEvent("a", 1, topic, b"")]).headers.values():
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip()
