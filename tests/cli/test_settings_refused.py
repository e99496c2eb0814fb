"""Settings that can't be used: each message names the setting, where it was set, what was expected and what came."""

from pathlib import Path

import pytest

from magi.cli.setting_words import expected
from magi.cli.settings import SettingsError, load, names
from tests.cli.commands import magi

KEY = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("NATS_REPLICAS", "many", "nats.replicas: expected a whole number from 1 to 5, got 'many'"),
        ("GATEWAY_LIMITS_BURST", "0", "gateway.limits.burst: expected a whole number of 1 or more, got '0'"),
        ("HEALTH_ENABLED", "maybe", "health.enabled: expected true or false, got 'maybe'"),
        ("HEALTH_FIRST_SECONDS", "0", "health.first_seconds: expected a number above 0, at most 86400, got '0'"),
        ("LOG_LEVEL", "loud", "log.level: expected debug, info, warning or error, got 'loud'"),
        ("LOG_PARTS", "gateway=loud", "log.parts: expected PART=LEVEL, and as a level one of"),
        ("NATS_SYNC_INTERVAL", "soon", "nats.sync_interval: expected always, any, or a duration such as 2m or 500ms"),
        ("TRACING_RESOURCE", "a=b,c", "tracing.resource: expected a list, each of it name=value, got ['a=b', 'c']"),
        ("TRACING_ENDPOINT", "localhost:4318", "tracing.endpoint: expected an address such as http://localhost:4318"),
        ("TRACING_ENDPOINT", "http://collector:99999", "tracing.endpoint: expected an address such as"),
        ("ALERTS_WEBHOOK_URL", "example.org", "alerts.webhook_url: expected an address such as https://example.org"),
        ("ALERTS_WEBHOOK_URL", "http://169.254.169.254/", "link-local addresses may not be called"),
    ],
)
def test_a_variable_is_refused_in_a_persons_words(variable: str, value: str, told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(None, {f"MAGI_{variable}": value})
    assert str(refused.value).startswith(f"MAGI_{variable}: ")
    assert told in str(refused.value)
    assert "`" not in str(refused.value)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[gateway]\nport = '1'\ntls_cert = 3", "gateway.tls_cert: expected text, got 3"),
        ("nats = 'here'", "nats: expected a table, [nats], got 'here'"),
        ("[nats]\nurl = {a = 1}", "nats.url: expected text, got a table"),
        ("[voters]\nbuiltin = 'melchior'", "voters.builtin: expected a list of texts, got 'melchior'"),
        ("[voters]\nbuiltin = [1]", "voters.builtin: expected a list of texts, got [1]"),
        ("[nats]\nreplicas = true", "nats.replicas: expected a whole number from 1 to 5, got true"),
    ],
)
def test_a_line_of_the_file_is_refused_in_a_persons_words(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "magi.toml"
    file.write_text(line)
    with pytest.raises(SettingsError) as refused:
        load(file, {})
    assert str(refused.value) == f"{file}: {told}"


@pytest.mark.parametrize("url", ["https://me:hunter2@example.org/", "nonsense://me:hunter2@example.org"])
def test_what_was_given_is_told_without_its_secrets(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(None, {"MAGI_ALERTS_WEBHOOK_URL": url})
    assert "hunter2" not in str(refused.value)


def test_there_are_words_for_every_setting() -> None:
    assert not [name for name, kind in names() if "something else" in expected(kind)]


@pytest.mark.parametrize(
    ("section", "name", "content", "told"),
    [
        ("alerts", "webhook_secret_file", None, "No such file or directory"),
        ("alerts", "webhook_secret_file", "hunter2", "a secret begins with whsec_"),
        ("alerts", "rules", "groups: 3", "expected a file with rules in Prometheus' format"),
        ("tracing", "headers_file", "Authorization hunter2", "line 1: expected `Name: value`"),
        ("tracing", "tls_ca", "no certificate", "expected a file with certificates of CAs, in PEM"),
        ("gateway", "tls_key", "a key", "gateway.tls_cert has to be set, too"),
    ],
)
def test_a_file_that_is_of_no_use_is_told_before_anything_starts(
    tmp_path: Path, section: str, name: str, content: str | None, told: str
) -> None:
    file, data = tmp_path / "file", tmp_path / "data"
    if content is not None:
        file.write_text(content)
    setting = {f"MAGI_{section}_{name}".upper(): str(file)}
    refused = magi("serve", data=data, **setting)
    assert (refused.code, refused.stdout, data.exists()) == (2, "", False)
    assert refused.stderr.startswith(f"magi: MAGI_{section.upper()}_{name.upper()}: {section}.{name}: expected ")
    assert told in refused.stderr
    assert "hunter2" not in refused.stderr
    shown = magi("config", "show", data=data, **setting)
    assert (shown.code, shown.stderr) == (1, refused.stderr)
    assert told in magi("doctor", data=data, **setting).stdout


def test_a_secret_where_a_file_is_wanted_is_shown_nowhere(tmp_path: Path) -> None:
    for command in (("serve",), ("config", "show"), ("doctor",)):
        result = magi(*command, data=tmp_path / "data", MAGI_ALERTS_WEBHOOK_SECRET_FILE=KEY)
        assert KEY not in result.stdout + result.stderr
        assert "a secret" in result.stdout + result.stderr
