"""Presence: which instances of a part are alive. A heartbeat each second into a bucket that forgets after four."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
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
    """Of a voter: tasks that it has open."""
    p95_ms: int = 0
    """Of a voter, as the next two: see `magi.eventstore.recent.Figures`."""
    succeeded: int = 0
    failed: int = 0
    host: str = ""
    """The machine that it runs on."""


def host_name() -> str:
    """This machine's name, as instances announce it."""
    return socket.gethostname()


def unchanged(instance: Instance) -> Instance:
    return instance


async def make_bucket(bus: Bus) -> None:
    """The bucket lives in memory: a server that was restarted has forgotten it. Raises StreamsError."""
    await ensure_presence(bus.nc, load_declarations())


async def wait_for_bucket(bus: Bus) -> None:
    """For those who may not make it: an orchestrator does within a second, and the next heartbeat comes in one."""
    raise NoStream("the presence bucket is missing")


class Presence:
    """Announces one instance."""

    def __init__(
        self,
        bus: Bus,
        instance: Instance,
        update: Callable[[Instance], Instance] = unchanged,
        on_missing: Callable[[Bus], Awaitable[None]] = wait_for_bucket,
    ) -> None:
        """`update` is asked before each heartbeat for the instance as it is now; its part and name stay the same.
        `on_missing` is called when the bucket is gone: `make_bucket`, for whoever may."""
        self._bus = bus
        self.instance = instance
        self._update = update
        self._on_missing = on_missing
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
        self.instance = self._update(self.instance)
        data = msgspec.json.encode(self.instance)
        try:
            await self._bus.store(self._key, data, timeout=HEARTBEAT)
        except NoStream:
            await self._on_missing(self._bus)
            await self._bus.store(self._key, data, timeout=HEARTBEAT)


async def alive(reader: DirectReader, part: str) -> list[Instance]:
    """The instances of a part (or with ``voter.*`` of all voters) that are alive, in the order of their names.

    `reader` reads the stream `subjects.PRESENCE`. Raises BusError; an empty list when the bucket is missing.
    """
    try:
        messages = await reader.last_of_each([f"{subjects.PRESENCE_PREFIX}{part}.*"])
    except NoStream:
        return []
    found = [instance for m in messages if (instance := _read(m.subject, m.data))]
    return sorted(found, key=lambda i: (i.part, i.instance))


def _read(key: str, data: bytes) -> Instance | None:
    """The instance that is announced under a key; None when it has left.

    A voter on the bus writes what it likes under its own keys: that is no reason for not seeing the others, and it
    counts for nobody else.
    """
    if not data:
        return None
    try:
        instance = msgspec.json.decode(data, type=Instance)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        log.warning("presence_unreadable", key=key, error=str(error))
        return None
    if key != f"{subjects.PRESENCE_PREFIX}{instance.part}.{instance.instance}":
        log.warning("presence_of_another", key=key, part=instance.part[:80])
        return None
    return instance


def now_ms() -> int:
    """The wall clock, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
