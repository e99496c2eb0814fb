"""The Initiator of this machine, as its commands need it: its name, and where its token is."""

from pathlib import Path

LOCAL = "local"
"""The Initiator of this machine: whoever may read the data directory may submit as it."""


def token_file(data: Path) -> Path:
    """Where the local Initiator's token is kept."""
    return data / "keys" / "local.token"
