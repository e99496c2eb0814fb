"""Events to stored events and back: a mapper for frozen msgspec structs, which the library's own can't read."""

from functools import cache
from typing import Any, cast

import msgspec
from eventsourcing.domain import DomainEventProtocol, TAggregateID
from eventsourcing.persistence import Mapper, MapperDeserialisationError, StoredEvent
from eventsourcing.utils import get_topic, resolve_topic
from msgspec import Struct

_encode = msgspec.json.Encoder().encode


class StructMapper(Mapper[TAggregateID]):
    """Stores a struct as its JSON, whole: for our events the very bytes of the log. Other classes as the library does.

    (The library's `Mapper` takes an event's fields from `vars()`, and structs have no ``__dict__``.)
    """

    def to_stored_event(self, domain_event: DomainEventProtocol[TAggregateID]) -> StoredEvent:
        if not isinstance(domain_event, Struct):
            return super().to_stored_event(domain_event)
        state = _encode(domain_event)
        if self.compressor:
            state = self.compressor.compress(state)
        if self.cipher:
            state = self.cipher.encrypt(state)
        return StoredEvent(
            domain_event.originator_id, domain_event.originator_version, get_topic(type(domain_event)), state
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[TAggregateID]:
        kind = resolve_topic(stored_event.topic)
        if not issubclass(kind, Struct):
            return super().to_domain_event(stored_event)
        state = stored_event.state
        try:
            if self.cipher:
                state = self.cipher.decrypt(state)
            if self.compressor:
                state = self.compressor.decompress(state)
            return cast(DomainEventProtocol[TAggregateID], _decoder(kind).decode(state))
        except Exception as error:  # as the library: ciphers and compressors raise what they like
            raise MapperDeserialisationError(
                f"{stored_event.originator_id} version {stored_event.originator_version}: "
                f"no {stored_event.topic}: {error}"
            ) from error


@cache
def _decoder(kind: type[Struct]) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(kind)
