"""How late the event loop is: what holds it up holds up everything in the process, and shows nowhere else."""

import asyncio
from collections.abc import Iterable

from magi.telemetry.declarations import LOOP_LAG
from magi.telemetry.instruments import Histogram, Reading

EVERY = 0.25
"""Seconds between two looks: a stall of a second is seen for certain, and a look costs 10 µs."""


class LoopLag:
    """Looks at the running loop, from `start` to `stop`."""

    def __init__(self) -> None:
        self._seen = Histogram(LOOP_LAG.buckets)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def start(self) -> None:
        self._due = self._loop.time() + EVERY
        self._timer = self._loop.call_at(self._due, self._look)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()

    def metrics(self) -> Iterable[Reading]:
        yield LOOP_LAG, self._seen

    def _look(self) -> None:
        self._seen.observe(max(0.0, self._loop.time() - self._due))
        self.start()
