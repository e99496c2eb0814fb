"""Words of others in a reason."""

import pytest

from magi.voters.escaping import escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ü and 判", "plain, ü and 判"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("\x9b31m\u202e\x00\x7f", "\\x9b31m\\u202e\\x00\\x7f"),
        ("\ud800", "\\ud800"),
        ("", ""),
    ],
)
def test_what_is_not_printable_is_written_as_an_escape(text: str, shown: str):
    assert escaped(text) == shown


def test_long_text_is_cut_and_shows_it():
    assert escaped("x" * 10, 10) == "x" * 10
    assert escaped("x" * 11, 10) == "x" * 9 + "…"
    assert escaped("\n" * 10, 10) == "\\n\\n\\n\\n\\…"
    assert len(escaped("\x00" * 1_000_000, 300)) == 300
