"""Which tokens are in use here: noted in the bucket `magi_usage` every few minutes, and never waited for."""

import asyncio
import time
from collections.abc import Callable, Iterable

import structlog

from magi.eventstore.bus import Bus, BusError, Rejected
from magi.eventstore.last_use import store_use
from magi.eventstore.presence import now_ms

log = structlog.get_logger(__name__)

COARSE = 300.0
"""Seconds between two notes of one token: precise enough to tell whether it can be revoked, and each costs the streams'
server an fsync."""
LOOK_EVERY = 2.0
"""Seconds."""
_LEAVING = 0.2
"""Seconds that a stopping gateway takes to note what it hasn't yet."""


class LastUse:
    """Of the tokens that connections of this gateway show, those included that are open and silent."""

    def __init__(
        self, bus: Bus, open_now: Callable[[], Iterable[str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`open_now` gives the token ids of the connections that are open."""
        self._bus = bus
        self._open_now = open_now
        self._clock = clock
        self._seen: dict[str, int] = {}
        """Used and not noted yet: token id to when, milliseconds since 1970."""
        self._noted: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    def seen(self, token_id: str) -> None:
        """A client has shown this token."""
        if token_id not in self._noted:
            self._seen[token_id] = now_ms()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
        try:
            await asyncio.wait_for(self._note(), _LEAVING)
        except TimeoutError:
            log.debug("token_use_lost", tokens=len(self._seen))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self._note()

    async def _note(self) -> None:
        """Write down what is due."""
        now = self._clock()
        self._noted = {token: at for token, at in self._noted.items() if now - at < COARSE}
        for token in sorted(self._open_now()):  # a set of texts has another order in each process
            self.seen(token)
        for token, at in list(self._seen.items()):
            try:
                await store_use(self._bus, token, at)
            except (BusError, Rejected) as error:
                log.info("token_use_not_noted", error=str(error))
                return  # the next look tries again
            self._noted[token] = now
            self._seen.pop(token, None)
