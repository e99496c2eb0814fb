"""The night's Initiator: some requests a second, for as long as the night lasts, and what became of each."""

import asyncio
import itertools
import time
import uuid

from msgspec import Struct

from tests.chaos.clients import Asked, Initiator, Request

EVERY = 0.25
"""Seconds between two requests."""
PANEL = ()
"""The default one: who is out is replaced, or done without."""
TIMEOUT_MS = 10_000
QUERY = "Write a function in Python that returns the sum of two numbers, and explain in a sentence how it works."
ANSWER = (
    "```python\ndef add(a: int, b: int) -> int:\n    return a + b\n```\nThe function returns the sum of two numbers."
)


class Outage(Struct, frozen=True):
    """The longest time without a verdict. Unix times."""

    began: float
    ended: float


class Load:
    def __init__(self, initiator: Initiator) -> None:
        self.initiator = initiator
        self.sent: dict[str, float] = {}
        """When each was sent first: Unix time."""

    async def run(self) -> None:
        """Submit until cancelled."""
        following = asyncio.create_task(self.initiator.run())
        try:
            while True:
                name = uuid.uuid4().hex
                request = Request(name, QUERY, ANSWER, PANEL, timeout_ms=TIMEOUT_MS)
                self.sent[name] = time.time()
                self.initiator.ask(request)
                await asyncio.sleep(EVERY)
        finally:
            await self._drain()
            following.cancel()

    async def _drain(self) -> None:
        for _ in range(600):
            if not self.initiator.waiting:
                return
            await asyncio.sleep(0.1)

    def decided(self) -> list[tuple[float, Asked]]:
        """When the verdicts came, in Unix time, in order."""
        found = [(self.sent[name] + asked.took, asked) for name, asked in self.initiator.asked.items() if asked.final]
        return sorted(found, key=lambda one: one[0])

    def outage(self, after: float, before: float) -> Outage:
        """The longest pause between two verdicts within a span."""
        times = [after, *(at for at, _ in self.decided() if after <= at <= before), before]
        gaps = [(later - earlier, earlier, later) for earlier, later in itertools.pairwise(times)]
        _, began, ended = max(gaps)
        return Outage(began, ended)
