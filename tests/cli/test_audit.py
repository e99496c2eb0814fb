"""`magi audit verify`: fine, broken, or it could not be checked."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.histories import Book, changed, directory, dropped, inserted, rewritten, sound_book, swapped
from tests.audit.together import together
from tests.cli.auditor import AS_AGENT, Auditor, holding, put, with_other_bytes


def head_in(stdout: str) -> str:
    return stdout.splitlines()[-1]


def test_what_a_real_magi_has_written_is_fine_and_its_head_is_told(auditor: Auditor) -> None:
    found = auditor.magi("audit", "verify", "--all")
    assert found.code == 0, found.stdout
    last = len(auditor.messages)
    assert f"the log: 48 events, sequences 1 to {last}" in found.stdout
    assert "6 requests (2 fail, 4 pass, 0 open), 18 votes" in found.stdout
    sequence, _, digest = head_in(found.stdout).partition(",")
    assert (sequence, len(digest)) == (str(last), 128)


def test_an_earlier_head_makes_the_next_audit_short_and_is_still_there(auditor: Auditor) -> None:
    head = head_in(auditor.magi("audit", "verify", "--all").stdout)
    found = auditor.magi("audit", "verify", "--from", head)
    assert found.code == 0
    assert f"the log after {len(auditor.messages)}: no events" in found.stdout
    assert head_in(found.stdout) == head
    assert auditor.magi("audit", "verify", "--all", "--from", head).code == 0
    other = head[:-1] + ("0" if head[-1] != "0" else "1")
    for arguments in (("--from", other), ("--all", "--from", other)):
        found = auditor.magi("audit", "verify", *arguments)
        assert found.code == 1
        assert "changed_since" in found.stdout


def test_only_what_was_added_is_read(tmp_path: Path) -> None:
    book = Book()
    book.request("one", a="pass", b="pass", c="pass")
    aggregate = book.receive("two")
    with holding(tmp_path, book.messages, directory()) as found:
        head = head_in(found.magi("audit", "verify", "--all").stdout)
        before = len(book.messages)
        for voter in "abc":
            book.vote(aggregate, voter, "fail")
        put(found, together(book.messages[before : before + 1]), together(book.messages[before + 1 :]))
        report = json.loads(found.magi("audit", "verify", "--from", head, "--json").stdout)
        assert (report["outcome"], report["events"], report["requests"]) == ("fine", 4, 1)
        assert (report["first_sequence"], report["last_sequence"]) == (before + 1, before + 2)
        assert report["head"] == json.loads(found.magi("audit", "verify", "--all", "--json").stdout)["head"]


def test_one_request_is_verified(auditor: Auditor) -> None:
    found = auditor.magi("audit", "verify", "request-2", *AS_AGENT)
    assert found.code == 0
    assert "request request-2: 8 events" in found.stdout
    assert "head" not in found.stdout


def damages() -> Iterator[tuple[str, Book]]:
    for name in ("changed", "dropped", "reordered", "inserted", "forged"):
        book = sound_book()
        match name:
            case "changed":
                book.messages = changed(book.messages, 4, b'"vote":"pass"', b'"vote":"fail"')
            case "dropped":
                book.messages = dropped(book.messages, 4)
            case "reordered":
                book.messages = swapped(book.messages, 4, 5)
            case "inserted":
                book.messages = inserted(book.messages, 6, book.messages[4])
            case "forged":
                book.messages = rewritten(changed(book.messages, 4, b'"vote":"pass"', b'"vote":"fail"'))
        yield name, book


@pytest.mark.parametrize("damage", list(damages()), ids=lambda damage: damage[0])
def test_what_somebody_did_to_a_log_is_caught_and_the_place_named(tmp_path: Path, damage: tuple[str, Book]) -> None:
    _, book = damage
    with holding(tmp_path, book.messages, directory()) as found:
        whole = found.magi("audit", "verify", "--all")
        assert whole.code == 1, whole.stdout
        assert "BROKEN" in whole.stdout
        assert "MAGI_LOG" in whole.stdout
        assert "keep it outside" not in whole.stdout
        one = found.magi("audit", "verify", "one", *AS_AGENT)
        assert one.code == 1
        other = found.magi("audit", "verify", "three", *AS_AGENT)
        assert other.code == 0, other.stdout


def test_a_vote_of_somebody_who_was_never_registered_is_broken(tmp_path: Path) -> None:
    book = Book()
    book.request("one", panel=("a", "stranger"), a="pass", stranger="pass")
    with holding(tmp_path, book.messages, directory()) as found:
        result = found.magi("audit", "verify", "--all")
        assert result.code == 1
        assert "unauthorized" in result.stdout
        assert "voter 'stranger' was not registered" in result.stdout


def test_a_directory_that_was_written_to_is_broken_too(tmp_path: Path) -> None:
    members = directory()
    with holding(tmp_path, sound_book().messages, [*members, members[0]]) as found:
        result = found.magi("audit", "verify", "--all")
        assert result.code == 1
        assert "MAGI_DIRECTORY 5, voter.a version 1" in result.stdout


def test_a_strategy_that_is_not_installed_can_not_be_checked(tmp_path: Path) -> None:
    book = sound_book()
    book.messages = rewritten(
        [with_other_bytes(m, b"minority_rule", b"third_party") if b"rule" in m.data else m for m in book.messages]
    )
    with holding(tmp_path, book.messages, directory()) as found:
        result = found.magi("audit", "verify", "--all")
        assert result.code == 2, result.stdout
        assert "strategy third_party: not installed here" in result.stdout
        assert "not everything could" in result.stdout


def test_what_an_event_holds_does_not_steer_the_terminal(tmp_path: Path) -> None:
    book = Book()
    book.request("one", panel=("a", "\x1b[31m\u202ez"), a="pass")
    with holding(tmp_path, book.messages, directory()) as found:
        result = found.magi("audit", "verify", "--all")
        assert result.code == 1
        assert "\x1b" not in result.stdout
        assert "\u202e" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "expected one of REQUEST_ID, --all"),
        (("one", "--all"), "expected one of REQUEST_ID, --all"),
        (("--from", "12,abc"), "expected SEQ,HASH"),
        (("--file", "/no/such/file"), "/no/such/file"),
        (("nothing",), "nothing is stored of a request 'nothing'"),
    ],
)
def test_what_can_not_be_checked_is_said_and_exits_2(
    auditor: Auditor, arguments: tuple[str, ...], complaint: str
) -> None:
    found = auditor.magi("audit", "verify", *arguments)
    assert found.code == 2
    assert complaint in found.complaint
