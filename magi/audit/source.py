"""Where an audit reads: the log in JetStream, whole and in order, or one history; bytes as they are stored.

The event store itself refuses what is broken. Here a hole is gone past and an unreadable event handed on: finding them
is the purpose.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Protocol

import msgspec
from msgspec import Struct

from magi.audit.events import parts
from magi.domain.clock import milliseconds
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.direct import DirectReader, StoredMessage
from magi.eventstore.follow import HoleInStream, MessageFollower
from magi.eventstore.gaps import first_readable
from magi.eventstore.history import StoreUnavailable
from magi.eventstore.patience import patiently

AHEAD = 1000
"""Messages read ahead of whoever takes them."""
BACKWARDS = 500
MARGIN = 60_000
"""Milliseconds by which the order of the log and that of its events' times may differ: an append is tried for 30 s, and
orchestrators' clocks differ."""
_AT_ONCE = 32
SILENCE = 5.0
"""Seconds without a message after which we look whether there is one. A consumer that comes to a block of the stream's
file that can't be read says nothing (see `gaps`)."""


class Source(Protocol):
    """Stored messages of a log."""

    stream: str
    prefix: str
    """Of its subjects; an aggregate's id follows."""

    def batches(self, start: int, stop: int) -> AsyncIterator[list[StoredMessage]]:
        """Every message with a sequence from `start` to `stop`, in order, some at a time."""
        ...

    async def history(self, aggregate: str) -> list[StoredMessage]:
        """Every message of one aggregate, in order."""
        ...

    async def histories(self, aggregates: Iterable[str]) -> dict[str, list[StoredMessage]]:
        """`history` of several."""
        ...

    async def last_sequence(self) -> int: ...


class LogSource:
    """A stream of the shape of the log. `start` it before use. Raises StoreUnavailable when it doesn't answer."""

    def __init__(self, bus: Bus, stream: str = subjects.LOG, prefix: str = subjects.LOG_PREFIX) -> None:
        self.stream = stream
        self.prefix = prefix
        self._bus = bus
        self._direct = DirectReader(bus, stream)

    async def start(self) -> None:
        await self._direct.start()

    async def last_sequence(self) -> int:
        return await patiently(self._direct.last_sequence, self.stream)

    async def history(self, aggregate: str, start: int = 1) -> list[StoredMessage]:
        """See `Source.history`; only messages with a sequence from `start`."""
        subject = f"{self.prefix}{aggregate}"
        return await patiently(lambda: self._direct.of_subject(subject, start), self.stream)

    async def histories(self, aggregates: Iterable[str]) -> dict[str, list[StoredMessage]]:
        """See `Source.histories`."""
        room = asyncio.Semaphore(_AT_ONCE)
        found: dict[str, list[StoredMessage]] = {}

        async def load(aggregate: str) -> None:
            async with room:
                found[aggregate] = await self.history(aggregate)

        await asyncio.gather(*(load(aggregate) for aggregate in set(aggregates)))
        return found

    async def batches(self, start: int, stop: int) -> AsyncGenerator[list[StoredMessage], None]:
        """See `Source.batches`. By a consumer: nearly twice as fast as direct gets, which cost a header a message."""
        while start <= stop:
            async with aclosing(self._run(start, stop)) as run:
                async for batch in run:
                    yield batch
                    start = batch[-1].sequence + 1
            if start <= stop:  # a hole: go on behind it
                behind = await self._at_or_behind(start) or await first_readable(self._at_or_behind, start, stop)
                if behind is None:
                    return
                start = behind

    async def _run(self, start: int, stop: int) -> AsyncGenerator[list[StoredMessage], None]:
        """The messages from `start`, which is there, up to `stop` or a hole."""
        buffer: list[StoredMessage] = []
        changed, room = asyncio.Event(), asyncio.Event()

        async def take(message: StoredMessage) -> None:
            if message.sequence > stop:
                return
            buffer.append(message)
            changed.set()
            if len(buffer) >= AHEAD:
                room.clear()
                await room.wait()

        follower = MessageFollower(self._bus, self.stream, take, start)
        await patiently(follower.start, self.stream)
        follower.failed.add_done_callback(lambda _: changed.set())
        caught_up = asyncio.create_task(follower.caught_up.wait())
        caught_up.add_done_callback(lambda _: changed.set())
        try:
            while True:
                try:
                    async with asyncio.timeout(SILENCE):
                        await changed.wait()
                except TimeoutError:
                    return  # the server has nothing more to give from here on: whoever asked looks why
                changed.clear()
                ended = follower.failed.done() or caught_up.done()
                if buffer:
                    batch, buffer[:] = buffer[:], []
                    room.set()
                    yield batch
                    if batch[-1].sequence == stop:
                        return
                if follower.failed.done():
                    error = follower.failed.exception()
                    if not isinstance(error, HoleInStream):
                        raise StoreUnavailable(f"{self.stream}: {error}") from error
                if ended and not buffer:
                    return
        finally:
            room.set()
            caught_up.cancel()
            await follower.stop()

    async def backwards(self, start: int) -> AsyncIterator[StoredMessage]:
        """Every message with a sequence up to `start`, the last one first."""
        while start > 0:
            first = max(1, start - BACKWARDS + 1)
            batch = await self._from(first, start - first + 1)
            for message in reversed(batch):
                if message.sequence <= start:  # beyond a hole come later ones
                    yield message
            start = first - 1

    async def sequence_at(self, at: int) -> int:
        """A sequence before which nothing was decided at or after the time `at` (milliseconds since 1970)."""
        low, high = 1, await self.last_sequence() + 1
        while low < high:
            middle = (low + high) // 2
            found = await self._from(middle, 1)
            if found and _time(found[0].data) < at - MARGIN:
                low = max(found[0].sequence, middle) + 1
            else:
                high = middle
        return low

    async def _at_or_behind(self, sequence: int) -> int | None:
        found = await self._from(sequence, 1)
        return found[0].sequence if found else None

    async def _from(self, start: int, limit: int) -> list[StoredMessage]:
        return await patiently(lambda: self._direct.batch(start, limit), self.stream)


class _Timed(Struct, frozen=True):
    """What every event says of its time."""

    at: str


_decode_time = msgspec.json.Decoder(_Timed).decode


def _time(data: bytes) -> float:
    """When the last of a message's events was decided, in milliseconds since 1970; for ever when one doesn't say."""
    try:
        return max(milliseconds(_decode_time(part).at) for part in parts(data))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return float("inf")
