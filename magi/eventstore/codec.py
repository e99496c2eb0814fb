"""Events to stored bytes and back, and the hash chain over those bytes."""

import hashlib
import os
from itertools import count
from typing import Any, Generic

import msgspec

from magi.domain.ids import AggregateId
from magi.eventstore.history import CorruptHistory, E, Head, Recorded

_process: str
_numbers: "count[int]"
_encode = msgspec.json.Encoder().encode


def _be_a_new_process() -> None:
    global _process, _numbers
    _process, _numbers = os.urandom(8).hex(), count(1)


_be_a_new_process()
os.register_at_fork(after_in_child=_be_a_new_process)  # or a fork would go on with its parent's ids


def new_event_id() -> str:
    """Unique over all processes: 64 random bits of this one and a number of its own."""
    return f"{_process}-{next(_numbers):x}"


def digest(data: bytes) -> str:
    """SHA-256 (hex) of an event's stored bytes: what the next event's `prev` holds."""
    return hashlib.sha256(data).hexdigest()


class Codec(Generic[E]):
    """Encodes and decodes one union of event types."""

    def __init__(self, events: Any) -> None:
        """`events` is the union, such as ``RequestEvent``."""
        self._decoder = msgspec.json.Decoder(events)

    def stamp(self, event: E, aggregate: AggregateId, head: Head, cause: int, trace: str) -> tuple[E, bytes]:
        """The event with its envelope filled in, as the one that follows `head`; and its bytes."""
        stamped = msgspec.structs.replace(
            event,
            originator_id=aggregate,
            originator_version=head.version + 1,
            id=new_event_id(),
            cause=cause,
            trace=trace,
            prev=head.digest,
        )
        return stamped, _encode(stamped)

    def decode(self, data: bytes) -> E:
        """Raises CorruptHistory when `data` is not an event of ours."""
        try:
            event: E = self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CorruptHistory(f"not an event: {error}") from error
        return event

    def recorded(self, sequence: int, data: bytes) -> Recorded[E]:
        event = self.decode(data)
        return Recorded(sequence, event, data, Head(event.originator_version, sequence, digest(data)))
