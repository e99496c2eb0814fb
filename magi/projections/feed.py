"""Messages of a stream in batches: read ahead while the last batch is written."""

import asyncio
from collections import deque

from msgspec import Struct

from magi.eventstore.bus import Bus
from magi.eventstore.direct import StoredMessage
from magi.eventstore.follow import MessageFollower

AHEAD = 20_000
"""Messages read ahead at most: about 10 MB, half a second of reading."""
AHEAD_BYTES = 32 * 1024 * 1024
"""… and bytes: a message may have a MiB."""


class Batching(Struct, frozen=True):
    """How much is written at once."""

    events: int = 500
    """Messages. So many that wait are written without waiting for more."""
    seconds: float = 0.05
    """How long fewer wait for more: what a batch adds to the lag."""
    most: int = 5000
    """Of what waits, so many are written at most: catching up is done in large batches."""


STEADY = Batching()


class Feed:
    """Follows `stream` from sequence `start` on. `take` gives what has come."""

    def __init__(self, bus: Bus, stream: str, start: int) -> None:
        self._waiting: deque[StoredMessage] = deque()
        self._bytes = 0
        self._come = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._stopped = False
        self._follower = MessageFollower(bus, stream, self._receive, start)
        self._follower.failed.add_done_callback(lambda _: self._come.set())

    async def start(self) -> None:
        """Raises BusError."""
        await self._follower.start()

    async def stop(self) -> None:
        self._stopped = True
        self._room.set()  # or the follower would wait for us and we for it
        await self._follower.stop()

    async def take(self, most: int, batching: Batching, idle: float) -> list[StoredMessage]:
        """At least one message and at most `most`, in order; none when nothing came for `idle` seconds.

        Raises what stopped the follower once all before it were taken: HoleInStream, for one.
        """
        enough = min(most, batching.events)
        if not await self._wait_for(1, idle):
            return []
        if len(self._waiting) < enough and not self._follower.failed.done():
            await self._wait_for(enough, batching.seconds)
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._bytes -= sum(len(message.data) for message in taken)
        if len(self._waiting) < AHEAD // 2 and self._bytes < AHEAD_BYTES // 2:
            self._room.set()
        return taken

    async def _wait_for(self, number: int, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while len(self._waiting) < number:
                    if self._follower.failed.done():
                        if not self._waiting:
                            self._follower.failed.result()
                        return bool(self._waiting)
                    self._come.clear()
                    await self._come.wait()
        except TimeoutError:
            return False
        return True

    async def _receive(self, message: StoredMessage) -> None:
        self._waiting.append(message)
        self._bytes += len(message.data)
        self._come.set()
        if (len(self._waiting) >= AHEAD or self._bytes >= AHEAD_BYTES) and not self._stopped:
            self._room.clear()
            await self._room.wait()
