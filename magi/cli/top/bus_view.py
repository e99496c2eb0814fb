"""What NATS tells about the voters: a live copy of the directory, and who is alive. Looks for as long as it runs."""

import asyncio
import contextlib

import structlog

from magi.cli.context import Context, NotRunning
from magi.cli.settings import SettingsError
from magi.cli.top.seen import Registered
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError, CannotConnect, Rejected
from magi.eventstore.direct import DirectReader
from magi.eventstore.directory import DirectoryView
from magi.eventstore.history import StoreError
from magi.eventstore.presence import alive

log = structlog.get_logger(__name__)

EVERY = 1.0
"""Seconds between two looks: instances announce themselves so often."""
AGAIN = 2.0
"""Seconds until a NATS that could not be reached is tried again."""
LEAVE = 0.3
"""Seconds to take leave of NATS."""


class BusView:
    """`registered` is the latest that was seen; None while NATS doesn't answer."""

    def __init__(self) -> None:
        self.registered: Registered | None = None
        self.looked = asyncio.Event()
        """Set once NATS has been asked, whatever came of it."""
        self._task: asyncio.Task[None] | None = None
        self._of: tuple[str, str] | None = None

    def follow(self, ctx: Context | None) -> None:
        """Look there from now on; nothing changes while it is the same NATS. None: nowhere."""
        nats = ctx.settings.nats if ctx else None
        of = (nats.url, nats.seed_dir or nats.seed_file) if nats and nats.url else None
        if of == self._of and (self._task is None or not self._task.done()):
            return
        self._of = of
        if self._task:
            self._task.cancel()
        self.registered = None
        self._task = asyncio.create_task(self._run(ctx)) if ctx and of else None
        if self._task is None:
            self.looked.set()

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=LEAVE * 2)

    async def _run(self, ctx: Context) -> None:
        while True:
            try:
                await self._watch(ctx)
            except (BusError, CannotConnect, NotRunning, Rejected, SettingsError, StoreError, TimeoutError) as error:
                log.debug("directory_not_read", error=str(error))
            finally:
                self.registered = None
            self.looked.set()
            await asyncio.sleep(AGAIN)

    async def _watch(self, ctx: Context) -> None:
        bus = await ctx.connect("operator", "magi top")
        try:
            view = DirectoryView(bus)
            await view.start()
            try:
                presence = DirectReader(bus, subjects.PRESENCE)
                await presence.start()
                await self._look(bus, view, presence)
            finally:
                await view.stop()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE):
                    await bus.close()

    async def _look(self, bus: Bus, view: DirectoryView, presence: DirectReader) -> None:
        while not bus.closed.is_set() and not view.failed.done():
            try:
                async with asyncio.timeout(AGAIN):
                    instances = await alive(presence, "voter.*")
                self.registered = Registered(
                    {str(name): voter for name, voter in view.directory.voters.items()}, instances
                )
            except (BusError, Rejected, TimeoutError) as error:  # it reconnects by itself
                log.debug("presence_not_read", error=str(error))
                self.registered = None
            self.looked.set()
            await asyncio.sleep(EVERY)
