"""A process that ends with us: stopped when its block is left; killed, with what it started, should we be killed."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.rivals import HERE

STOP_WITHIN = 5.0
"""Seconds between asking it to end and killing it."""
_WATCHDOG = 'read -r _; kill -9 "-$1"'
"""Its stdin ends when this process does, however that comes about."""


@contextmanager
def started(arguments: Sequence[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run it in a process group of its own, so that Ctrl-C is ours to handle; what it says goes to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(arguments),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=HERE,
            process_group=0,
        )
    watchdog = subprocess.Popen(
        ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(process.pid)], stdin=subprocess.PIPE, process_group=0
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_WITHIN)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # it, or children that it left
            process.wait()
            watchdog.kill()
            watchdog.communicate()
