"""Events to stored bytes and back, and the hash chain over those bytes.

A message of a log holds what was appended together: one event, or several of one aggregate in a JSON array. The bytes
of an event are the same alone and in an array: the chain is over them.
"""

import hashlib
import os
from collections.abc import Sequence
from itertools import count
from typing import Any, Generic

import msgspec

from magi.domain.ids import AggregateId
from magi.eventstore.history import CorruptHistory, E, Head, Recorded

_process: str
_numbers: "count[int]"
_encode = msgspec.json.Encoder().encode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


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


def pack(events: Sequence[bytes]) -> bytes:
    """The message that holds these events of one aggregate, in their order: at least one."""
    return events[0] if len(events) == 1 else b"[%b]" % b",".join(events)


def unpack(data: bytes) -> list[bytes]:
    """The bytes of each event in a message, not yet decoded. Raises CorruptHistory when it is an array that holds none
    or isn't one to its end."""
    if not data.startswith(b"["):
        return [data]
    try:
        events = [bytes(raw) for raw in _decode_array(data)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptHistory(f"not an array of events: {error}") from error
    if not events:
        raise CorruptHistory("an array without an event")
    return events


class Codec(Generic[E]):
    """Encodes and decodes one union of event types."""

    def __init__(self, events: Any) -> None:
        """`events` is the union, such as ``RequestEvent``."""
        self._decoder = msgspec.json.Decoder(events)

    def stamp(self, event: E, aggregate: AggregateId, head: Head) -> tuple[E, bytes]:
        """The event with its envelope filled in, as the one that follows `head`; and its bytes."""
        stamped = msgspec.structs.replace(
            event,
            originator_id=aggregate,
            originator_version=head.version + 1,
            id=new_event_id(),
            prev=head.digest,
        )
        return stamped, _encode(stamped)

    def stamp_all(self, events: Sequence[E], aggregate: AggregateId, head: Head) -> list[tuple[E, bytes, Head]]:
        """Each event with its envelope filled in, its bytes, and the head that it makes: behind `head`, as one message,
        whose sequence is not known yet and is `head`'s."""
        stamped: list[tuple[E, bytes, Head]] = []
        for event in events:
            new, data = self.stamp(event, aggregate, head)
            head = Head(head.version + 1, head.sequence, digest(data))
            stamped.append((new, data, head))
        return stamped

    def decode(self, data: bytes) -> E:
        """Raises CorruptHistory when `data` is not an event of ours."""
        try:
            event: E = self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CorruptHistory(f"not an event: {error}") from error
        return event

    def recorded(self, sequence: int, data: bytes) -> list[Recorded[E]]:
        """The events of the message that is stored at `sequence`, in their order. Raises CorruptHistory."""
        found: list[Recorded[E]] = []
        for part in unpack(data):
            event = self.decode(part)
            found.append(Recorded(sequence, event, part, Head(event.originator_version, sequence, digest(part))))
        return found
