"""What no verdict needs: started when that can be done, and tried again, ever more seldom, for as long as MAGI runs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from msgspec import Struct

from magi.embedded.errors import EmbeddedError

log = structlog.get_logger(__name__)


class Startable(Protocol):
    """A server or a part, as `Supervisor` keeps it: it can be started again after it was given up."""

    async def start(self) -> None:
        """Raises EmbeddedError."""
        ...

    async def failed(self) -> None:
        """Wait until it is given up. Raises EmbeddedError then."""
        ...


class Pauses(Struct, frozen=True):
    """Seconds. Being given up takes a dozen tries already: what is wrong then is not over in a second."""

    first: float = 2.0
    longest: float = 120.0


async def nothing() -> None:
    """Does nothing when it is up."""


class Retried:
    """One of them. Its failures are logged, and end nothing."""

    def __init__(
        self,
        name: str,
        server: Startable,
        on_up: Callable[[], Awaitable[None]] = nothing,
        pauses: Pauses = Pauses(),  # noqa: B008 - it is frozen
    ) -> None:
        """`on_up` is called whenever it was started."""
        self._name = name
        self._server = server
        self._on_up = on_up
        self._pauses = pauses
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, patience: float) -> None:
        """Return once it was tried, or after `patience` seconds: then it goes on in the background."""
        self._task = self._task or asyncio.create_task(self._keep(), name=f"keep {self._name}")
        try:
            async with asyncio.timeout(patience):
                await self._tried.wait()
        except TimeoutError:
            log.warning("views_come_later", server=self._name, seconds=patience)

    async def leave(self) -> None:
        """Don't try any more; what runs goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause = self._pauses.first
        while True:
            began = loop.time()
            try:
                await self._server.start()
                await self._on_up()
                if self._tried.is_set():
                    log.info("views_go_on", server=self._name)
                self._tried.set()
                await self._server.failed()
            except EmbeddedError as error:
                if loop.time() - began > self._pauses.longest:
                    pause = self._pauses.first
                log.error("views_stand_still", server=self._name, error=str(error), again_in=pause)
            self._tried.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, self._pauses.longest)
