"""A network that says things twice: some of what is sent to the inbox is sent again."""

import asyncio
import random

from nats.aio.msg import Msg

from magi.eventstore.bus import Bus, BusError


class Echo:
    """Repeats a share of all submissions and ballots, without the id by which JetStream would know them."""

    def __init__(self, bus: Bus, seed: int, share: float) -> None:
        self.repeated = 0
        self._bus = bus
        self._share = share
        self._draw = random.Random(seed)
        self._saying: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises BusError."""
        await self._bus.subscribe("magi.inbox.>", self._hear)

    def stop(self) -> None:
        """Say nothing more."""
        self._share = 0.0
        for saying in self._saying:
            saying.cancel()

    async def _hear(self, msg: Msg) -> None:
        if self._draw.random() < self._share:
            saying = asyncio.create_task(self._say(msg, self._draw.choice((0.0, 0.01, 0.3))))
            self._saying.add(saying)
            saying.add_done_callback(self._saying.discard)

    async def _say(self, msg: Msg, later: float) -> None:
        await asyncio.sleep(later)
        try:
            await self._bus.publish(msg.subject, msg.data)
        except BusError:
            return  # nobody is there to hear it
        self.repeated += 1
