"""Whether a gateway can serve requests now: NATS answers, the streams are as declared, the live feed is attached."""

import asyncio
from collections.abc import Sequence

import structlog

from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.declarations import StreamDeclaration
from magi.eventstore.streams import StreamsError, check
from magi.gateway.hub import Hub

log = structlog.get_logger(__name__)

KEPT = 1.0
"""Seconds that an answer holds: strangers ask as often as they like, NATS is asked once in that time."""
WITHIN = 2.0
"""Seconds that NATS may take to answer. It takes 2 ms for all streams; who asks us usually waits for one to five."""


class Readiness:
    """Looks when it is asked, and no more often than it must."""

    def __init__(self, bus: Bus, hub: Hub, declared: Sequence[StreamDeclaration]) -> None:
        self._bus = bus
        self._hub = hub
        # The bucket of the present may be missing until an orchestrator makes it: no request needs it.
        self._declared = tuple(d for d in declared if d.name != subjects.PRESENCE)
        self._looking: asyncio.Task[str] | None = None
        self._until = 0.0
        self._problem = ""

    async def problem(self) -> str:
        """What is wrong, in words for the log; empty when requests can be served."""
        if not self._bus.nc.is_connected:  # known at once
            return self._note("not connected to NATS")
        loop = asyncio.get_running_loop()
        if self._looking is None or (self._looking.done() and loop.time() >= self._until):
            self._looking = asyncio.create_task(self._look())
        # Not cancelled when it takes too long: it ends by itself, and until then nobody asks again.
        done, _ = await asyncio.wait([self._looking], timeout=WITHIN)
        return self._note(self._looking.result() if done else f"no answer from NATS within {WITHIN} s")

    async def _look(self) -> str:
        try:
            # The answers also say that the server knows our subscriptions: it was told of them before.
            await check(self._bus.nc, self._declared)
        except StreamsError as error:
            found = str(error)
        else:
            found = "" if self._hub.attached else "the live feed is not attached"
        self._until = asyncio.get_running_loop().time() + KEPT
        return found

    def _note(self, problem: str) -> str:
        if problem != self._problem:
            if problem:
                log.warning("not_ready", problem=problem)
            else:
                log.info("ready_again")
            self._problem = problem
        return problem
