"""How a stored event of the library lies in a stream: as any bytes with headers beside them, or as an event of ours."""

import re
from collections.abc import Sequence
from typing import Any, Protocol, get_args
from urllib.parse import quote, unquote
from uuid import UUID

import msgspec
from eventsourcing.persistence import DataError, IntegrityError, ProgrammingError, StoredEvent
from eventsourcing.utils import get_topic
from msgspec import Struct, field

from magi.eventstore.codec import digest, new_event_id, pack, unpack
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory


class Encoded(Struct, frozen=True):
    """A message ready to be published."""

    id: str
    """Unique: by it a writer knows its own message again after a lost acknowledgement."""
    data: bytes
    headers: dict[str, str]


class Format(Protocol):
    """The two ways to lie in a stream have this in common."""

    first_versions: frozenset[int]
    """What an originator's first event may have."""
    together: int
    """The most events that a message holds."""

    def token(self, originator_id: UUID | str) -> str:
        """The subject of an originator, after the prefix. Raises ProgrammingError when it can't have one."""
        ...

    def encode(self, events: Sequence[StoredEvent]) -> Encoded:
        """The message that holds `events`, at least one and at most `together`, of one originator. Raises
        ProgrammingError when one doesn't belong into such a stream."""
        ...

    def decode(self, message: StoredMessage) -> list[StoredEvent]:
        """The events that it holds, at least one and at most `together`. Raises DataError when it isn't of this
        format."""
        ...

    def id_of(self, message: StoredMessage) -> str:
        """The id that `encode` gave it; empty when it has none. Raises DataError as `decode`."""
        ...

    def check_follows(self, state: bytes, before: bytes | None) -> None:
        """Raises IntegrityError when `state` doesn't follow the event that is stored as `before`."""
        ...


class PlainFormat:
    """Any bytes: version, topic and the originator's type are in headers. For applications of the library."""

    first_versions = frozenset({0, 1})
    together = 1

    VERSION = "Magi-Version"
    TOPIC = "Magi-Topic"
    EVENT_ID = "Magi-Event-Id"
    ORIGINATOR = "Magi-Originator"
    """``uuid`` or ``str``."""

    def token(self, originator_id: UUID | str) -> str:
        # Whatever it is, it becomes one token of a subject; quote() alone leaves dots.
        token = quote(str(originator_id), safe="").replace(".", "%2E")
        if not token:
            raise ProgrammingError("an originator's id can't be empty")
        return token

    def encode(self, events: Sequence[StoredEvent]) -> Encoded:
        (event,) = events
        event_id = new_event_id()
        headers = {
            self.VERSION: str(event.originator_version),
            self.TOPIC: quote(event.topic, safe=":."),
            self.ORIGINATOR: "uuid" if isinstance(event.originator_id, UUID) else "str",
            self.EVENT_ID: event_id,
        }
        return Encoded(event_id, event.state, headers)

    def decode(self, message: StoredMessage) -> list[StoredEvent]:
        headers = message.headers
        try:
            version, topic = int(headers[self.VERSION]), unquote(headers[self.TOPIC])
            text = unquote(message.subject.rpartition(".")[2])
            originator_id = UUID(text) if headers[self.ORIGINATOR] == "uuid" else text
        except (KeyError, ValueError) as error:
            raise DataError(f"sequence {message.sequence} ({message.subject}) is no stored event: {error!r}") from error
        return [StoredEvent(originator_id, version, topic, message.data)]

    def id_of(self, message: StoredMessage) -> str:
        return message.headers.get(self.EVENT_ID, "")

    def check_follows(self, state: bytes, before: bytes | None) -> None:
        pass


class _Envelope(Struct, frozen=True):
    """What every event of ours says of itself (`magi.domain.event`)."""

    type: str
    aggregate: str
    version: int
    id: str = field(default="")
    prev: str = ""


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_AGGREGATE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


class LogFormat:
    """Events of ours: JSON objects that hold type, aggregate, version, id and the hash chain; one is a message, or
    several of one originator that were inserted together. No headers."""

    first_versions = frozenset({1})
    together = 1000
    """As many as can be inserted at once. MAGI itself stores some ten together; a message of 1 MiB has room for 4,000,
    and one that held so many could not be read here."""

    def __init__(self, events: Any) -> None:
        """`events` is the union of the stream's event types, such as ``RequestEvent``."""
        self._topics = {str(kind.__struct_config__.tag): get_topic(kind) for kind in get_args(events)}

    def token(self, originator_id: UUID | str) -> str:
        token = str(originator_id)
        if not _AGGREGATE.match(token):
            raise ProgrammingError(f"no aggregate's id: {token[:200]!r}")
        return token

    def encode(self, events: Sequence[StoredEvent]) -> Encoded:
        ids = [self._stamped_id(event) for event in events]
        return Encoded(ids[0], pack([event.state for event in events]), {})

    def _stamped_id(self, event: StoredEvent) -> str:
        try:
            says = _decode_envelope(event.state)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProgrammingError(f"the log holds plain JSON, without cipher or compressor: {error}") from error
        given = (event.topic, str(event.originator_id), event.originator_version)
        if (self._topics.get(says.type), says.aggregate, says.version) != given or not says.id:
            raise ProgrammingError(f"not an event that was stamped for the log: {says}")
        return says.id

    def decode(self, message: StoredMessage) -> list[StoredEvent]:
        try:
            states = unpack(message.data)
            if len(states) > self.together:
                raise ValueError(f"it holds {len(states)} events")
            return [self._event(message.subject, state) for state in states]
        except (CorruptHistory, msgspec.DecodeError, ValueError, KeyError, RecursionError) as error:
            raise DataError(f"sequence {message.sequence} ({message.subject}) is no event: {error!r}") from error

    def _event(self, subject: str, state: bytes) -> StoredEvent:
        says = _decode_envelope(state)
        if not subject.endswith(f".{says.aggregate}"):
            raise ValueError(f"it says that it is of {says.aggregate}")
        return StoredEvent(says.aggregate, says.version, self._topics[says.type], state)

    def id_of(self, message: StoredMessage) -> str:
        return _decode_envelope(self.decode(message)[0].state).id

    def check_follows(self, state: bytes, before: bytes | None) -> None:
        if _decode_envelope(state).prev != ("" if before is None else digest(before)):
            raise IntegrityError("the event's prev is not the digest of the event before it")
