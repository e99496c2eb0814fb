"""The lines of an export."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.audit.manifest import (
    FORMAT,
    Header,
    NotAnExport,
    header_line,
    message_line,
    read_header,
    read_manifest,
    read_message,
)
from magi.eventstore.codec import pack
from magi.eventstore.direct import StoredMessage
from tests.audit.histories import sound_book

DATA = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b'[{"a":1},{"b":[2]}]', b'[ {"a":1} ]', b'[{"a":1}] ', b'[{"a":\n1}]', b"[{},", b"[]"]),
    st.sampled_from([b'{"a":1}', b'{ "a" :\t1.0 }', b' {"a":1}', b'{"a":1}\n', b'{"a":"\\u001b"}', b'{"a":"\x1b"}']),
    st.sampled_from(['{"a":"\x9b\u202e"}'.encode(), b"[" * 2000, b'{"a":1}{"b":2}', b"{" * 2000, b'{"a":NaN}']),
)


@given(DATA)
def test_stored_bytes_come_back_as_they_are_on_one_line(data: bytes) -> None:
    message = StoredMessage(7, "magi.log.agent.x", data)
    line = message_line("MAGI_LOG", message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    assert read_message(line) == ("MAGI_LOG", message)


def test_an_event_stands_in_its_line_unchanged() -> None:
    message = sound_book().messages[0]
    assert b'"event":' + message.data in message_line("MAGI_LOG", message)


def test_the_events_of_a_message_stand_in_its_line_unchanged_too() -> None:
    messages = sound_book().messages[:2]
    message = msgspec.structs.replace(messages[0], data=pack([one.data for one in messages]))
    assert b'"events":' + message.data in message_line("MAGI_LOG", message)


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"x", b'{"stream":"a","seq":1,"subject":"s"}', b'{"stream":"a","seq":1,"subject":"s","base64":"?"}'],
)
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        read_message(line)


def test_a_header_is_read_as_it_is_written_and_another_version_refused() -> None:
    header = Header(magi_export=FORMAT, created_at="2026-01-31T12:00:00.000Z", selection="all")
    for version in range(1, FORMAT + 1):
        earlier = msgspec.structs.replace(header, magi_export=version)
        assert read_header(header_line(earlier)) == earlier
    for line in (b"", b"{}", b"\xff", header_line(msgspec.structs.replace(header, magi_export=FORMAT + 1))):
        with pytest.raises(NotAnExport):
            read_header(line)


@pytest.mark.parametrize("line", [b"", b'{"manifest":1}', b'{"manifest":', b'{"stream":"a"}'])
def test_what_is_no_manifest_is_none(line: bytes) -> None:
    assert read_manifest(line) is None
