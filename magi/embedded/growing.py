"""Keeps the logs of running programs from growing for ever."""

import asyncio
from pathlib import Path
from typing import Final, NoReturn

import structlog

from magi.embedded.files import copy_aside_big_log

_log = structlog.get_logger(__name__)

EVERY: Final = 10.0
"""Seconds between two looks at the size of a log."""


async def keep_log_small(log: Path, every: float = EVERY) -> NoReturn:
    """Look at `log` every so many seconds, and set aside what is in it when that is more than LOG_LIMIT."""
    blind = False
    while True:
        await asyncio.sleep(every)
        try:
            await asyncio.to_thread(copy_aside_big_log, log)
            blind = False
        except OSError as error:  # a full disk, say: who watches goes on watching
            if not blind:
                _log.warning("log_not_set_aside", log=str(log), error=str(error))
            blind = True
