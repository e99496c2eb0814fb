"""The parts that `magi serve` starts: each a process, kept running, ready when it says so."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog
from msgspec import Struct

from magi.embedded.datadir import DataDir
from magi.embedded.errors import ServerStartError
from magi.embedded.files import log_size, set_aside_big_log, tail
from magi.embedded.growing import keep_log_small
from magi.embedded.leftovers import stop_leftover
from magi.embedded.process import Child, Command, spawn
from magi.embedded.runfile import read_note
from magi.embedded.supervisor import ServerRestarted, Supervisor

log = structlog.get_logger(__name__)

READY_WITHIN = 60.0
"""Seconds. A part needs one; a machine that is busy with something else, ten."""
STOP = ((signal.SIGTERM, 2.2),)
"""A part takes at most 2 s to finish what it has in hand. With the gateway's head start and the servers' 2 s, a whole
stop stays below 5 s even when a part has to be killed; what it leaves comes again at the next start."""
_LOOK_EVERY = 0.02
_SECRETS = frozenset({"MAGI_TOKEN", "MAGI_VOTER_TOKEN", "MAGI_VOTER_SEED", "NOTIFY_SOCKET"})
"""Of ours, and of no use to a part: not the manager of our own process either, whom only we tell that we are ready."""
_PASSED_ON = ("MAGI_", "PYTHON", "COVERAGE_", "LANG", "LC_", "SSL_", "OTEL_", "VIRTUAL_ENV")


class PartCommand(Struct, frozen=True):
    """A part to run: its name here and the arguments of its `magi` command."""

    name: str
    arguments: tuple[str, ...]
    port_variable: str = ""
    """Where it is told, when it starts again, the port that it had: its clients look for it there."""
    environment: Mapping[str, str] = {}
    """Set for this part only."""
    passed_on: tuple[str, ...] = _PASSED_ON
    """How the names of the variables begin that it gets from our environment."""


class PartProcess:
    """One part, started again when it ends by itself."""

    def __init__(
        self,
        data: DataDir,
        command: PartCommand,
        environment: Mapping[str, str],
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        """`environment` is set besides what is passed on of our own. `on_ready` is called after each start."""
        self.name = command.name
        self._data = data
        self._command = command
        self._environment = dict(environment)
        self._log = data.logs / f"{command.name}.log"
        self._note = data.run / f"{command.name}.json"
        self._on_ready = on_ready
        self._port: int | None = None
        self._operations_port: int | None = None
        self._supervisor = Supervisor(command.name, self._launch, self._restarted)
        self._log_watch: asyncio.Task[None] | None = None

    @property
    def port(self) -> int | None:
        """Where it listens, if it does: the same port however often it is started again."""
        return self._port

    @property
    def pid(self) -> int | None:
        return self._supervisor.child.pid if self._supervisor.child else None

    async def start(self) -> None:
        """Start it and return when it is ready. Raises ServerStartError with the end of its log."""
        # What a killed `magi serve` left may be busy leaving still, and hold the port.
        await stop_leftover(
            f"magi {self.name}", read_note(self._note).pid, self._command.arguments[0], self._data.path, STOP
        )
        await self._supervisor.start()
        if self._log_watch is None:
            self._log_watch = asyncio.create_task(keep_log_small(self._log), name=f"log of {self.name}")

    async def stop(self) -> None:
        if self._log_watch is not None:
            self._log_watch.cancel()
            self._log_watch = None
        await self._supervisor.stop(STOP)
        self._note.unlink(missing_ok=True)

    async def failed(self) -> None:
        """Wait until it is given up. Raises ServerFailed then."""
        await self._supervisor.failed()

    def _restarted(self, restarted: ServerRestarted) -> None:
        log.warning("part_restarted", part=self.name, exit_code=restarted.exit_code)

    async def _launch(self) -> Child:
        set_aside_big_log(self._log)
        since = log_size(self._log)
        passed_on, given = self._command.passed_on, os.environ
        environment = {k: v for k, v in given.items() if k.startswith(passed_on) and k not in _SECRETS}
        environment |= {**self._environment, **self._command.environment, "MAGI_PART": self.name}
        if self._port and self._command.port_variable:
            environment[self._command.port_variable] = str(self._port)
        if self._operations_port:  # it is scraped there
            environment["MAGI_OPERATIONS_PORT"] = str(self._operations_port)
        child = await spawn(
            Command(
                argv=(sys.executable, "-m", "magi", *self._command.arguments, "--data", str(self._data.path)),
                cwd=Path.cwd(),
                dies_by=signal.SIGTERM,
                env=environment,
            ),
            self._log,
        )
        try:
            async with asyncio.timeout(READY_WITHIN):
                while read_note(self._note).pid != child.pid:
                    if child.exit_code is not None:
                        raise ServerStartError(
                            f"magi {self.name}", f"exit code {child.exit_code}", tail(self._log, since)
                        )
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            await child.stop(STOP)
            raise ServerStartError(
                f"magi {self.name}", f"not ready within {READY_WITHIN} s", tail(self._log, since)
            ) from None
        except asyncio.CancelledError:
            await child.stop(STOP)
            raise
        note = read_note(self._note)
        self._port, self._operations_port = note.port, note.operations_port
        self._on_ready()
        return child
