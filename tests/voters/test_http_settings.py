"""What a voter of the kind `http` may be registered with."""

from pathlib import Path
from typing import Any

import pytest

from magi.voters.http_settings import HttpSettings, read_secrets
from magi.voters.kind_settings import BadSettings, read_settings
from magi.webhooks.signing import new_secret

SECRET = new_secret(b"s" * 24)
GOOD = {"url": "https://voter.example/judge", "secret_variable": "JUDGE_SECRET"}


def settings(**changes: Any) -> HttpSettings:
    return read_settings({**GOOD, **changes}, HttpSettings)


def test_a_url_and_a_secret_are_enough() -> None:
    assert settings().timeout_seconds == 30


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"url": "ftp://voter.example"}, "url"),
        ({"url": "http://10.0.0.1/"}, "url.*private"),
        ({"url": "http://169.254.169.254/", "allow_private": True}, "url.*link-local"),
        ({"url": "http://me:secret@voter.example/"}, "url"),
        ({"url": 1}, "url"),
        ({"secret_variable": ""}, "secret_file or secret_variable"),
        ({"secret_file": "/x"}, "one of them"),
        ({"secret_variable": "MAGI_SECRET"}, "secret_variable"),
        ({"secret_variable": "A B"}, "secret_variable"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"secret": SECRET}, "secret"),
    ],
)
def test_what_doesnt_fit_is_refused_with_its_field(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(BadSettings, match=named) as refused:
        settings(**changes)
    assert SECRET not in str(refused.value)


def test_a_private_url_is_taken_when_it_is_allowed() -> None:
    assert settings(url="http://10.0.0.1/", allow_private=True).url == "http://10.0.0.1/"


def test_secrets_come_from_a_variable_or_a_file(tmp_path: Path) -> None:
    assert len(read_secrets(settings(), {"JUDGE_SECRET": f"{SECRET} {SECRET}"})) == 2
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n" + SECRET + "\n")
    assert len(read_secrets(settings(secret_variable="", secret_file=str(file)), {})) == 2


def test_a_missing_or_broken_secret_is_named_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"JUDGE_SECRET.*no secret"):
        read_secrets(settings(), {})
    with pytest.raises(BadSettings, match="JUDGE_SECRET") as refused:
        read_secrets(settings(), {"JUDGE_SECRET": "whsec_hunter2"})
    assert "hunter2" not in str(refused.value)
    with pytest.raises(BadSettings, match="can't be read"):
        read_secrets(settings(secret_variable="", secret_file=str(tmp_path / "none")), {})
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(BadSettings, match="not text"):
        read_secrets(settings(secret_variable="", secret_file=str(tmp_path / "binary")), {})
