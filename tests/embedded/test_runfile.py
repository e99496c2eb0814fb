from pathlib import Path

import pytest

from magi.embedded.runfile import NO_NOTE, ServerNote, read_note, write_note


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    note = ServerNote(pid=17, port=4222, monitor_port=8222)
    write_note(tmp_path / "note", note)
    assert read_note(tmp_path / "note") == note


@pytest.mark.parametrize("content", [None, b"", b"{", b'{"pid":"x","port":1}', b"\xff"])
def test_a_note_that_makes_no_sense_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "note").write_bytes(content)
    assert read_note(tmp_path / "note") == NO_NOTE
