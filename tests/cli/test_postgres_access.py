from pathlib import Path

import pytest

from magi.cli.postgres_access import shown, without_password


@pytest.mark.parametrize(
    ("url", "left", "kept"),
    [
        ("postgresql://u:secret@h:5432/d", "postgresql://u@h:5432/d?passfile={}", "secret"),
        (
            "postgresql://u:p%40ss%3Aword@h/d?sslmode=require",
            "postgresql://u@h/d?sslmode=require&passfile={}",
            "p@ss\\:word",
        ),
        ("postgresql://u@h/d?password=secret", "postgresql://u@h/d?passfile={}", "secret"),
        ("postgresql://:secret@h/d", "postgresql://@h/d?passfile={}", "secret"),
        ("postgresql://u:se%5Ccret@a,b/d", "postgresql://u@a,b/d?passfile={}", "se\\\\cret"),
        ("host=h password='se cret' user=u", "user=u host=h passfile={}", "se cret"),
    ],
)
def test_a_password_goes_into_the_file(tmp_path: Path, url: str, left: str, kept: str) -> None:
    file = tmp_path / "pgpass"
    assert without_password(url, file) == left.format(file)
    assert file.read_text() == f"*:*:*:*:{kept}\n"
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("url", ["postgresql://u@h/d", "postgresql:///d?host=/run", "host=h user=u", "dbname=password"])
def test_without_a_password_nothing_is_written(tmp_path: Path, url: str) -> None:
    assert without_password(url, tmp_path / "pgpass") == url
    assert not (tmp_path / "pgpass").exists()


@pytest.mark.parametrize(
    ("url", "screen"),
    [
        ("postgresql://u:secret@h:5432/d", "postgresql://…@h:5432/d"),
        ("postgresql://u:se@cret@h/d", "postgresql://…@h/d"),
        ("postgresql://h/d?password=secret&sslmode=require", "postgresql://h/d?password=…&sslmode=require"),
        ("host=h password=secret", "…"),
        ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222"),
        ("", ""),
    ],
)
def test_a_screen_shows_no_password(url: str, screen: str) -> None:
    assert shown(url) == screen
