"""The directory's own histories."""

import msgspec

from magi.audit.directory_check import check_directory
from magi.audit.findings import Findings
from magi.domain.clock import rfc3339
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


def test_registering_twice_and_never_are_found() -> None:
    findings = Findings()
    check_directory(directory_messages(registered("a"), registered("a")), findings)
    assert kinds(findings) == ["history"]
    findings = Findings()
    check_directory(directory_messages(VoterRevoked(originator_id="voter.a", at=rfc3339(START), by="t")), findings)
    assert kinds(findings) == ["history"]
