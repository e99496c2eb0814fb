"""Files as a server's neighbour needs them: written whole or not at all, logs that don't grow for ever, their ends."""

import contextlib
import os
import shutil
from pathlib import Path

LOG_LIMIT = 10 * 1024 * 1024
"""Bytes after which a log is set aside (one old one is kept)."""


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600, group: int = -1) -> None:
    """Replace `path` by `content`, durably: after a crash it holds either the old bytes or all of the new ones.

    `group` is the id of the group that the file is given to; -1 leaves it. Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)  # whatever the umask
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def set_aside_big_log(path: Path) -> None:
    """Rename a log that has grown beyond LOG_LIMIT to `<name>.old`, replacing an older one."""
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.replace(path.with_name(path.name + ".old"))


def copy_aside_big_log(path: Path) -> None:
    """Do the same while a program appends to it (O_APPEND): copy what is in it and empty it. Blocks; raises OSError.

    What is said between the end of the copy and the emptying is lost.
    """
    if not path.exists() or path.stat().st_size <= LOG_LIMIT:
        return
    temporary = path.with_name(f".{path.name}.old.new")
    temporary.unlink(missing_ok=True)
    try:
        # One descriptor for all: the name may go to a new log meanwhile, whose beginning is not to be cut off.
        with path.open("r+b") as log:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as copy:
                shutil.copyfileobj(log, copy, 1024 * 1024)
            temporary.replace(path.with_name(path.name + ".old"))
            os.ftruncate(log.fileno(), 0)
    finally:
        temporary.unlink(missing_ok=True)


def log_size(path: Path) -> int:
    """Bytes in the log so far: where what comes next begins. 0 when there is none."""
    return path.stat().st_size if path.exists() else 0


def tail(path: Path, since: int, lines: int = 12) -> str:
    """The last `lines` of what was written to a log after byte `since`; "" when there is nothing."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        # A log that became shorter was set aside meanwhile: then all of it is new. 8 KiB hold a dozen lines easily.
        file.seek(max(since if since <= size else 0, size - 8192))
        text = file.read().decode(errors="replace")
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-lines:])


def gib(folder: Path) -> float:
    """The size of all files below `folder`. What goes away while we look counts for nothing."""
    size = 0
    for root, _, names in os.walk(folder):  # it passes over what goes away; rglob raises for a folder that does
        for name in names:
            with contextlib.suppress(OSError):
                size += os.stat(os.path.join(root, name)).st_size
    return size / (1 << 30)
