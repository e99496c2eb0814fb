"""Looking at and starting processes in the tests of the embedded servers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from magi.embedded.osuser import with_access
from magi.embedded.process import Command, Identity

REPOSITORY = Path(__file__).parents[2]


def alive(pid: int) -> bool:
    """Whether `pid` runs; a zombie, which nobody reaps in some containers, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self").exists()


def listens_on(port: int) -> set[str]:
    """The addresses, as Linux prints them, that something listens on with this port. 0100007F is 127.0.0.1."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, number = local.partition(":")
            if state == "0A" and int(number, 16) == port:
                found.add(address)
    return found


@contextmanager
def program(text: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program that runs beside the test; its stdout can be read. Killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", text, *arguments], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def python_as(uid: int, text: str, home: Path, *arguments: str) -> Command:
    """A command, for `process.run`, that runs a Python program as another user. For root only."""
    python = Path(sys.executable)
    places = (REPOSITORY, python.parent, python.resolve().parent, Path(sys.prefix))
    # Where the interpreter lies below /root, that user may read files everywhere: it can't even start otherwise.
    user = with_access(Identity(uid=uid, gid=uid, name=str(uid)), places, (python.resolve(),))
    return Command(
        argv=(str(python), "-c", text, *arguments),
        cwd=REPOSITORY,
        dies_by=signal.SIGKILL,
        env={"HOME": str(home)},
        identity=user,
    )
