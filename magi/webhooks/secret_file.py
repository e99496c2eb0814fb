"""The secret that messages are signed with, as it lies in a file."""

from pathlib import Path

from magi.webhooks.signing import Secret


def read_secret(path: str) -> list[Secret]:
    """The secret in a file, or none when no file is named. Raises OSError, UnicodeDecodeError, BadSecret."""
    return [Secret(Path(path).read_text("utf-8").strip())] if path else []
