"""`magi.alerts.watch`: a round is logged, posted and written down, and a restart goes on from there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from structlog.testing import capture_logs

from magi.alerts.alert import Scrape
from magi.alerts.rules import read_rules
from magi.alerts.state_file import read_state
from magi.alerts.watch import HOLD, AlertWatch, Watching

RULES = read_rules(
    b"groups: [{name: g, rules: [{alert: Down, expr: up == 0, labels: {severity: critical},"
    b" annotations: {summary: 'the {{ $labels.part }} is down'}}]}]",
    "test",
)
UP, DOWN = [Scrape("gateway", "g:1", "x 1\n")], [Scrape("gateway", "g:1", None)]


class Box:
    """Takes what is posted, and delivers it when it is told to."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.done: list[Callable[[bool], None]] = []

    def put(self, body: bytes, about: dict[str, str], done: Callable[[bool], None]) -> None:
        self.bodies.append(msgspec.json.decode(body))
        self.done.append(done)

    @property
    def types(self) -> list[str]:
        return [body["type"] for body in self.bodies]


def watch(run: Path, box: Box | None = None) -> AlertWatch:
    return AlertWatch(Watching(run=run, rules=RULES, by="magi@here"), list, box.put if box else None)


async def test_what_fires_and_ends_is_logged_posted_and_written_down(tmp_path: Path) -> None:
    box = Box()
    watching = watch(tmp_path, box)
    with capture_logs() as logged:
        await watching.round(UP, 1000)
        await watching.round(DOWN, 1015)
        await watching.round(DOWN, 1030)
        state = read_state(tmp_path)
        assert state
        assert [(a.name, a.state, a.since) for a in state.alerts] == [("Down", "firing", 1015)]
        assert [(t.part, t.up) for t in state.targets] == [("gateway", False)]
        assert state.told == {}  # nobody took it yet
        box.done.pop()(True)
        await watching.round(UP, 1090)
    assert [(line["event"], line["log_level"]) for line in logged] == [
        ("alert_firing", "error"),
        ("alert_resolved", "info"),
    ]
    assert logged[0]["summary"] == "the gateway is down"
    assert logged[1]["fired_seconds"] == 75
    assert box.types == ["alert.firing", "alert.resolved"]


async def test_a_restart_neither_repeats_nor_forgets(tmp_path: Path) -> None:
    box = Box()
    before = watch(tmp_path, box)
    await before.round(DOWN, 1000)
    box.done.pop()(True)
    await before.round(DOWN, 1015)
    after = watch(tmp_path, box)
    after._restore(read_state(tmp_path), 1020)
    with capture_logs() as logged:
        await after.round(DOWN, 1035)
        assert not logged
        await after.round(UP, 1050)  # the parts come up only now, perhaps
        assert not logged
        await after.round(UP, 1020 + HOLD)
    assert [line["event"] for line in logged] == ["alert_resolved"]
    assert box.types == ["alert.firing", "alert.resolved"]


async def test_a_clock_that_is_set_back_begins_anew_with_what_fires(tmp_path: Path) -> None:
    watching = watch(tmp_path)
    await watching.round(DOWN, 10_000)
    with capture_logs() as logged:
        await watching.round(DOWN, 9_999)  # a little: as if no time had passed
        await watching.round(DOWN, 5_000)
        await watching.round(DOWN, 5_015)
    assert [line["event"] for line in logged] == ["alerts_begin_anew"]
    state = read_state(tmp_path)
    assert state
    assert [(a.state, a.since) for a in state.alerts] == [("firing", 10_000)]


def test_a_state_of_another_version_or_none_is_none(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    (tmp_path / "alerts.state").write_bytes(b"\x93abc")
    assert read_state(tmp_path) is None
