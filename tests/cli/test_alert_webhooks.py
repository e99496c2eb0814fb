"""Where alerts are posted, from the settings; and what can't be used stops the start with its name."""

from pathlib import Path

import pytest

from magi.cli.context import Context
from magi.cli.parts import _alert_webhooks
from magi.cli.settings import SettingsError
from magi.orchestrator.alert_webhook import AlertWebhook
from magi.webhooks.signing import new_secret


def context(tmp_path: Path, **alerts: str) -> Context:
    return Context.load(tmp_path, {f"alerts.{name}": value for name, value in alerts.items()})


def test_alerts_are_posted_nowhere_unless_it_is_said_where(tmp_path: Path) -> None:
    assert _alert_webhooks(context(tmp_path)) == []


def test_one_is_made_of_a_url_and_the_file_of_its_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(new_secret(b"s" * 32))
    (webhook,) = _alert_webhooks(
        context(tmp_path, webhook_url="https://alerts.example/hook", webhook_secret_file=str(tmp_path / "secret"))
    )
    assert isinstance(webhook, AlertWebhook)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("no url", None),
        ("http://169.254.169.254/", None),
        ("https://alerts.example", "not there"),
        ("https://alerts.example", "bad"),
    ],
)
def test_what_cannot_be_used_is_told_at_the_start(tmp_path: Path, url: str, secret: str | None) -> None:
    (tmp_path / "bad").write_text("whsec_short")
    file = str(tmp_path / secret) if secret else ""
    with pytest.raises(SettingsError, match="alerts"):
        _alert_webhooks(context(tmp_path, webhook_url=url, webhook_secret_file=file))
