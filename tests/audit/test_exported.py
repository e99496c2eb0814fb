"""Exports: what is written is found sound without a server, and what was done to the file is found too."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from magi.audit import exported
from magi.audit.audits import Audit, audit_log
from magi.audit.directory_check import check_directory
from magi.audit.exported import ExportSource, open_export
from magi.audit.exporting import ExportWriter
from magi.audit.findings import Findings
from magi.audit.manifest import Manifest, NotAnExport, manifest_line, read_manifest
from magi.domain.initiator import TokenIssued
from magi.domain.voter import VoterRegistered
from magi.eventstore.direct import StoredMessage
from tests.audit.histories import LATER, directory, kinds, sound_book
from tests.audit.together import together

AT = "2026-01-31T13:00:00.000Z"


def write(
    path: Path,
    messages: Sequence[StoredMessage],
    scope: Literal["whole", "selection"] = "whole",
    changes: Sequence[StoredMessage] = (),
) -> Manifest:
    """An export of these messages, and of these of the directory: by default everybody, and a stranger."""
    stranger = VoterRegistered(originator_id="voter.zoe", at=AT, voter_id="zoe", kind="nats", by="test")
    with path.open("wb") as file:
        writer = ExportWriter(file, AT, "a test", scope)
        for message in messages:
            writer.message(message)
        writer.directory(changes or directory(stranger))
        return writer.finish()


async def verify(path: Path) -> Audit:
    findings = Findings()
    export = open_export(path, findings)
    registry = check_directory(export.directory, findings)
    scope = export.manifest.scope if export.manifest else "selection"
    return await audit_log(ExportSource(export), registry, findings, LATER, scope=scope)


async def test_a_whole_log_is_sound_and_its_manifest_says_what_is_in_it(tmp_path: Path) -> None:
    book = sound_book()
    manifest = write(tmp_path / "e", book.messages)
    audit = await verify(tmp_path / "e")
    assert audit.outcome == "fine"
    assert audit.findings.first == []
    assert audit.read.events == manifest.events == len(book.messages)
    assert (manifest.requests, manifest.first_sequence, manifest.last_sequence) == (3, 1, len(book.messages))
    assert (manifest.first_at, manifest.last_at) == ("2026-01-31T12:00:00.000Z", "2026-01-31T12:00:32.000Z")
    assert manifest.directory_events == 5
    assert manifest.head == str(audit.head)


async def test_a_selection_has_gaps_and_only_the_part_of_the_directory_that_it_rests_on(tmp_path: Path) -> None:
    book = sound_book()
    manifest = write(tmp_path / "e", book.of(book.messages[8].subject), "selection")
    audit = await verify(tmp_path / "e")
    assert audit.outcome == "fine"
    assert (manifest.requests, manifest.directory_events) == (1, 4)
    assert b"zoe" not in (tmp_path / "e").read_bytes()


async def test_bytes_that_are_no_event_are_exported_and_found(tmp_path: Path) -> None:
    book = sound_book()
    book.messages[2] = StoredMessage(3, book.messages[2].subject, b"\xff\n junk")
    write(tmp_path / "e", book.messages)
    audit = await verify(tmp_path / "e")
    assert "manifest" not in kinds(audit.findings)
    assert "unreadable" in kinds(audit.findings)


async def test_an_empty_log_is_exported_too(tmp_path: Path) -> None:
    manifest = write(tmp_path / "e", [])
    assert manifest.events == 0
    assert (await verify(tmp_path / "e")).outcome == "fine"


async def test_changes_of_the_directory_that_were_stored_together_are_counted_each(tmp_path: Path) -> None:
    name = "initiator.agent"
    issued = [TokenIssued(originator_id=name, at=AT, token_id=i, sha256=i, by="test") for i in "xyz"]
    changes = directory(*issued)
    manifest = write(tmp_path / "e", [], changes=[*changes[:-2], together(changes[-2:])])
    assert manifest.directory_events == len(changes)
    assert (await verify(tmp_path / "e")).outcome == "fine"


async def test_an_export_of_the_first_version_is_read_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "e"
    write(path, sound_book().messages)
    *lines, _ = [line.replace(b'{"magi_export":2,', b'{"magi_export":1,') for line in lines_of(path)]
    manifest = read_manifest(lines_of(path)[-1])
    assert manifest
    sha256 = hashlib.sha256(b"".join(lines)).hexdigest()
    path.write_bytes(b"".join([*lines, manifest_line(msgspec.structs.replace(manifest, sha256=sha256))]))
    assert (await verify(path)).outcome == "fine"


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("scope", ["whole", "selection"])
async def test_any_line_that_is_changed_dropped_doubled_or_moved_is_found(
    tmp_path: Path, scope: Literal["whole", "selection"]
) -> None:
    path = tmp_path / "e"
    write(path, sound_book().messages, scope)
    lines = lines_of(path)
    for place in range(1, len(lines) - 1):
        changed = lines[place].replace(b"2026-01-31", b"2026-01-30")
        for damaged in (
            [*lines[:place], changed, *lines[place + 1 :]],
            [*lines[:place], *lines[place + 1 :]],
            [*lines[:place], lines[place], *lines[place:]],
            [*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]],
            [*lines[:place], b"junk\n", *lines[place:]],
        ):
            if damaged == lines:
                continue
            path.write_bytes(b"".join(damaged))
            audit = await verify(path)
            assert audit.outcome == "broken", (place, damaged[place])
            assert "manifest" in kinds(audit.findings)


async def test_a_file_that_was_cut_off_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "e"
    write(path, sound_book().messages)
    whole = path.read_bytes()
    for size in (len(whole) - 3, len(whole) // 2):
        path.write_bytes(whole[:size])
        audit = await verify(path)
        assert audit.outcome == "broken"
        assert any("cut off" in finding.message for finding in audit.findings.first)


async def test_something_behind_the_manifest_is_found(tmp_path: Path) -> None:
    path = tmp_path / "e"
    write(path, sound_book().messages)
    path.write_bytes(path.read_bytes() + lines_of(path)[1])
    assert (await verify(path)).outcome == "broken"


@pytest.mark.parametrize("content", [b"", b"{}\n", b"hello\n", b"\x00" * 100, b'{"type":"received"}\n'])
def test_what_is_no_export_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "e"
    path.write_bytes(content)
    with pytest.raises(NotAnExport):
        open_export(path, Findings())


def test_a_line_without_an_end_fills_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "LONGEST", 1000)
    path = tmp_path / "e"
    write(path, sound_book().messages[:1])
    path.write_bytes(lines_of(path)[0] + b"x" * 5000)
    with pytest.raises(NotAnExport, match="1000 bytes"):
        open_export(path, Findings())
