"""Servers of a MAGI that was killed: found by the process id that was noted, made sure of, stopped.

On Linux the kernel ends them with MAGI (`launch.py`); they may still be at it when the next MAGI starts. Elsewhere
nobody ends them but this.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)

_LOOK_EVERY = 0.01
"""Seconds. Not our child any more, so that there is nothing to wait on but looking."""


async def stop_leftover(
    name: str, pid: int | None, program: str, over: Path, steps: Sequence[tuple[signal.Signals, float]]
) -> None:
    """Stop process `pid` if it is `program` (a file name) over the file or directory `over`; leave any other alone.

    `steps` are signals with the seconds to wait after each; then SIGKILL. Returns when it has ended. That the caller
    holds the data directory's lock means that no living MAGI needs it.
    """
    if pid is None or not is_ours(pid, program, over):
        return
    _log.warning("leftover_stopped", server=name, pid=pid)
    for number, seconds in (*steps, (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if _has_ended(pid):
                return
            await asyncio.sleep(_LOOK_EVERY)


def is_ours(pid: int, program: str, over: Path) -> bool:
    """Whether `pid` runs, and was started as `program` with `over` among its arguments, as only MAGI starts it.

    A process id alone proves nothing: by now it may be anybody's. The path of a data directory in the arguments does,
    since we hold that directory's lock.
    """
    if Path("/proc/self/cmdline").exists():
        try:  # empty for a zombie, gone for what has ended
            arguments = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")
        except OSError:
            return False
        return str(over) in arguments and any(Path(argument).name == program for argument in arguments)
    # A Mac tells one line, in which a path with a blank looks like two arguments.
    line = subprocess.run(  # noqa: S603 - no shell, and a number
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return f" {over}" in line and program in line


def _has_ended(pid: int) -> bool:
    """Whether a process has let go of its files and ports, even if nobody reaps it, as in a container without init.

    The command line goes first, and the first thread of many may end before the others: neither is enough.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's: the number has a new owner already
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state in "ZX" and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except OSError:  # gone since we looked, or no Linux: the next look tells
        return False
