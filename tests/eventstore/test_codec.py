"""Events to bytes and back: the envelope, the chain, ids that no other process has, and bytes that are no event."""

import hashlib
import os

import msgspec
import pytest

from magi.domain.ids import AggregateId
from magi.domain.voting_request import RequestEvent
from magi.eventstore.codec import Codec, digest, new_event_id
from magi.eventstore.history import EMPTY, CorruptHistory, Head
from tests.eventstore.contract import REQUEST, progress

codec: Codec[RequestEvent] = Codec(RequestEvent)


def test_the_envelope_says_what_the_event_follows() -> None:
    head = Head(version=4, sequence=99, digest="abc")
    event, data = codec.stamp(progress(), REQUEST, head, cause=7, trace="t")
    assert (event.originator_id, event.originator_version, event.prev) == (REQUEST, 5, "abc")
    assert (event.cause, event.trace) == (7, "t")
    assert codec.decode(data) == event


def test_the_stored_names_are_the_documented_ones() -> None:
    _, data = codec.stamp(progress(), REQUEST, EMPTY, 0, "")
    stored = msgspec.json.decode(data)
    assert list(stored)[:8] == ["type", "aggregate", "version", "id", "at", "cause", "trace", "prev"]
    assert (stored["type"], stored["version"], stored["prev"]) == ("voter_progress", 1, "")


def test_the_chain_is_sha_256_over_the_stored_bytes() -> None:
    _, data = codec.stamp(progress(), REQUEST, EMPTY, 0, "")
    recorded = codec.recorded(12, data)
    assert recorded.head == Head(1, 12, hashlib.sha256(data).hexdigest())
    assert recorded.data == data
    following, _ = codec.stamp(progress(), REQUEST, recorded.head, 0, "")
    assert following.prev == digest(data)


def test_each_stamp_has_an_id_of_its_own() -> None:
    ids = {codec.stamp(progress(), REQUEST, EMPTY, 0, "")[0].id for _ in range(1000)}
    assert len(ids) == 1000


def test_a_forked_process_makes_other_ids() -> None:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, new_event_id().encode())
        os._exit(0)
    os.waitpid(pid, 0)
    mine = {new_event_id() for _ in range(5)}
    theirs = os.read(read, 100).decode()
    os.close(read)
    os.close(write)
    assert theirs
    assert theirs not in mine
    assert theirs.partition("-")[0] != next(iter(mine)).partition("-")[0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"{}",
        b'{"type":"unheard_of"}',
        b'{"type":"voter_progress"}',
        b'{"type":"voter_progress","voter_id":5,"status":"x"}',
        b'{"type":"voter_progress","voter_id":"\xff","status":"x"}',
        b"[" * 100_000,
        b"\x00\x01",
    ],
)
def test_bytes_that_are_no_event_are_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptHistory, match="not an event"):
        codec.decode(data)


def test_fields_that_a_later_version_added_are_passed_over() -> None:
    _, data = codec.stamp(progress(), AggregateId("acme.x"), EMPTY, 0, "")
    assert codec.decode(data[:-1] + b',"added_later":[1]}') == codec.decode(data)
