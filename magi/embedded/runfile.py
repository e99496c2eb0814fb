"""Notes on running servers in DATA/run: for the next start (what was left? which port was it?) and other processes."""

from pathlib import Path

import msgspec

from magi.embedded.files import write_atomically


class ServerNote(msgspec.Struct, frozen=True):
    """One server of this data directory."""

    pid: int | None
    """None once it was stopped in good order."""
    port: int | None
    """Where it listens on 127.0.0.1; None until that is known. Kept after the stop: the next start prefers it."""
    monitor_port: int | None = None
    """nats-server's HTTP monitoring."""
    operations_port: int | None = None
    """Where a part shows its metrics; None when it doesn't."""


NO_NOTE = ServerNote(pid=None, port=None)


def write_note(file: Path, note: ServerNote) -> None:
    """Raises OSError."""
    write_atomically(file, msgspec.json.encode(note) + b"\n")


def read_note(file: Path) -> ServerNote:
    """The note in `file`; NO_NOTE when there is none or it makes no sense: it only ever saves work."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=ServerNote)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return NO_NOTE
