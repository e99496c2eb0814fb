"""Presence: which instances of a part are alive. A heartbeat each second into a bucket that forgets after four."""

import asyncio
import time
from typing import NewType

import msgspec
import structlog
from msgspec import Struct

from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError, NoStream, Rejected
from magi.eventstore.declarations import load_declarations
from magi.eventstore.direct import DirectReader
from magi.eventstore.streams import StreamsError, ensure_presence

log = structlog.get_logger(__name__)

InstanceId = NewType("InstanceId", str)

HEARTBEAT = 1.0
"""Seconds between two heartbeats; the bucket forgets an instance after four times that."""


class Instance(Struct, frozen=True):
    """What an instance says of itself."""

    part: str
    """``orchestrator``, ``gateway``, or ``voter.<id>``: also the first tokens of its key."""
    instance: str
    version: str = ""
    since_ms: int = 0
    capacity: int = 0
    in_flight: int = 0


class Presence:
    """Announces one instance."""

    def __init__(self, bus: Bus, instance: Instance) -> None:
        self._bus = bus
        self.instance = instance
        self._task: asyncio.Task[None] | None = None

    @property
    def _key(self) -> str:
        return f"{subjects.PRESENCE_PREFIX}{self.instance.part}.{self.instance.instance}"

    async def start(self) -> None:
        """Announce the instance now and every second, until `stop`."""
        await self._beat()
        self._task = asyncio.create_task(self._beats())

    async def stop(self) -> None:
        """Announce that the instance has left."""
        if self._task:
            self._task.cancel()
        try:
            await self._bus.store(self._key, b"", timeout=1.0)
        except (BusError, Rejected) as error:
            log.debug("presence_left_silently", error=str(error))  # it will be forgotten in four seconds

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            try:
                await self._beat()
            except (BusError, Rejected, StreamsError) as error:
                log.info("presence_missed", error=str(error))

    async def _beat(self) -> None:
        data = msgspec.json.encode(self.instance)
        try:
            await self._bus.store(self._key, data, timeout=HEARTBEAT)
        except NoStream:
            # The bucket lives in memory: a server that was restarted has forgotten it.
            await ensure_presence(self._bus.nc, load_declarations())
            await self._bus.store(self._key, data, timeout=HEARTBEAT)


async def alive(reader: DirectReader, part: str) -> list[Instance]:
    """The instances of a part (or with ``voter.*`` of all voters) that are alive, in the order of their names.

    `reader` reads the stream `subjects.PRESENCE`. Raises BusError; an empty list when the bucket is missing.
    """
    try:
        messages = await reader.last_of_each([f"{subjects.PRESENCE_PREFIX}{part}.*"])
    except NoStream:
        return []
    found = [msgspec.json.decode(m.data, type=Instance) for m in messages if m.data]
    return sorted(found, key=lambda i: (i.part, i.instance))


def now_ms() -> int:
    """The wall clock, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
