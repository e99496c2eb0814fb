"""The mapper: our frozen structs and the library's own events, there and back."""

import zlib
from uuid import UUID, uuid4

import msgspec
import pytest
from eventsourcing.cipher import AESCipher
from eventsourcing.domain import DomainEvent, DomainEventProtocol
from eventsourcing.persistence import DatetimeAsISO, JSONTranscoder, Mapper, MapperDeserialisationError, StoredEvent
from eventsourcing.utils import Environment

from magi.domain.ids import AggregateId
from magi.domain.voting_request import RequestEvent, VoterProgress
from magi.eventstore.codec import Codec
from magi.eventstore.history import EMPTY
from magi.eventstore.persistence.mapper import StructMapper
from tests.eventstore.contract import REQUEST, progress, received

codec: Codec[RequestEvent] = Codec(RequestEvent)
mapper: StructMapper[str] = StructMapper(JSONTranscoder())


@pytest.mark.parametrize("event", [progress("at work"), received("the answer")])
def test_an_event_of_ours_is_stored_as_the_bytes_of_the_log(event: RequestEvent) -> None:
    stamped, data = codec.stamp(msgspec.structs.replace(event, cause=3, trace="trace"), REQUEST, EMPTY)
    stored = mapper.to_stored_event(stamped)
    assert stored.state == data
    assert (stored.originator_id, stored.originator_version) == (REQUEST, 1)
    assert stored.topic == f"magi.domain.voting_request:{type(event).__name__}"
    assert mapper.to_domain_event(stored) == stamped


def test_our_events_are_what_the_library_calls_domain_events() -> None:
    event: DomainEventProtocol[str] = VoterProgress(originator_id=REQUEST, voter_id="casper", status="x")
    assert isinstance(event, DomainEventProtocol)
    assert (event.originator_id, event.originator_version) == (REQUEST, 0)


def test_compressor_and_cipher_are_applied_to_structs_as_well() -> None:
    env = Environment(env={AESCipher.CIPHER_KEY: AESCipher.create_key(16)})
    secret: StructMapper[str] = StructMapper(JSONTranscoder(), compressor=zlib, cipher=AESCipher(env))  # type: ignore[arg-type]
    stamped, data = codec.stamp(progress("secret" * 100), REQUEST, EMPTY)
    stored = secret.to_stored_event(stamped)
    assert b"secret" not in stored.state
    assert len(stored.state) < len(data)
    assert secret.to_domain_event(stored) == stamped
    with pytest.raises(MapperDeserialisationError):
        mapper.to_domain_event(stored)


def test_the_librarys_own_events_are_left_to_it() -> None:
    transcoder = JSONTranscoder()
    transcoder.register(DatetimeAsISO())
    event = DomainEvent(originator_id=uuid4(), originator_version=1, timestamp=DomainEvent.create_timestamp())
    ours: StructMapper[UUID] = StructMapper(transcoder)
    theirs: Mapper[UUID] = Mapper(transcoder)
    stored = ours.to_stored_event(event)
    assert stored == theirs.to_stored_event(event)
    assert ours.to_domain_event(stored) == event


@pytest.mark.parametrize("state", [b"", b"{}", b"no json", b'{"type":"received","voter_id":"x","status":"y"}'])
def test_a_state_that_is_no_such_event_is_told_with_whose_it_is(state: bytes) -> None:
    stored = StoredEvent(AggregateId("acme.x"), 7, "magi.domain.voting_request:VoterProgress", state)
    with pytest.raises(MapperDeserialisationError, match=r"acme\.x version 7"):
        mapper.to_domain_event(stored)


def test_structs_of_other_applications_are_mapped_too() -> None:
    event = Opened(originator_id="a", originator_version=1, owner="me")
    assert mapper.to_domain_event(mapper.to_stored_event(event)) == event


class Opened(msgspec.Struct, frozen=True):
    originator_id: str
    originator_version: int
    owner: str
