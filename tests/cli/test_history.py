"""`magi history`, straight from JetStream."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import unicodedata
from pathlib import Path

import pytest

from magi.audit.events import parts
from tests.audit.histories import START, TIMEOUT, Book, directory
from tests.audit.together import together
from tests.cli.auditor import AS_AGENT, Auditor, holding, put, with_other_bytes
from tests.cli.commands import magi, program
from tests.cli.serving import environment
from tests.waiting import eventually

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
"""What rich makes bold: our own, and not the submission's."""


def test_a_history_is_a_timeline_with_who_said_what_and_when(auditor: Auditor) -> None:
    found = auditor.magi("history", "request-1", *AS_AGENT)
    assert found.code == 0, found.stderr
    assert "request-1 of agent" in found.lines[0]
    events = [line for line in found.lines if line[:3].strip().isdigit()]
    assert [line.split()[4] for line in events].count("voter_result") == 3
    assert [int(line[:3]) for line in events] == list(range(1, 9))
    assert "received" in events[0]
    assert "+0.000 s" in events[0]
    assert "adjudicated" in events[-1]
    assert any("fail" in line and "b" in line.split() for line in events)
    assert found.lines[-1].startswith("verdict   pass (majority, decided by votes)")


def test_nothing_of_a_submission_or_a_vote_steers_the_terminal(auditor: Auditor) -> None:
    shown = auditor.magi("history", "request-1", *AS_AGENT).stdout
    assert r"\x1b[31mred\x1b[0m \x9b and \u202eback" in shown
    assert not {c for c in shown if unicodedata.category(c) in ("Cc", "Cf")} - {"\n"}


def test_json_is_what_is_stored_byte_for_byte(auditor: Auditor) -> None:
    found = auditor.magi("history", "request-1", *AS_AGENT, "--json")
    assert found.stdout.encode() == b"".join(data + b"\n" for data in auditor.events("request-1"))


def test_an_unknown_request_is_said_to_be_unknown(auditor: Auditor) -> None:
    found = auditor.magi("history", "no-such-request", *AS_AGENT)
    assert (found.code, found.stdout) == (2, "")
    assert "nothing is stored of a request 'no-such-request' of the initiator 'agent'" in found.stderr
    found = auditor.magi("history", "request-1")
    assert found.code == 2
    assert "initiator 'local'; name another initiator" in found.stderr


@pytest.mark.parametrize("names", [("\x1b[31m", "agent"), ("", "agent"), ("x", "Not A Name")])
def test_what_can_be_no_name_is_refused_and_shown_safely(auditor: Auditor, names: tuple[str, str]) -> None:
    found = auditor.magi("history", names[0], "--initiator", names[1])
    assert found.code == 2
    assert "expected" in found.stderr
    assert "\x1b" not in found.stderr


def test_the_state_at_a_version_a_time_and_a_place_in_the_log(auditor: Auditor) -> None:
    found = auditor.magi("history", "request-1", *AS_AGENT, "--at", "1")
    assert found.lines[-1] == "open      waiting for a, b, c"
    first_vote = next(m for m in auditor.history("request-1") if b'"voter_result"' in m.data)
    by_place = auditor.magi("history", "request-1", *AS_AGENT, "--at", f"log:{first_vote.sequence}")
    shown = [line[:3].strip() for line in by_place.lines if line[:3].strip().isdigit()]
    assert len(shown) == sum(
        len(parts(m.data)) for m in auditor.history("request-1") if m.sequence <= first_vote.sequence
    )
    by_time = auditor.magi("history", "request-1", *AS_AGENT, "--at", "2020-01-01")
    assert by_time.lines == ["", "nothing was stored of it"]
    assert auditor.magi("history", "request-1", *AS_AGENT, "--at", "99").lines[-1].startswith("verdict")


def test_events_that_were_stored_together_happened_one_after_the_other(tmp_path: Path) -> None:
    book = Book()
    book.request("one", a="pass", b="fail", c="fail")
    messages = [book.messages[0], together(book.messages[1:3]), together(book.messages[3:])]
    with holding(tmp_path, messages, directory()) as found:
        assert found.magi("history", "one", *AS_AGENT, "--at", "6").lines[-2:] == [
            "votes     a pass, b fail",
            "open      waiting for c",
        ]
        assert found.magi("history", "one", *AS_AGENT, "--at", "log:2").lines[-1] == "open      waiting for a, b, c"
        assert found.magi("history", "one", *AS_AGENT, "--at", "log:3").lines[-1].startswith("verdict   fail")
        stored = found.magi("history", "one", *AS_AGENT, "--json").stdout.encode()
        assert stored == b"".join(m.data + b"\n" for m in book.messages)


@pytest.mark.parametrize("at", ["soon", "-1", "log:x", "2026-13-01"])
def test_a_moment_that_is_none_is_refused(auditor: Auditor, at: str) -> None:
    found = auditor.magi("history", "request-1", *AS_AGENT, f"--at={at}")
    assert found.code == 2
    assert "expected a time" in found.complaint


def test_a_damaged_history_is_shown_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    book = Book()
    book.request("one", a="pass", b="pass", c="pass")
    book.messages[3] = with_other_bytes(book.messages[3], b'"type":"voter_progress"', b'"type":"\xff"')
    with holding(tmp_path, book.messages, directory()) as found:
        shown = found.magi("history", "one", *AS_AGENT)
        assert shown.code == 0
        assert "  4  not an event" in shown.stdout
        assert "sequence 4 of the log" in shown.stdout
        assert shown.lines[-1].startswith("verdict   pass")


def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    found = magi("history", "x", data=tmp_path)
    assert found.code == 2
    assert "no MAGI is running" in found.stderr
    (tmp_path / "magi.toml").write_text('[nats]\nurl = "nats://127.0.0.1:1"\n')
    found = magi("history", "x", data=tmp_path)
    assert found.code == 2
    assert "can't connect to NATS" in found.stderr


def test_following_goes_on_until_the_verdict(tmp_path: Path) -> None:
    book = Book()
    aggregate = book.receive("one")
    with holding(tmp_path, book.messages, directory()) as found:
        process = program("history", "one", *AS_AGENT, "--follow", "--json", data=found.data)
        assert process.stdout
        lines = [process.stdout.readline()]
        for voter in "abc":
            before = len(book.messages)
            book.progress(aggregate, voter)
            book.vote(aggregate, voter, "pass")
            put(found, together(book.messages[before:]))
            lines.append(process.stdout.readline())
        lines.append(process.stdout.read())
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert b"".join(lines) == b"".join(m.data + b"\n" for m in book.messages)


def test_following_is_ended_by_ctrl_c(tmp_path: Path) -> None:
    book = Book()
    book.receive("one")
    with holding(tmp_path, book.messages, directory()) as found:
        process = program("history", "one", *AS_AGENT, "-f", data=found.data)
        assert process.stdout
        assert b"request" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (130, b"")


def test_a_reader_that_goes_away_ends_it_quietly(auditor: Auditor) -> None:
    process = program("history", "request-1", *AS_AGENT, data=auditor.data)
    assert process.stdout
    process.stdout.close()
    assert process.wait(30) == 2
    assert process.stderr
    assert process.stderr.read() == b""
    process.stderr.close()


def on_a_terminal(auditor: Auditor, columns: int, *arguments: str) -> str:
    """What the command writes to a terminal that is so wide."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = environment(MAGI_DATA=str(auditor.data), TERM="xterm")
    env.pop("COLUMNS", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "magi", *arguments], stdin=its, stdout=its, stderr=subprocess.PIPE, env=env
    )
    os.close(its)
    written = b""

    def read() -> bool:
        nonlocal written
        try:
            data = os.read(ours, 65536)
        except OSError:  # the terminal is closed: that is its end
            return True
        written += data
        return not data

    eventually(read, "the command ends")
    process.communicate(timeout=30)
    os.close(ours)
    return _STYLE.sub("", written.decode().replace("\r\n", "\n"))


def test_a_narrow_terminal_gets_lines_that_fit_and_a_wide_one_whole_times(auditor: Auditor) -> None:
    narrow = on_a_terminal(auditor, 50, "history", "request-1", *AS_AGENT)
    assert max(map(len, narrow.splitlines())) <= 50
    assert "adjudicated pass" in narrow
    wide = on_a_terminal(auditor, 200, "history", "request-1", *AS_AGENT)
    assert any(line.startswith("  8  20") for line in wide.splitlines())


def test_stored_json_steers_no_terminal_either(auditor: Auditor) -> None:
    shown = on_a_terminal(auditor, 80, "history", "request-1", *AS_AGENT, "--json")
    assert "\\u009b" in shown
    assert not {"\x1b", "\x9b", "\u202e"} & set(shown)
    assert [json.loads(line) for line in shown.splitlines()] == [
        json.loads(data) for data in auditor.events("request-1")
    ]


def test_an_open_request_says_for_whom_it_waits(tmp_path: Path) -> None:
    book = Book()
    aggregate = book.receive("one", now=START, timeout_ms=TIMEOUT)
    book.vote(aggregate, "b", "abstain")
    with holding(tmp_path, book.messages, directory()) as found:
        shown = found.magi("history", "one", *AS_AGENT)
        assert shown.lines[-2:] == ["votes     b abstain", "open      waiting for a, c"]
