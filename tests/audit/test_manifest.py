"""The lines of an export."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.audit.manifest import Header, NotAnExport, event_line, header_line, read_event, read_header, read_manifest
from magi.eventstore.direct import StoredMessage
from tests.audit.histories import sound_book

DATA = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b'{"a":1}', b'{ "a" :\t1.0 }', b' {"a":1}', b'{"a":1}\n', b'{"a":"\\u001b"}', b'{"a":"\x1b"}', b"[]"]
    ),
    st.sampled_from(['{"a":"\x9b\u202e"}'.encode(), b'{"a":1}{"b":2}', b"{" * 2000, b'{"a":NaN}']),
)


@given(DATA)
def test_stored_bytes_come_back_as_they_are_on_one_line(data: bytes) -> None:
    message = StoredMessage(7, "magi.log.agent.x", data)
    line = event_line("MAGI_LOG", message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    assert read_event(line) == ("MAGI_LOG", message)


def test_an_event_stands_in_its_line_unchanged() -> None:
    message = sound_book().messages[0]
    assert message.data in event_line("MAGI_LOG", message)


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"x", b'{"stream":"a","seq":1,"subject":"s"}', b'{"stream":"a","seq":1,"subject":"s","base64":"?"}'],
)
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        read_event(line)


def test_a_header_is_read_as_it_is_written_and_another_version_refused() -> None:
    header = Header(magi_export=1, created_at="2026-01-31T12:00:00.000Z", selection="all")
    assert read_header(header_line(header)) == header
    for line in (b"", b"{}", b"\xff", header_line(msgspec.structs.replace(header, magi_export=2))):
        with pytest.raises(NotAnExport):
            read_header(line)


@pytest.mark.parametrize("line", [b"", b'{"manifest":1}', b'{"manifest":', b'{"stream":"a"}'])
def test_what_is_no_manifest_is_none(line: bytes) -> None:
    assert read_manifest(line) is None
