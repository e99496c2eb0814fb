"""The embedded nats-server: configured, started, kept running, its users changed while it runs."""

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

import msgspec

from magi.embedded import nkey
from magi.embedded.datadir import DataDir
from magi.embedded.errors import ServerStartError, UsersRefused, UsersUnknown
from magi.embedded.files import gib, log_size, tail, write_atomically
from magi.embedded.leftovers import stop_leftover
from magi.embedded.monitor import config_load_time, get
from magi.embedded.ports import LOOPBACK, is_free
from magi.embedded.process import Child, Command, spawn
from magi.embedded.resources import nats_server_configuration, nats_server_program
from magi.embedded.runfile import ServerNote, read_note, write_note
from magi.embedded.supervisor import ServerRestarted, Supervisor
from magi.embedded.unwritable import restart_when_writable
from magi.embedded.users import NO_EDGE, STREAMS_ACCOUNT, NatsEdge, NatsUser, kept, render

NAME: Final = "nats-server"

STOP_WITHIN: Final = 1.5
"""Seconds. A stop takes 1 ms, with full buffers some more; 1.5 s leave room within the 2 s that both servers get
together."""
STOP_A_GIB: Final = 5.0
"""Seconds more for each GiB that is stored: the server writes an index of it all (seen: 8 s for 4.6 GiB with a million
requests, on a machine with nine times more to do than it can). One that is killed over it reads everything again at
its next start."""
START_A_GIB: Final = 60.0
"""Seconds more for each GiB: after a kill the server reads all that is stored before it is ready (seen: 46 s for those
4.6 GiB on that machine, 5.6 s after a stop in good order). One that is killed over it begins anew, and so for ever."""

RESTART: Final = ((signal.SIGTERM, 10.0),)
"""For a restart there is more time; but one that hangs, as over a broken disk, must not be waited for until somebody
comes."""

_RELOAD_WITHIN: Final = 5.0
"""Seconds. It takes 1 to 4 ms."""

_LOOK_EVERY: Final = 0.005
"""Seconds between two looks at what only shows in a file."""

_ANY: Final = (-1, -1)
"""Ports that the server chooses itself."""

_SYNC_INTERVAL = re.compile(r"(always|[1-9]\d*(ms|s|m|h))\Z")


class _PortsFile(msgspec.Struct, frozen=True):
    nats: list[str]
    monitoring: list[str]


class EmbeddedNats:
    """One nats-server over DATA/nats, on loopback, restarted when it ends by itself, always on the same ports.

    `sync_interval` is "always" (an acknowledged message is on disk) or a duration ("2m", the server's own default: a
    power cut loses what was acknowledged since). `components` are users for as long as it runs, and `edge` is what
    those at the edge have of the rest. `users` replaces the other users of the last run; None keeps them, so that
    voters can connect before anybody has read the directory. `max_file_store` is in bytes; None: 3/4 of the free disk.
    `start_within` is in seconds: 10 ms are usual, a log of a million messages takes 1.4 s. For each GiB that is stored
    there is a minute more.

    Raises ValueError for a sync_interval or users that can't be.
    """

    def __init__(
        self,
        data: DataDir,
        *,
        sync_interval: str = "always",
        components: Iterable[NatsUser] = (),
        edge: NatsEdge = NO_EDGE,
        users: Iterable[NatsUser] | None = None,
        max_file_store: int | None = None,
        start_within: float = 60.0,
        on_restart: Callable[[ServerRestarted], None] = lambda restarted: None,
    ) -> None:
        if not _SYNC_INTERVAL.match(sync_interval):
            raise ValueError(f'sync_interval: expected "always" or a duration such as "2m", got {sync_interval!r}')
        self.seed_file = data.keys / "magi.nk"
        """The seed of the key that may do everything: `nats.connect(url, nkeys_seed=…)`."""
        self._data = data
        self._sync_interval = sync_interval
        self._components = tuple(components)
        self._edge = edge
        self._users = None if users is None else tuple(users)
        self._max_file_store = -1 if max_file_store is None else max_file_store
        self._start_within = start_within
        self._component = ""
        self._ports: tuple[int, int] | None = None
        self._configuring = asyncio.Lock()  # nobody changes the files while the server reads them
        self._supervisor = Supervisor(NAME, self._launch, on_restart)
        self._writes: asyncio.Task[NoReturn] | None = None
        self._ending: asyncio.Task[None] | None = None
        if self._users or self._components:
            self._render(nkey.generate()[0], self._users or ())  # refuse them here rather than in the middle of a start

    @property
    def port(self) -> int:
        """Raises RuntimeError before the start."""
        return self._started_on()[0]

    @property
    def monitor_port(self) -> int:
        return self._started_on()[1]

    @property
    def url(self) -> str:
        """`nats://127.0.0.1:<port>`: the same until `stop()`, whatever happens to the process."""
        return f"nats://{LOOPBACK}:{self.port}"

    @property
    def monitor_url(self) -> str:
        """`http://127.0.0.1:<port>`: /varz, /jsz, /healthz …"""
        return f"http://{LOOPBACK}:{self.monitor_port}"

    @property
    def pid(self) -> int | None:
        """Of the process that runs or ran last; None before the start."""
        return self._supervisor.child.pid if self._supervisor.child else None

    async def start(self) -> None:
        """Start it; it accepts clients when this returns. Raises ServerStartError, ServerMissing."""
        await self._supervisor.start()
        writable = restart_when_writable(self._log_file, self._data.nats, self._terminate)
        self._writes = asyncio.create_task(writable, name="watch what nats-server writes")

    async def stop(self) -> None:
        """Stop it: SIGTERM, then SIGKILL. Does nothing when it doesn't run."""
        if self._writes is not None:
            self._writes.cancel()
            await asyncio.wait({self._writes})
        await self._supervisor.stop(self._stop_steps())
        if self._ending is not None:
            await asyncio.wait({self._ending})
        if self._ports is not None:
            write_note(self._note, ServerNote(None, *self._ports))

    async def failed(self) -> NoReturn:
        """Wait until it is given up after too many failed restarts. Raises ServerFailed then."""
        await self._supervisor.failed()

    async def set_users(self, users: Iterable[NatsUser]) -> None:
        """Make these all the users besides the components, once started. In force when this returns: those who are
        on the list no more have been cut off, the others kept their connections.

        When the server is just being restarted, it comes back with these. Raises ValueError for a key or a subject
        that can't be one; UsersRefused when the server refuses them (the users before them stay); UsersUnknown when it
        doesn't answer (call it again).
        """
        self._started_on()
        users = tuple(users)
        content = self._render(self._component, users)
        async with self._configuring:
            before = self._users_file.read_bytes()
            write_atomically(self._users_file, content)
            child = self._supervisor.child
            if child is not None and child.exit_code is None:
                try:
                    await self._reload(child)
                except UsersRefused:
                    write_atomically(self._users_file, before)
                    raise
                except BaseException:
                    # UsersUnknown, or cancelled. Back to those before, whom nobody doubts.
                    write_atomically(self._users_file, before)
                    child.send(signal.SIGHUP)
                    raise
            self._users = users

    def _terminate(self) -> None:
        """End the process, by SIGKILL if it must be; not for good: the supervisor starts it again."""
        if self._supervisor.child is not None:
            self._ending = asyncio.create_task(self._supervisor.child.stop(RESTART), name="end nats-server")

    async def _reload(self, child: Child) -> None:
        log_begin = log_size(self._log_file)
        try:
            before = await config_load_time(self.monitor_port)
            child.send(signal.SIGHUP)
            deadline = time.monotonic() + _RELOAD_WITHIN
            while await config_load_time(self.monitor_port) == before:
                said = tail(self._log_file, log_begin)
                if "Failed to reload" in said:
                    raise UsersRefused(f"nats-server did not take the new users: {said}")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no reload within {_RELOAD_WITHIN:g} s")
                await asyncio.sleep(_LOOK_EVERY)
        except (OSError, TimeoutError, ValueError) as error:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), 1.0)
            if child.exit_code is None:
                raise UsersUnknown(f"whether nats-server took the new users is unknown: {error}") from error
            # It was killed meanwhile, and everybody cut off with it: the next one begins with the new file.

    def _render(self, component: str, users: Iterable[NatsUser]) -> bytes:
        return render(component, (*self._components, *users), self._edge)

    @property
    def _configuration(self) -> Path:
        return self._data.nats / "nats-server.conf"

    @property
    def _users_file(self) -> Path:
        return self._data.nats / "users.conf"

    @property
    def _log_file(self) -> Path:
        return self._data.logs / "nats-server.log"

    @property
    def _note(self) -> Path:
        return self._data.run / "nats-server.json"

    def _stop_steps(self) -> tuple[tuple[signal.Signals, float]]:
        return ((signal.SIGTERM, STOP_WITHIN + STOP_A_GIB * gib(self._data.nats / "jetstream")),)

    def _started_on(self) -> tuple[int, int]:
        if self._ports is None:
            raise RuntimeError("the embedded nats-server has not been started")
        return self._ports

    async def _launch(self) -> Child:
        async with self._configuring:
            note = read_note(self._note)
            program = nats_server_program()
            await stop_leftover(NAME, note.pid, program.name, self._configuration, self._stop_steps())
            for stale in self._data.run.glob("*.ports"):
                stale.unlink(missing_ok=True)
            if not self._component:
                self._component = nkey.kept(self.seed_file)
            if self._users is None:
                own = {component.public_key for component in self._components}
                self._users = tuple(user for user in kept(self._users_file) if user.public_key not in own)
            _take_over(self._data.nats / "jetstream")
            write_atomically(self._configuration, nats_server_configuration().read_bytes())
            write_atomically(self._users_file, self._render(self._component, self._users))
            wanted = self._ports or _still_free(note)
            try:
                return await self._started(program, wanted)
            except ServerStartError:
                if self._ports is not None or wanted == _ANY:
                    raise
            return await self._started(program, _ANY)  # somebody took the old port since we looked

    async def _started(self, program: Path, ports: tuple[int, int]) -> Child:
        command = Command(
            argv=(str(program), "-c", str(self._configuration)),
            cwd=self._data.nats,
            dies_by=signal.SIGTERM,
            env=self._environment(ports),
        )
        log_begin = log_size(self._log_file)
        child = await spawn(command, self._log_file)
        try:
            write_note(self._note, ServerNote(child.pid, *(self._ports or (None, None))))
            self._ports = await self._listening(child, log_begin)
            write_note(self._note, ServerNote(child.pid, *self._ports))
        except BaseException:
            await child.stop(self._stop_steps())
            raise
        return child

    async def _listening(self, child: Child, log_begin: int) -> tuple[int, int]:
        """The ports of a server that is ready: it writes the file last, after JetStream has recovered its streams."""
        file = self._data.run / f"{NAME}_{child.pid}.ports"
        within = self._start_within + START_A_GIB * gib(self._data.nats / "jetstream")
        deadline = time.monotonic() + within
        while (ports := _read_ports(file)) is None:
            if child.exit_code is not None:
                raise ServerStartError(NAME, f"exit code {child.exit_code}", tail(self._log_file, log_begin))
            if time.monotonic() > deadline:
                raise ServerStartError(NAME, f"not ready after {within:.0f} s", tail(self._log_file, log_begin))
            await asyncio.sleep(_LOOK_EVERY)
        status, health = await get(ports[1], "/healthz?js-server-only=true")
        if status != 200:
            raise ServerStartError(NAME, f"unhealthy: {health[:200].decode(errors='replace')}", "")
        return ports

    def _environment(self, ports: tuple[int, int]) -> dict[str, str]:
        return {
            "MAGI_NATS_LISTEN": _quoted(f"{LOOPBACK}:{ports[0]}"),
            "MAGI_NATS_MONITOR": _quoted(f"{LOOPBACK}:{ports[1]}"),
            "MAGI_NATS_RUN_DIR": _quoted(str(self._data.run)),
            "MAGI_NATS_LOG": _quoted(str(self._log_file)),
            "MAGI_NATS_STORE_DIR": _quoted(str(self._data.nats)),
            # A bare 2m would be two million, and that many seconds.
            "MAGI_NATS_SYNC_INTERVAL": _quoted(self._sync_interval),
            "MAGI_NATS_MAX_FILE_STORE": str(self._max_file_store),
        }


def _take_over(streams: Path) -> None:
    """Before there were accounts the streams lay in the global one: give them to theirs."""
    before, now = streams / "$G", streams / STREAMS_ACCOUNT
    if before.is_dir() and not now.exists():
        before.rename(now)


def _quoted(text: str) -> str:
    """A string of the configuration language: the server parses what a variable holds."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _still_free(note: ServerNote) -> tuple[int, int]:
    """The ports of the last run, as far as they are free; -1 lets the server choose."""
    client, monitor = note.port or -1, note.monitor_port or -1
    return (client if client > 0 and is_free(client) else -1, monitor if monitor > 0 and is_free(monitor) else -1)


def _read_ports(file: Path) -> tuple[int, int] | None:
    """None while the file is not there or not yet whole."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=_PortsFile)
        client, monitor = urlsplit(found.nats[0]).port, urlsplit(found.monitoring[0]).port
    except (OSError, msgspec.DecodeError, IndexError):
        return None
    return (client, monitor) if client and monitor else None
