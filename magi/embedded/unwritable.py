"""A nats-server that could not write is started anew once it could.

It remembers a failed write of a stream's block, and from then on answers nobody who writes there, whatever room there
is (2.15.1, seen with "no space left on device"). Nothing that it acknowledged is lost by that, nor by the restart.
"""

import asyncio
import os
import re
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
_SIGN: Final = re.compile(
    rb"^(\[\d+\] \S+ \S+ )?\[(ERR|WRN|FTL)\] (Filestore|JetStream) [^\"\n]*"
    rb"(ritical write error|failed to store a msg on stream)",
    re.MULTILINE,
)
"""Only where the server itself speaks. Other lines quote what a client calls itself and asks for, even one that was
refused for its key: with these words as its name it could have everybody's server restarted."""
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
            since = self._read if self._read <= size else 0
            file.seek(max(since, size - _MOST))
            if size - _MOST > since:
                file.readline()  # the end of a line, whose beginning says who speaks
            text = file.read(size - file.tell())
        self._read = size
        return _SIGN.search(text) is not None


async def restart_when_writable(log: Path, store: Path, restart: Callable[[], None]) -> NoReturn:
    """Watch `log`, and call `restart` once a write has failed and there is room in the file system of `store`."""
    failures = WriteFailures(log)
    failed, last, blind = False, -NOT_SOONER, False
    while True:
        await asyncio.sleep(EVERY)
        try:
            if failures.new() and not failed:
                failed = True
                _log.error("nats_can_not_write", free_bytes=_free(store), needed_bytes=ROOM)
            if failed and _free(store) >= ROOM and time.monotonic() - last >= NOT_SOONER:
                _log.warning("nats_restarted_to_write_again", free_bytes=_free(store))
                failed, last = False, time.monotonic()
                restart()
            blind = False
        except OSError as error:  # no file may be opened just now, say: who watches goes on watching
            if not blind:
                _log.warning("nats_writes_not_watched", error=str(error))
            blind = True


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
