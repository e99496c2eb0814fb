"""A request as it was: its history up to a version, a time, or a place in the log."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from magi.audit.events import RawEvent, raw_events, request_event
from magi.domain.clock import milliseconds
from magi.domain.voting_request import VotingRequest, fold
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory


class Moment(Struct, frozen=True):
    """A place in a history."""

    of: Literal["version", "time", "sequence"]
    value: int
    """The version (the `seq` of the protocol), milliseconds since 1970, or the sequence in the log, which is that of a
    message with all its events."""


def up_to(history: Sequence[StoredMessage], moment: Moment) -> list[RawEvent]:
    """The events that had happened by then, some of those that a message holds too; what is no event counts as being
    where it is found."""
    kept: list[RawEvent] = []
    for event in raw_events(history):
        if moment.of == "sequence":
            happened = event.sequence <= moment.value
        else:
            happened = _had_happened(event.data, moment, len(kept) + 1)
        if happened:
            kept.append(event)
    return kept


def _had_happened(data: bytes, moment: Moment, place: int) -> bool:
    try:
        event = request_event(data)
    except CorruptHistory:
        return moment.of == "time" or place <= moment.value
    return (event.originator_version if moment.of == "version" else milliseconds(event.at)) <= moment.value


def state_at(history: Sequence[StoredMessage], moment: Moment) -> VotingRequest:
    """The request as it was then. Raises CorruptHistory."""
    return fold(request_event(event.data) for event in up_to(history, moment))
