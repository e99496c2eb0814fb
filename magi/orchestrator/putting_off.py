"""Submissions that were dispatched: those that are open after a second are put off until their deadline, which is what
wakes us then (`nak` with a delay). Most are decided by then, and nothing has to be put off."""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from magi.eventstore.bus import BusError, Rejected
from magi.orchestrator.effects import Effects
from magi.orchestrator.held import HeldRequest

log = structlog.get_logger(__name__)

AFTER = 1000
"""Milliseconds that a submission stays as it was delivered before it is put off: a fifth of the time after which it
would come again. With each one that is, nats-server looks through all that it has put off (a partition's share of
100,000 open requests takes it 1 ms)."""
EVERY = 50
"""Milliseconds between two looks at what is to be put off."""


class PuttingOff:
    """Puts off what is still open when its time has come."""

    def __init__(self, effects: Effects, now: Callable[[], int]) -> None:
        self._effects = effects
        self._now = now
        self._fresh: deque[tuple[int, HeldRequest, str]] = deque()
        """When to put off what, and where its submission waits, in the order of the times."""
        self._looking: asyncio.Task[None] | None = None

    async def later(self, request: HeldRequest, deadline: int) -> None:
        """Have the submission that `request.timer` stands for come again at `deadline` (milliseconds), unless it is
        decided before. Raises NoAck without a connection."""
        if deadline - self._now() < 2 * AFTER:
            await self._effects.wake_at(request.timer, deadline)
            return
        self._fresh.append((self._now() + AFTER, request, request.timer))
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def all_now(self) -> None:
        """Put off all that is open: we are about to stop."""
        if self._looking:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await self._put_off(self._now() + AFTER)

    async def _look(self) -> None:
        try:
            while self._fresh:
                await asyncio.sleep(max(EVERY, self._fresh[0][0] - self._now()) / 1000)
                await self._put_off(self._now())
        finally:
            self._looking = None

    async def _put_off(self, until: int) -> None:
        """Put off what is still open of that which was to be put off until then (milliseconds)."""
        while self._fresh and self._fresh[0][0] <= until:
            _, request, timer = self._fresh.popleft()
            if request.timer != timer or request.state.verdict:
                continue
            try:
                await self._effects.wake_at(timer, request.state.deadline)
            except (BusError, Rejected) as error:
                log.info("not_put_off", error=str(error))  # it comes again after its consumer's ack_wait
