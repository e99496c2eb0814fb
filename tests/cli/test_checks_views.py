from typing import Any

import pytest
from msgspec.structs import replace

from magi.cli.checks_views import BEHIND, judge_views
from magi.projections.halts import Halt
from magi.projections.layout import LAYOUT
from magi.projections.status import Progress, Status
from magi.projections.versions import Version

LIVE = Version(2, "live", LAYOUT, False, "")
FINE = Progress(2, "requests", "MAGI_LOG", 70, 0, True, "2026-01-01T00:00:00.000Z")
OLD = replace(FINE, version=1, behind=90_000)


def status(*progress: Progress, halts: tuple[Halt, ...] = (), working: tuple[str, ...] = ("requests",)) -> Status:
    return Status(LAYOUT, (LIVE, Version(1, "old", LAYOUT, False, "")), (*progress, OLD), halts, (), (), working)


@pytest.mark.parametrize(
    ("changed", "working", "expected", "said"),
    [
        ({}, ("requests",), "ok", "up to date"),
        ({"behind": BEHIND}, ("requests",), "ok", "up to date"),
        ({"behind": BEHIND + 1}, ("requests",), "warning", "5001 messages behind"),
        ({"behind": None}, ("requests",), "ok", "up to date"),
        ({"behind": 12}, (), "warning", "nobody moves requests forward, 12 messages behind"),
        ({"same_stream": False}, ("requests",), "error", "another MAGI_LOG"),
    ],
)
def test_views_that_do_not_follow_the_log_are_told(
    changed: dict[str, Any], working: tuple[str, ...], expected: str, said: str
) -> None:
    (finding,) = judge_views(status(replace(FINE, **changed), working=working))
    assert (finding.status, said in finding.found) == (expected, True)


def test_what_stands_is_an_error_and_told_once() -> None:
    halt = Halt(2, "requests", "hole", "", 71, 80, "", "", "sequences 71 to 80 are missing", "")
    (finding,) = judge_views(status(replace(FINE, behind=9_000), halts=(halt,), working=()))
    assert finding.status == "error"
    assert "requests stands at 71: sequences 71 to 80 are missing" in finding.found
