"""The embedded PostgreSQL: started, kept running. It holds what can be rebuilt from the log, and nothing else."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from magi.embedded.cluster import DATABASE, ENVIRONMENT, NAME, ROLE, Cluster, prepare
from magi.embedded.datadir import DataDir
from magi.embedded.errors import ServerStartError
from magi.embedded.files import log_size, set_aside_big_log, tail
from magi.embedded.growing import keep_log_small
from magi.embedded.leftovers import is_ours, stop_leftover
from magi.embedded.ports import LOOPBACK, free_port, is_free
from magi.embedded.process import Child, Command, spawn
from magi.embedded.resources import postgres_programs
from magi.embedded.runfile import ServerNote, read_note, write_note
from magi.embedded.supervisor import ServerRestarted, Supervisor

STOP: Final = ((signal.SIGINT, 1.4), (signal.SIGQUIT, 0.3))
"""SIGINT is the fast shutdown: sessions are cut, a checkpoint is written (50 ms; with all 32 MB of buffers dirty a few
hundred). SIGQUIT leaves the checkpoint out: the next start replays the WAL. Together within the 2 s of a whole stop."""

SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # their paths end at 107 bytes, which a data directory easily exceeds
    "max_connections": "60",
    # All of the views of a million requests are some 100 MB and mostly read in order: the kernel's cache does that,
    # and the fewer dirty buffers there are, the sooner a stop is done.
    "shared_buffers": "32MB",
    "huge_pages": "off",
    "dynamic_shared_memory_type": "mmap",  # not /dev/shm: containers have 64 MB of it, or none
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",  # PostgreSQL 18 would start three I/O workers more
    "wal_level": "minimal",  # no replica, no archive: the log is the truth, this is a view of it
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",  # statements hold what people submitted: not for a log file
}
"""Given on the command line, so that they follow the program's version and not the cluster's age."""

_START_ATTEMPTS: Final = 8
_LOOK_EVERY: Final = 0.005

_PORT_TAKEN: Final = "Address already in use"
_STILL_ATTACHED: Final = "pre-existing shared memory block"
"""What a start says while backends of a killed postmaster live on: they end as soon as they look up from their work."""


class EmbeddedPostgres:
    """One PostgreSQL over DATA/postgres, on loopback TCP with a password, restarted on the same port when it ends.

    As root it runs as another user (see `osuser.py`). `start_within` is in seconds: 60 ms are usual, the first start
    makes the cluster (0.7 s), and one after a crash replays at most 256 MB of WAL.
    """

    def __init__(
        self,
        data: DataDir,
        *,
        start_within: float = 60.0,
        on_restart: Callable[[ServerRestarted], None] = lambda restarted: None,
    ) -> None:
        self._data = data
        self._start_within = start_within
        self._password_file = data.keys / "postgres"
        self._log_file = data.logs / "postgres.log"
        self._note = data.run / "postgres.json"
        self._port: int | None = None
        self._supervisor = Supervisor(NAME, self._launch, on_restart)
        self._log_watch: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Raises RuntimeError before the start."""
        if self._port is None:
            raise RuntimeError("the embedded PostgreSQL has not been started")
        return self._port

    @property
    def url(self) -> str:
        """`postgresql://…` of the database `magi`, with the password in it: for connecting, never for a log."""
        return url(self.port, self._password_file)

    @property
    def pid(self) -> int | None:
        """Of the postmaster that runs or ran last; None before the start."""
        return self._supervisor.child.pid if self._supervisor.child else None

    async def start(self) -> None:
        """Start it, making the cluster first if there is none; it accepts connections when this returns.

        Raises ServerStartError, ServerMissing, PostgresVersionError.
        """
        await self._supervisor.start()
        if self._log_watch is None:
            self._log_watch = asyncio.create_task(keep_log_small(self._log_file), name=f"log of {NAME}")

    async def stop(self) -> None:
        """Stop it, at worst by SIGKILL. Does nothing when it doesn't run."""
        if self._log_watch is not None:
            self._log_watch.cancel()
            self._log_watch = None
        await self._supervisor.stop(STOP)
        if self._port is not None:
            write_note(self._note, ServerNote(pid=None, port=self._port))

    async def failed(self) -> NoReturn:
        """Wait until it is given up after too many failed restarts. Raises ServerFailed then."""
        await self._supervisor.failed()

    async def _launch(self) -> Child:
        programs = postgres_programs()
        note = read_note(self._note)
        await self._clear(note, programs / "postgres")
        cluster = await prepare(self._data.postgres, programs, self._password_file)
        set_aside_big_log(self._log_file)
        last = ServerStartError(NAME, "no port was free", "")
        for attempt in range(_START_ATTEMPTS):
            port = self._port or self._choose(note, attempt)
            try:
                child = await self._started(cluster, port)
            except ServerStartError as error:
                last = error
                if _PORT_TAKEN in error.log_tail and self._port is None:
                    continue  # somebody was faster: another one
                if _STILL_ATTACHED in error.log_tail:
                    await asyncio.sleep(0.05 * 2**attempt)
                    continue
                raise
            self._port = port
            return child
        raise last

    def _choose(self, note: ServerNote, attempt: int) -> int:
        """The port of the last run if it is free, so that tools outside keep their settings; else any."""
        if attempt == 0 and note.port is not None and is_free(note.port):
            return note.port
        return free_port()

    async def _clear(self, note: ServerNote, program: Path) -> None:
        """Stop what a killed MAGI left, and remove its lock if it would mislead."""
        cluster = self._data.postgres / "cluster"
        lock = cluster / "postmaster.pid"
        locked_by = _locked_by(lock)
        for pid in {note.pid, locked_by}:
            await stop_leftover(NAME, pid, program.name, cluster, STOP)
        if locked_by is not None and not is_ours(locked_by, program.name, cluster):
            # In a container the process ids begin anew at every start: PostgreSQL takes any process of its user with
            # the old one's id for the old one, and refuses to start. We hold DATA's lock and know better.
            lock.unlink(missing_ok=True)

    async def _started(self, cluster: Cluster, port: int) -> Child:
        settings = SETTINGS | {"port": str(port), "hba_file": str(cluster.hba_file)}
        options = tuple(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
        command = Command(
            argv=(str(cluster.program), "-D", str(cluster.directory), *options),
            cwd=Path("/"),
            dies_by=signal.SIGINT,
            env=ENVIRONMENT,
            identity=cluster.identity,
        )
        log_begin = log_size(self._log_file)
        child = await spawn(command, self._log_file)
        try:
            write_note(self._note, ServerNote(pid=child.pid, port=port))
            await self._ready(child, cluster.directory / "postmaster.pid", log_begin)
        except BaseException:
            await child.stop(STOP)
            raise
        return child

    async def _ready(self, child: Child, lock: Path, log_begin: int) -> None:
        deadline = time.monotonic() + self._start_within
        while not _is_ready(lock, child.pid):
            if child.exit_code is not None:
                raise ServerStartError(NAME, f"exit code {child.exit_code}", tail(self._log_file, log_begin))
            if time.monotonic() > deadline:
                raise ServerStartError(
                    NAME, f"not ready after {self._start_within:g} s", tail(self._log_file, log_begin)
                )
            await asyncio.sleep(_LOOK_EVERY)


def url(port: int, password_file: Path) -> str:
    """See EmbeddedPostgres.url. Raises OSError."""
    return f"postgresql://{ROLE}:{password_file.read_text().strip()}@{LOOPBACK}:{port}/{DATABASE}"


def _is_ready(lock: Path, pid: int) -> bool:
    """Whether that postmaster accepts connections: it writes so into the eighth line of its lock file."""
    lines = _lines(lock)
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _locked_by(lock: Path) -> int | None:
    lines = _lines(lock)
    return int(lines[0]) if lines and lines[0].isdecimal() else None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
