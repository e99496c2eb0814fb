"""A nats-server that could not write is started anew once it could.

It remembers a failed write of a stream's block, and from then on answers nobody who writes there, whatever room there
is (2.15.1, seen with "no space left on device"). Nothing that it acknowledged is lost by that, nor by the restart.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import structlog

from magi.embedded.files import log_size

_log = structlog.get_logger(__name__)

EVERY: Final = 1.0
"""Seconds between two looks at the log."""
ROOM: Final = 16 * 1024 * 1024
"""Free bytes that make a restart worth it: two of the blocks that streams are written in."""
NOT_SOONER: Final = 15.0
"""Seconds between two restarts: a disk that is broken, and not full, is not made whole by many."""
_SIGNS: Final = (b"ritical write error", b"failed to store a msg on stream")
_MOST: Final = 64 * 1024
"""Bytes of the log that are read at a look: the end, which repeats what came before."""


class WriteFailures:
    """What the log has said about failed writes since its position."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = log_size(log)

    def new(self) -> bool:
        """Whether a write has failed since the last time that this was asked. Raises OSError."""
        if not self._log.exists():
            return False
        with self._log.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(self._read if self._read <= size else 0, size - _MOST))
            text = file.read()
        self._read = size
        return any(sign in text for sign in _SIGNS)


async def restart_when_writable(log: Path, store: Path, restart: Callable[[], None]) -> NoReturn:
    """Watch `log`, and call `restart` once a write has failed and there is room in the file system of `store`."""
    failures = WriteFailures(log)
    failed, last = False, -NOT_SOONER
    while True:
        await asyncio.sleep(EVERY)
        if failures.new() and not failed:
            failed = True
            _log.error("nats_can_not_write", free_bytes=_free(store), needed_bytes=ROOM)
        if failed and _free(store) >= ROOM and time.monotonic() - last >= NOT_SOONER:
            _log.warning("nats_restarted_to_write_again", free_bytes=_free(store))
            failed, last = False, time.monotonic()
            restart()


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
