"""Stored bytes to events, trusting nothing: what a tampered event holds must not stop the audit of the others."""

import hashlib
from collections.abc import Iterable, Iterator

from msgspec import Struct

from magi.domain.clock import milliseconds
from magi.domain.directory import DirectoryEvent
from magi.domain.voting_request import Content, Received, RequestEvent
from magi.eventstore.codec import Codec, unpack
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory

_requests: Codec[RequestEvent] = Codec(RequestEvent)
_directory: Codec[DirectoryEvent] = Codec(DirectoryEvent)

NO_CONTENT = Content("", "")
"""Stands for what was submitted, which no decision rests on: states are kept without it."""


class RawEvent(Struct, frozen=True):
    """An event's stored bytes, or bytes that are none, and where they stand."""

    sequence: int
    """Of the message that holds it."""
    data: bytes


def parts(data: bytes) -> list[bytes]:
    """The bytes of each event of a message, at least one. A message that can't be taken apart is one as a whole: an
    event that can't be read."""
    try:
        return unpack(data)
    except CorruptHistory:
        return [data]


def raw_events(messages: Iterable[StoredMessage]) -> Iterator[RawEvent]:
    """The `parts` of all these messages, in order."""
    return (RawEvent(message.sequence, data) for message in messages for data in parts(message.data))


def request_event(data: bytes) -> RequestEvent:
    """Raises CorruptHistory when `data` is no event of a request, or one of its times is none."""
    event = _requests.decode(data)
    _check_time(event.at)
    if isinstance(event, Received):
        _check_time(event.deadline)
    return event


def directory_event(data: bytes) -> DirectoryEvent:
    """Raises CorruptHistory when `data` is no event of the directory, or has no time."""
    event = _directory.decode(data)
    _check_time(event.at)
    return event


def _check_time(text: str) -> None:
    try:
        milliseconds(text)
    except (ValueError, OverflowError) as error:
        raise CorruptHistory(f"not a time: {error}") from error


def digest(data: bytes) -> bytes:
    """SHA-256 of stored bytes: of an event's, or of a whole message's."""
    return hashlib.sha256(data).digest()
