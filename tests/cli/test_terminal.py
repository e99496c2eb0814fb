"""Long output, for terminals and pipes."""

import pytest
from rich.text import Text

from magi.cli.terminal import progress, width, write, write_json, write_stored


def test_a_pipe_has_no_width_and_gets_lines_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert width() is None
    long = "x" * 500 + " [bold]not markup[/bold] " + "y" * 500
    write(long, Text(long), "")
    assert capsys.readouterr().out == f"{long}\n{long}\n\n"


def test_json_of_ours_and_stored_bytes_are_not_changed_in_a_pipe(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_json('{"a": "\x9b"}')
    write_stored(b'{"a":"\xc2\x9b\xff"}')
    import sys

    sys.stdout.flush()
    assert capfdbinary.readouterr().out == b'{"a": "\xc2\x9b"}\n{"a":"\xc2\x9b\xff"}\n'


def test_progress_says_nothing_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", 10) as advance:
        advance(5)
        advance(5)
    assert capsys.readouterr() == ("", "")
