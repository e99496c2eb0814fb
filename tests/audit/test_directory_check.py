"""The directory's own histories."""

import msgspec
import pytest

from magi.audit.directory_check import check_directory
from magi.audit.findings import Findings
from magi.domain.clock import rfc3339
from magi.domain.template import PanelDefined, PanelRemoved
from magi.domain.voter import VoterRevoked, VoterSuspended
from tests.audit.histories import START, directory, directory_messages, kinds, registered


def test_a_sound_directory_gives_a_registry() -> None:
    findings = Findings()
    who = check_directory(directory(), findings)
    assert findings.first == []
    assert who.voter("a", START) == {"active"}
    assert who.initiator("agent", START) == {"active"}


def test_a_revocation_that_was_taken_out_or_changed_is_found() -> None:
    at = rfc3339(START)
    messages = directory(
        VoterRevoked(originator_id="voter.a", at=at, by="test"),
        VoterSuspended(originator_id="voter.a", at=at, by="test"),
    )
    for damaged in (
        [*messages[:-2], messages[-1]],
        [*messages[:-2], msgspec.structs.replace(messages[-2], data=messages[-2].data.replace(b"test", b"best"))],
    ):
        findings = Findings()
        check_directory([*damaged, messages[-1]] if damaged[-1] is not messages[-1] else damaged, findings)
        assert findings.count("broken") == 1


def test_bytes_that_are_no_event_are_found() -> None:
    messages = directory()
    findings = Findings()
    check_directory([msgspec.structs.replace(messages[0], data=b"{}"), *messages[1:]], findings)
    assert kinds(findings) == ["unreadable"]


def test_a_panel_may_be_defined_as_often_as_one_likes_but_not_removed_before() -> None:
    at = rfc3339(START)
    defined = PanelDefined(originator_id="panel.code", at=at, panel_id="code", members=("a",), by="t")
    removed = PanelRemoved(originator_id="panel.code", at=at, by="t")
    findings = Findings()
    check_directory(directory_messages(defined, defined, removed, defined), findings)
    assert kinds(findings) == []
    check_directory(directory_messages(removed), findings)
    assert kinds(findings) == ["history"]


def test_registering_twice_and_never_are_found() -> None:
    findings = Findings()
    check_directory(directory_messages(registered("a"), registered("a")), findings)
    assert kinds(findings) == ["history"]
    findings = Findings()
    check_directory(directory_messages(VoterRevoked(originator_id="voter.a", at=rfc3339(START), by="t")), findings)
    assert kinds(findings) == ["history"]


@pytest.mark.parametrize("place", [0, 2, 4])
def test_what_was_taken_out_of_a_whole_directory_is_a_hole(place: int) -> None:
    """The last event of a voter shows in no chain: it may be that it was revoked."""
    revoked = VoterRevoked(originator_id="voter.a", at=rfc3339(START), by="test")
    messages = directory(revoked)
    findings = Findings()
    check_directory(messages, findings, len(messages))
    assert findings.first == []
    check_directory(messages[:place] + messages[place + 1 :], findings, len(messages))
    assert [(f.kind, f.message) for f in findings.first if f.kind == "hole"] == [
        ("hole", f"sequence {place + 1} is missing")
    ]


def test_some_of_a_directory_has_gaps() -> None:
    findings = Findings()
    check_directory([message for message in directory() if message.sequence != 2], findings)
    assert findings.first == []
