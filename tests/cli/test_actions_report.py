"""`magi.cli.actions_report`: each event of the directory as an action, and which of them are asked for."""

import json

import msgspec
import pytest

from magi.cli.actions_report import Action, Wanted, action_of, show_actions, to_line
from magi.domain.directory import DirectoryEvent
from magi.domain.initiator import TokenRevoked
from magi.domain.operations import OperatorActed
from magi.domain.template import PanelRemoved
from magi.domain.voter import VoterSuspended
from tests.golden.test_golden import DIRECTORY, events_of

AT = "2026-11-22T10:00:00.000Z"
NOON = 1_795_348_800_000
SUSPENDED = VoterSuspended(
    originator_id="voter.casper", at=AT, until="2026-11-22T10:01:00Z", reason="5 in a row", by="magi/health@a1"
)
REVOKED = TokenRevoked(originator_id="initiator.agent", at=AT, token_id="abc", reason="leaked", by="alice@ops")
REMOVED = PanelRemoved(originator_id="panel.code", at="2026-11-22T12:00:00.000Z", by="alice@ops")
REFUSED = OperatorActed(
    originator_id="operations.refused",
    at=AT,
    action="voters revoke",
    what="no\x1b[31m such",
    outcome="refused",
    by="bob@x",
)
ALL: list[DirectoryEvent] = [SUSPENDED, REVOKED, REMOVED, REFUSED]


def shown(event: DirectoryEvent) -> str:
    (line,) = show_actions([action_of(event, 1)])
    return line.plain


def test_a_line_says_when_what_who_and_why() -> None:
    assert shown(REVOKED) == f"{AT}  initiator.agent  token abc revoked  by alice@ops  why: leaked"


def test_what_nobody_asked_for_and_what_was_refused_are_marked() -> None:
    assert "by magi/health@a1 (automatic)" in shown(SUSPENDED)
    assert "refused  voters revoke: no\\x1b[31m such  by bob@x" in shown(REFUSED)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), [SUSPENDED, REVOKED, REMOVED, REFUSED]),
        (Wanted(since=NOON), [REMOVED]),
        (Wanted(until=NOON), [SUSPENDED, REVOKED, REFUSED]),
        (Wanted(by="alice"), [REVOKED, REMOVED]),
        (Wanted(by="alice@ops"), [REVOKED, REMOVED]),
        (Wanted(by="ali"), []),
        (Wanted(about="voter.casper"), [SUSPENDED]),
        (Wanted(about="casper"), [SUSPENDED]),
        (Wanted(about="panel"), [REMOVED]),
    ],
)
def test_only_those_are_shown_that_are_asked_for(wanted: Wanted, expected: list[DirectoryEvent]) -> None:
    assert [event for event in ALL if wanted(action_of(event, 1))] == expected


@pytest.mark.parametrize("path", DIRECTORY, ids=lambda path: path.stem)
def test_every_event_that_was_ever_stored_has_its_words(path: object) -> None:
    for event in events_of(path):  # type: ignore[arg-type]
        action = action_of(event, 1)  # type: ignore[arg-type]
        assert action.by
        assert action.what not in ("", action.change)
        assert msgspec.json.decode(to_line(action), type=Action) == action
        assert "\n" not in to_line(action)
        assert json.loads(to_line(action))["about"] == event.originator_id
