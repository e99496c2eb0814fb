"""What `magi doctor` says of alerts, their webhook and the collector; and one who hangs keeps it from nothing else."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from magi.alerts.alert import Alert
from magi.alerts.state_file import AlertsState
from magi.cli import checks_watching, doctor
from magi.cli.checks_watching import check_collector, check_webhook, judge_alerts
from magi.cli.context import Context
from magi.cli.findings import Finding
from magi.eventstore import bus
from magi.webhooks.signing import new_secret
from tests.cli.commands import magi

STATE = AlertsState(at=1000.0, rules="", pid=1, targets=(), alerts=())
ALERT = Alert(
    name="MagiPartDown",
    state="firing",
    severity="critical",
    since=0.0,
    firing_since=30.0,
    value=1.0,
    labels={},
    summary="",
    annotations={},
)
WARNING = msgspec.structs.replace(ALERT, severity="warning")
replace = msgspec.structs.replace


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def found(ctx: Context) -> list[Finding]:
    return [*await check_webhook(ctx), *await check_collector(ctx)]


@pytest.mark.parametrize(
    ("state", "now", "status", "told"),
    [
        (None, 0.0, "warning", "not evaluated yet"),
        (STATE, 1015.0, "ok", "evaluated 15 s ago"),
        (STATE, 1200.0, "error", "last evaluated 200 s ago"),
        (replace(STATE, failing={"g: A": "no"}), 1001.0, "error", "can't be evaluated: g: A"),
        (replace(STATE, alerts=(ALERT,)), 1001.0, "error", "1 firing: MagiPartDown"),
        (replace(STATE, alerts=(WARNING,)), 1001.0, "warning", "1 firing"),
    ],
)
def test_what_fires_or_is_not_evaluated_is_told(state: AlertsState | None, now: float, status: str, told: str) -> None:
    finding = judge_alerts(state, now)
    assert (finding.status, told in finding.found) == (status, True)


async def test_who_takes_alerts_and_spans_is_looked_at_if_anybody_is_to(tmp_path: Path) -> None:
    assert await found(Context.load(tmp_path)) == []
    secret = tmp_path / "secret"
    secret.write_text(new_secret(b"s" * 32))
    signed = {"alerts.webhook_secret_file": str(secret)}
    with silent() as port:
        where = {"alerts.webhook_url": f"http://127.0.0.1:{port}/x", "tracing.endpoint": f"http://127.0.0.1:{port}"}
        ctx = Context.load(tmp_path, {**signed, **where})
        webhook, collector = await found(ctx)
    assert (webhook.status, collector.status) == ("ok", "ok")
    assert "are signed" in webhook.found
    webhook, collector = await found(ctx)  # nobody listens any more
    assert (webhook.status, collector.status) == ("error", "warning")
    (webhook,) = await check_webhook(Context.load(tmp_path, signed))
    assert "posted nowhere" in webhook.advice


async def test_tls_that_leads_nowhere_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_watching, "REACH_WITHIN", 0.3)
    with silent() as port:
        (webhook,) = await check_webhook(Context.load(tmp_path, {"alerts.webhook_url": f"https://127.0.0.1:{port}/"}))
    assert (webhook.status, "no answer within" in webhook.found) == ("error", True)


def test_a_nats_that_hangs_keeps_it_from_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "CONNECT_TIMEOUT", 1)
    with silent() as port, silent() as other:
        result = magi(
            *("doctor", "--json"),
            data=tmp_path,
            MAGI_NATS_URL=f"nats://127.0.0.1:{port}",
            MAGI_ALERTS_WEBHOOK_URL=f"http://127.0.0.1:{other}",
        )
    rows = {row["check"]: row for row in json.loads(result.stdout)}
    assert result.code == 1
    assert "no answer at nats://127.0.0.1" in rows["nats"]["found"]
    assert rows["alert webhook"]["status"] == "ok"
    assert {"gateway", "postgres", "disk"} <= set(rows)


async def test_a_check_that_hangs_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LOOK_WITHIN", 0.05)

    async def hangs() -> list[Finding]:
        await asyncio.Event().wait()
        return []

    (finding,) = await doctor._many("streams", hangs())
    assert (finding.check, finding.status, "no answer within" in finding.found) == ("streams", "error", True)
