from pathlib import Path

import pytest

from magi.cli.settings import SettingsError
from magi.cli.voter_secrets import ensure_secret, secret_file
from magi.domain.ids import VoterId
from magi.webhooks.signing import Secret


def test_a_secret_is_made_for_its_owner_only(tmp_path: Path) -> None:
    file = secret_file(tmp_path, VoterId("a"))
    secret = ensure_secret(file)
    Secret(secret)
    assert file.read_text().strip() == secret
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_one_that_is_there_is_kept(tmp_path: Path) -> None:
    file = secret_file(tmp_path, VoterId("a"))
    assert ensure_secret(file) == ensure_secret(file)


@pytest.mark.parametrize("content", [b"", b"no secret", b"whsec_AAAA", b"\xff"])
def test_a_file_with_something_else_is_an_error_that_does_not_quote_it(tmp_path: Path, content: bytes) -> None:
    file = secret_file(tmp_path, VoterId("a"))
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=str(file)) as refused:
        ensure_secret(file)
    assert "AAAA" not in str(refused.value)
    assert file.read_bytes() == content
