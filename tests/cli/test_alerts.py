"""`magi alerts`, and the evaluation that `magi serve` carries."""

import asyncio
import json
import os
import time
from pathlib import Path

import msgspec
from aiohttp import web

from magi.alerts.alert import Alert
from magi.alerts.rules import FILE
from magi.alerts.state_file import AlertsState, Seen, read_state, write_state
from magi.cli.alerting import alerts_of_serve
from magi.cli.alerts_report import plain
from magi.cli.context import Context, ServeNote, note_file
from magi.cli.context import write_note as write_ready
from magi.embedded import DataDir
from magi.embedded.runfile import ServerNote, write_note
from magi.webhooks.signing import Secret, new_secret, verify
from tests.cli.commands import magi
from tests.waiting import until
from tests.webhooks.service import answers, serving

SECRET = new_secret(b"s" * 32)
DOWN = Alert(
    name="MagiPartDown",
    state="firing",
    severity="critical",
    since=0.0,
    firing_since=30.0,
    value=float("inf"),
    labels={"part": "gateway"},
    summary="the gateway doesn't \x1b[31manswer",
    annotations={"runbook_url": "docs/operations.md#magipartdown"},
)


def put(data: Path, *alerts: Alert, ago: float = 3.0, pid: int = 1) -> None:
    (data / "run").mkdir(exist_ok=True)
    seen = (Seen("gateway", "127.0.0.1:1", up=False), Seen("voters", "127.0.0.1:2", up=True))
    state = AlertsState(at=time.time() - ago, rules="", pid=pid, targets=seen, alerts=alerts, failing={"g: A": "no"})
    write_state(data / "run", state)


def test_it_shows_what_fires_and_ends_with_1_when_that_is_critical(tmp_path: Path) -> None:
    put(tmp_path, DOWN)
    result = magi("alerts", data=tmp_path)
    assert result.code == 1
    first, second, *rest = result.stdout.splitlines()
    assert first.split()[:2] == ["critical", "MagiPartDown"]
    assert "+Inf" in first
    assert "\x1b" not in result.stdout
    assert second.strip() == "what to do: docs/operations.md#magipartdown"
    assert rest[:2] == ["not scraped: the gateway at 127.0.0.1:1", "can't be evaluated: g: A: no"]
    (shown,) = json.loads(magi("alerts", "--json", data=tmp_path).stdout)["alerts"]
    assert (shown["name"], shown["state"], shown["value"]) == ("MagiPartDown", "firing", None)


def test_what_is_pending_or_a_warning_ends_with_0(tmp_path: Path) -> None:
    pending = msgspec.structs.replace(DOWN, state="pending", firing_since=None)
    put(tmp_path, msgspec.structs.replace(DOWN, severity="warning"), pending)
    assert magi("alerts", data=tmp_path).code == 0
    put(tmp_path)
    result = magi("alerts", data=tmp_path)
    assert result.code == 0
    assert "no alert fires" in result.stdout


def test_where_nobody_evaluates_it_says_so_and_ends_with_2(tmp_path: Path) -> None:
    result = magi("alerts", data=tmp_path)
    assert (result.code, "nobody evaluates alerts" in result.stderr) == (2, True)
    put(tmp_path, DOWN, ago=1000)
    result = magi("alerts", data=tmp_path)
    assert (result.code, "since" in result.stderr) == (2, True)


def test_the_last_evaluation_of_one_who_was_killed_is_not_shown(tmp_path: Path) -> None:
    put(tmp_path, DOWN, pid=2**22 + 1)  # more than a process's number can be
    result = magi("alerts", data=tmp_path)
    assert (result.code, result.stdout, "nobody evaluates the alerts" in result.stderr) == (2, "", True)


def test_before_the_first_evaluation_it_says_when_that_comes(tmp_path: Path) -> None:
    with DataDir.open(tmp_path / "data") as data:
        ready = ServeNote(url="ws://127.0.0.1:1", settings={"alerts.every_seconds": 60})
        write_ready(data.path, ready)
        result = magi("alerts", data=data.path)
        assert (result.code, result.stderr) == (0, "")
        assert result.stdout.startswith("not evaluated yet: the first evaluation comes in ")
        assert json.loads(magi("alerts", "--json", data=data.path).stdout)["at"] is None
        write_ready(data.path, ServeNote(url="", settings={}))
        result = magi("alerts", data=data.path)
        assert (result.code, "is still starting" in result.stderr) == (2, True)
        write_ready(data.path, ready)
        os.utime(note_file(data.path), (time.time() - 100, time.time() - 100))
        result = magi("alerts", data=data.path)
        assert (result.code, "its log says why" in result.stderr) == (2, True)


def test_values_are_plain_numbers() -> None:
    values = (0, 0.331, 0.00012, 12.3456, 1000.4, -12_345.6, 3e9, float("inf"), float("nan"))
    assert [plain(value) for value in values] == [
        *("0", "0.331", "0.00012", "12.35", "1,000", "-12,346", "3,000,000,000", "+Inf", "NaN"),
    ]


def test_rules_are_printed_and_checked(tmp_path: Path) -> None:
    assert magi("alerts", "rules", data=tmp_path).stdout.rstrip() == FILE.read_text().rstrip()
    good = magi("alerts", "check", data=tmp_path)
    assert (good.code, "MAGI has no metric" in good.stdout) == (0, False)
    own = tmp_path / "own.yml"
    own.write_text("groups: [{name: g, rules: [{alert: A, expr: magi_vote_total > 1}]}]")
    assert "MAGI has no metric magi_vote_total" in magi("alerts", "check", str(own), data=tmp_path).stdout
    own.write_text("groups: [{name: g, rules: [{alert: A, expr: 'topk(1, up)'}]}]")
    bad = magi("alerts", "check", str(own), data=tmp_path)
    assert bad.code == 2
    assert bad.stderr == f"magi: {own}: g: A: the aggregation topk is not supported\n"
    watch = magi("alerts", "watch", "--rules", str(own), "--targets", str(own), data=tmp_path)
    assert watch.code == 2


async def test_serve_evaluates_tells_the_log_and_posts_signed(tmp_path: Path) -> None:
    """A part that has a note, and a port at which nobody is."""
    run = tmp_path / "run"
    run.mkdir()
    write_note(run / "gateway.json", ServerNote(pid=1, port=None, operations_port=1))
    (tmp_path / "secret").write_text(SECRET)
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: [{name: g, rules: [{alert: Down, expr: 'up{job=\"magi\"} == 0'}]}]")
    async with serving(answers(lambda: web.Response(status=204))) as service:
        options = {
            "alerts.every_seconds": 1,
            "alerts.rules": str(rules),
            "alerts.webhook_url": service.url,
            "alerts.webhook_secret_file": str(tmp_path / "secret"),
        }
        async with alerts_of_serve(Context.load(tmp_path, options)):

            async def posted() -> bool:
                return bool(service.seen)

            await until(posted, "the alert was posted", 30)

            async def told() -> bool:
                state = read_state(run)
                return bool(state and state.told)

            await until(told, "it is written down", 30)
    (seen,) = service.seen
    verify([Secret(SECRET)], seen.headers, seen.body, time.time())
    found = msgspec.json.decode(seen.body)
    assert (found["type"], found["data"]["alert"]) == ("alert.firing", "Down")
    assert found["data"]["firing"][0]["labels"] == {"instance": "127.0.0.1:1", "job": "magi", "part": "gateway"}
    assert not [task for task in asyncio.all_tasks() if "watch" in repr(task)]
