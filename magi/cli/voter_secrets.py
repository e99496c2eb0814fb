"""Secrets of voters that are kept in the data directory, a file each, which only its owner may read: what webhooks are
signed with, and the tokens of people who vote on this machine."""

import os
from pathlib import Path

from magi.cli.settings import SettingsError
from magi.domain.ids import VoterId
from magi.embedded.files import write_atomically

ENTROPY = 32
"""Random bytes of a secret."""


def secret_file(data: Path, voter: VoterId) -> Path:
    return data / "secrets" / f"webhook-{voter}"


def token_file(data: Path, voter: str) -> Path:
    """Where the token of a person who votes on this machine is kept."""
    return data / "secrets" / f"voter-{voter}.token"


def keep_token(data: Path, voter: str, token: str) -> None:
    """Keep a token for `magi vote` on this machine, readable to its owner only. Raises SettingsError."""
    file = token_file(data, voter)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(file, token.encode() + b"\n")
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None


def ensure_secret(file: Path) -> str:
    """The secret in `file`, made now if there is no such file; one that somebody put there is used. Raises
    SettingsError."""
    from magi.webhooks.signing import BadSecret, Secret, new_secret

    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            # Whoever makes it first: two at once end up with the same secret.
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            written = file.read_text("ascii").split()
            for word in written:
                Secret(word)
            if not written:
                raise SettingsError(f"{file}: there is no secret in it; remove it, and try again") from None
            return written[0]
        secret = new_secret(os.urandom(ENTROPY))
        with os.fdopen(descriptor, "w") as opened:
            opened.write(f"{secret}\n")
            opened.flush()
            os.fsync(descriptor)
        return secret
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror}") from None
    except (BadSecret, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from None
