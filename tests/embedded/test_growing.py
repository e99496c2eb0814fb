"""Logs of running programs stay small."""

import asyncio
import os
import signal
import stat
from pathlib import Path

from structlog.testing import capture_logs

from magi.embedded.files import LOG_LIMIT
from magi.embedded.growing import keep_log_small
from magi.embedded.process import Command, spawn
from tests.waiting import until


async def test_the_log_of_a_running_program_is_set_aside_and_goes_on_from_its_beginning(tmp_path: Path) -> None:
    log, old, more = tmp_path / "log", tmp_path / "log.old", tmp_path / "more"
    old.write_text("from before")
    says = f"head -c {LOG_LIMIT + 1} /dev/zero; until [ -e {more} ]; do sleep 0.02; done; echo on; sleep 60"
    child = await spawn(Command(argv=("/bin/sh", "-c", says), cwd=tmp_path, dies_by=signal.SIGKILL), log)
    watch = asyncio.create_task(keep_log_small(log, every=0.02))
    try:

        async def emptied() -> bool:
            return old.stat().st_size > LOG_LIMIT and log.stat().st_size == 0

        await until(emptied, "the log is empty")
        more.touch()

        async def goes_on() -> bool:
            return log.read_bytes() == b"on\n"

        await until(goes_on, "the program has said more")
        assert stat.S_IMODE(old.stat().st_mode) == 0o600
        assert sorted(os.listdir(tmp_path)) == ["log", "log.old", "more"]
    finally:
        watch.cancel()
        await child.stop(())


async def test_trouble_does_not_end_the_watch(tmp_path: Path) -> None:
    log, old = tmp_path / "log", tmp_path / "log.old"
    watch = asyncio.create_task(keep_log_small(log, every=0.01))
    try:
        old.mkdir()  # can't be replaced by a file
        with log.open("wb") as file:
            file.truncate(LOG_LIMIT + 1)
        (old / "in the way").touch()

        async def told() -> bool:
            return [line["event"] for line in lines] == ["log_not_set_aside"]

        with capture_logs() as lines:
            await until(told, "it has tried")
        assert log.stat().st_size == LOG_LIMIT + 1
        (old / "in the way").unlink()
        old.rmdir()

        async def set_aside() -> bool:
            return old.is_file() and log.stat().st_size == 0

        await until(set_aside, "the log is empty")
    finally:
        watch.cancel()
