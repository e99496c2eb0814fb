"""Events to bytes and back: the envelope, the chain, ids that no other process has, several events in one message, and
bytes that are no event."""

import hashlib
import json
import os

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from magi.domain.ids import AggregateId
from magi.domain.voting_request import RequestEvent
from magi.eventstore.codec import Codec, digest, new_event_id, pack, unpack
from magi.eventstore.history import EMPTY, CorruptHistory, Head
from tests.eventstore.contract import REQUEST, progress

codec: Codec[RequestEvent] = Codec(RequestEvent)


def test_the_envelope_says_what_the_event_follows() -> None:
    head = Head(version=4, sequence=99, digest="abc")
    event, data = codec.stamp(msgspec.structs.replace(progress(), cause=7, trace="t"), REQUEST, head)
    assert (event.originator_id, event.originator_version, event.prev) == (REQUEST, 5, "abc")
    assert (event.cause, event.trace) == (7, "t")
    assert codec.decode(data) == event


def test_the_stored_names_are_the_documented_ones() -> None:
    _, data = codec.stamp(progress(), REQUEST, EMPTY)
    stored = msgspec.json.decode(data)
    assert list(stored)[:8] == ["type", "aggregate", "version", "id", "at", "cause", "trace", "prev"]
    assert (stored["type"], stored["version"], stored["prev"]) == ("voter_progress", 1, "")


def test_the_chain_is_sha_256_over_the_stored_bytes() -> None:
    _, data = codec.stamp(progress(), REQUEST, EMPTY)
    (recorded,) = codec.recorded(12, data)
    assert recorded.head == Head(1, 12, hashlib.sha256(data).hexdigest())
    assert recorded.data == data
    following, _ = codec.stamp(progress(), REQUEST, recorded.head)
    assert following.prev == digest(data)


def test_each_stamp_has_an_id_of_its_own() -> None:
    ids = {codec.stamp(progress(), REQUEST, EMPTY)[0].id for _ in range(1000)}
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
    _, data = codec.stamp(progress(), AggregateId("acme.x"), EMPTY)
    assert codec.decode(data[:-1] + b',"added_later":[1]}') == codec.decode(data)


# --- Several events in one message ------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8")) | st.sampled_from(
    ["[", "]", "},{", '"', "\\", '\\"]', "\u2028", "\x00", "🐈"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """JSON objects as anybody may write them: with or without spaces, escapes and line breaks."""
    return json.dumps(
        draw(st.dictionaries(TEXT, VALUES, max_size=4)),
        indent=draw(st.sampled_from([None, 0, 3, "\t"])),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n", "\t: ")])),
        ensure_ascii=draw(st.booleans()),
    ).encode()


@given(st.lists(objects(), min_size=1, max_size=6))
@example([b'{"a":[[{}],[[]]]}', b"{ }", b'{"b" : "]" }'])
def test_what_is_packed_is_unpacked_byte_by_byte(events: list[bytes]) -> None:
    assert unpack(pack(events)) == events


@given(st.lists(TEXT, min_size=1, max_size=5))
def test_events_that_are_stamped_together_are_chained_and_come_back_as_they_were(texts: list[str]) -> None:
    head = Head(3, 17, "abc")
    stamped = codec.stamp_all([progress(text) for text in texts], REQUEST, head)
    found = codec.recorded(18, pack([data for _, data, _ in stamped]))
    assert [(r.event, r.data) for r in found] == [(event, data) for event, data, _ in stamped]
    assert [r.event.prev for r in found] == ["abc", *(r.head.digest for r in found[:-1])]
    assert [r.head for r in found] == [Head(4 + n, 18, digest(r.data)) for n, r in enumerate(found)]
    assert {r.sequence for r in found} == {18}
    assert len({r.event.id for r in found}) == len(texts)


def test_one_event_is_stored_as_ever_and_not_as_an_array() -> None:
    _, data = codec.stamp(progress(), REQUEST, EMPTY)
    assert pack([data]) is data
    assert unpack(data) == [data]
    (alone,) = codec.recorded(1, data)
    (in_an_array,) = codec.recorded(1, b"[" + data + b"]")
    assert in_an_array == alone


@given(st.binary() | st.builds(lambda part: b"[" + part, st.binary()) | VALUES.map(msgspec.json.encode))
@example(b"[")
@example(b"[]")
@example(b"[ ]")
@example(b"[,]")
@example(b"[{},]")
@example(b"[{}]x")
@example(b"[{}")
@example(b"[{}][{}]")
@example(b'["\xff"]')
@example(b'[{"a":"\xff"}]')
@example(b'[{"a":"\\ud800"}]')
@example(b"[" * 100_000)
@example(b"[" * 100_000 + b"]" * 100_000)
@example(b"\xef\xbb\xbf[{}]")
@example(b"[\x00]")
@example(b"[1e999]")
@example(b"[nan]")
@example(b"[[1]]")
def test_nonsense_is_corrupt_and_nothing_else(data: bytes) -> None:
    try:
        parts = unpack(data)
    except CorruptHistory:
        parts = []
    else:
        assert parts
    assert all(data[1:].count(part) for part in parts) or parts == [data]
    with pytest.raises(CorruptHistory):  # none of it is an event
        codec.recorded(1, data)


@pytest.mark.parametrize("data", [b"[]", b"[ ]", b"[", b"[{}", b"[{}]x", b"[{},]", b'{"a":1}]', b"[" * 100_000])
def test_an_array_that_is_empty_or_broken_holds_no_event_at_all(data: bytes) -> None:
    with pytest.raises(CorruptHistory):
        codec.recorded(1, data)


@pytest.mark.parametrize(
    "bad", [b"null", b"[]", b"7", b'{"type":"unheard_of"}', b'{"type":"voter_progress"}', b'"\xff"']
)
def test_one_that_is_no_event_makes_the_whole_message_corrupt(bad: bytes) -> None:
    _, good = codec.stamp(progress(), REQUEST, EMPTY)
    for events in ([bad, good], [good, bad], [good, bad, good]):
        with pytest.raises(CorruptHistory, match="not an"):
            codec.recorded(1, pack(events))
