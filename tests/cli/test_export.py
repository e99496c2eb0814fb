"""`magi export`, and the export checked without any server."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.histories import START, Book, directory
from tests.audit.together import together
from tests.cli.auditor import AS_AGENT, Auditor, holding
from tests.cli.commands import Result, magi


@pytest.fixture(scope="module")
def hourly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Auditor]:
    book = Book()
    for hour in range(4):
        book.request(f"hour {hour}", now=START + hour * 3_600_000, a="pass", b="pass", c="fail")
    messages = [together(book.messages[first : first + 4]) for first in range(0, len(book.messages), 4)]
    with holding(tmp_path_factory.mktemp("hourly"), messages, directory()) as found:
        yield found


def offline(file: Path, *more: str) -> Result:
    return magi("audit", "verify", "--file", str(file), *more, data=file.parent / "nothing")


def test_a_whole_log_is_exported_and_fine_offline(auditor: Auditor, tmp_path: Path) -> None:
    out = tmp_path / "log.jsonl"
    found = auditor.magi("export", "--all", "--out", str(out))
    assert found.code == 0, found.stderr
    assert f"6 requests, 48 events (sequences 1 to {len(auditor.messages)})" in found.stdout
    sha256 = json.loads(out.read_bytes().splitlines()[-1])["manifest"]["sha256"]
    assert sha256 in found.stdout
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    checked = offline(out)
    assert checked.code == 0, checked.stdout
    assert sha256 in checked.stdout
    head = auditor.magi("audit", "verify", "--all").lines[-1]
    assert checked.lines[-1] == head
    assert offline(out, "--from", head).code == 0


def test_every_line_is_json_and_holds_the_stored_bytes(auditor: Auditor, tmp_path: Path) -> None:
    out = tmp_path / "one.jsonl"
    assert auditor.magi("export", "request-1", *AS_AGENT, "--out", str(out)).code == 0
    lines = out.read_bytes().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    for message in auditor.history("request-1"):
        assert any(message.data in line for line in lines)
    assert offline(out).code == 0


def test_a_range_holds_whole_histories_of_what_was_received_in_it(hourly: Auditor, tmp_path: Path) -> None:
    out = tmp_path / "range.jsonl"
    times = ("--since", "2026-01-31T13:00:00Z", "--until", "2026-01-31T15:00:00Z")
    found = hourly.magi("export", *times, "--out", str(out))
    assert "2 requests, 16 events (sequences 3 to 6)" in found.stdout
    text = out.read_text()
    assert "hour 1" in text
    assert "hour 2" in text
    assert "hour 3" not in text
    assert offline(out).code == 0


def test_a_changed_export_is_broken_and_a_foreign_file_can_not_be_checked(hourly: Auditor, tmp_path: Path) -> None:
    out = tmp_path / "log.jsonl"
    assert hourly.magi("export", "--all", "--out", str(out)).code == 0
    whole = out.read_bytes()
    out.write_bytes(whole.replace(b'"vote":"fail"', b'"vote":"pass"', 1))
    changed = offline(out)
    assert changed.code == 1
    assert "manifest: export: the file is not what was exported" in changed.stdout
    assert "chain" in changed.stdout
    out.write_bytes(whole[: len(whole) // 2])
    assert offline(out).code == 1
    out.write_bytes(b"PK\x03\x04")
    foreign = offline(out)
    assert foreign.code == 2
    assert "not that of an export" in foreign.stderr


def test_an_earlier_head_goes_with_a_whole_log_only(hourly: Auditor, tmp_path: Path) -> None:
    out = tmp_path / "one.jsonl"
    assert hourly.magi("export", "hour 1", *AS_AGENT, "--out", str(out)).code == 0
    found = offline(out, "--from", "1," + "0" * 128)
    assert found.code == 2
    assert "the whole log only" in found.stderr


def test_a_file_that_is_there_is_left_alone(hourly: Auditor, tmp_path: Path) -> None:
    out = tmp_path / "there"
    out.write_text("mine")
    found = hourly.magi("export", "--all", "--out", str(out))
    assert (found.code, out.read_text()) == (2, "mine")
    assert "exists already" in found.complaint


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--out", "x"), "expected one of REQUEST_ID, --all"),
        (("nothing", "--out", "OUT"), "nothing is stored"),
        (("--all", "--out", "/no/such/folder/x"), "No such file or directory"),
    ],
)
def test_what_can_not_be_exported_leaves_no_file(
    hourly: Auditor, tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    found = hourly.magi("export", *(str(tmp_path / "x") if a == "OUT" else a for a in arguments))
    assert found.code == 2
    assert complaint in found.complaint
    assert not list(tmp_path.iterdir())
