"""Whose alerts `magi top` shows."""

import os
import time
from pathlib import Path

import msgspec
import pytest

from magi.alerts.alert import Alert
from magi.alerts.state_file import AlertsState, write_state
from magi.cli.context import Context
from magi.cli.top import collect
from magi.cli.top.alerting import evaluated
from magi.cli.top.collect import collecting
from magi.cli.top.frame import AlertLine
from magi.cli.top.places import OfData

NOBODY = 2**22 + 1
"""More than a process's number can be."""


def stated(data: Path, **differently: object) -> AlertsState:
    """What `magi serve` would leave behind now, with an alert that none of MAGI's rules has."""
    now = time.time()
    alert = Alert(
        name="Mine", state="firing", severity="critical", since=now - 65, value=1, labels={"a": "b"}, summary="so it is"
    )
    state = AlertsState(at=now, rules="", pid=os.getpid(), targets=(), alerts=(alert,))
    state = msgspec.structs.replace(state, **differently)
    (data / "run").mkdir(exist_ok=True)
    write_state(data / "run", state)
    return state


async def test_it_shows_what_serve_has_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "FIRST", 0.01)  # no NATS is waited for
    stated(tmp_path)
    async with collecting(OfData(tmp_path)) as collector:
        (shown,) = (await collector.look()).alerts
        assert shown.name == "Mine"
        stated(tmp_path, alerts=())
        assert (await collector.look()).alerts == ()


def test_an_evaluation_is_told_with_its_age(tmp_path: Path) -> None:
    state = stated(tmp_path)
    line = AlertLine("Mine", "firing", "critical", 70.0, {"a": "b"}, "so it is")
    assert evaluated(Context.load(tmp_path), state.alerts[0].since + 70) == (line,)


@pytest.mark.parametrize("differently", [{"pid": NOBODY}, {"pid": 0}, {"pid": 2**62}, {"at": time.time() - 90}])
def test_of_one_who_is_gone_or_late_nothing_is_told(tmp_path: Path, differently: dict[str, object]) -> None:
    stated(tmp_path, **differently)
    assert evaluated(Context.load(tmp_path), time.time()) is None


def test_where_nobody_evaluated_nothing_is_told(tmp_path: Path) -> None:
    assert evaluated(Context.load(tmp_path), time.time()) is None
