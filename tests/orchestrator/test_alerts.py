"""Alerts: in the log, counted, and posted by those who want that; and nothing of it stops anybody."""

import msgspec
from structlog.testing import capture_logs

from magi.orchestrator.alert_webhook import WAITING, AlertWebhook, read_secret
from magi.orchestrator.alerts import Alert, Alerts
from magi.webhooks.delivery import Pauses
from magi.webhooks.signing import Secret, new_secret, verify
from tests.waiting import until
from tests.webhooks.service import answers, serving

ALERT = Alert("voter.ejected", "c", "5 time-outs in a row", "2026-01-31T12:00:00.000Z", "magi/health@x", "later", 2)
SECRET = new_secret(b"s" * 32)


def test_an_alert_is_logged_counted_and_handed_on() -> None:
    handed: list[Alert] = []
    alerts = Alerts([handed.append])
    with capture_logs() as logged:
        alerts.raise_(ALERT)
    assert handed == [ALERT]
    assert alerts.raised == {"voter.ejected": 1}
    (line,) = logged
    assert (line["event"], line["name"], line["severity"]) == ("alert", "voter.ejected", "warning")
    assert (line["voter"], line["why"]) == ("c", "5 time-outs in a row")


def test_a_sink_that_fails_is_no_matter_for_the_others() -> None:
    def fails(alert: Alert) -> None:
        raise RuntimeError("no")

    handed: list[Alert] = []
    Alerts([fails, handed.append]).raise_(ALERT)
    assert handed == [ALERT]


async def test_a_webhook_gets_it_signed_and_again_until_it_takes_it() -> None:
    from aiohttp import web

    async with serving(answers(lambda: web.Response(status=503), lambda: web.Response(status=204))) as service:
        webhook = AlertWebhook(service.url, [Secret(SECRET)], Pauses(first=0.01, least=0.001))
        await webhook.start()
        webhook(ALERT)

        async def posted() -> bool:
            return len(service.seen) == 2

        await until(posted, "it was posted twice")
        await webhook.stop()
    first, second = service.seen
    at = float(second.headers["webhook-timestamp"])
    assert verify([Secret(SECRET)], second.headers, second.body, at).message_id == first.headers["webhook-id"]
    assert msgspec.json.decode(second.body) == {
        "type": "voter.ejected",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "data": {
            "voter": "c",
            "severity": "warning",
            "why": "5 time-outs in a row",
            "by": "magi/health@x",
            "until": "later",
            "ejections": 2,
        },
    }


async def test_alerts_that_nobody_takes_are_dropped_and_the_log_says_so() -> None:
    webhook = AlertWebhook("http://127.0.0.1:9", [])
    with capture_logs() as logged:
        for _ in range(WAITING + 3):
            webhook(ALERT)
    assert [line["event"] for line in logged] == ["alert_dropped"] * 3
    await webhook.stop()


def test_the_secret_is_read_from_its_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "secret").write_text(SECRET + "\n")
    (secret,) = read_secret(str(tmp_path / "secret"))
    assert secret.sign("m", 1, b"") == Secret(SECRET).sign("m", 1, b"")
    assert read_secret("") == []
