"""Following a stream: every event from a position on, first what is stored and then what comes, without a hole."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic

import msgspec
import structlog
from nats.aio.msg import Msg

from magi.eventstore.bus import Bus, BusError
from magi.eventstore.codec import Codec
from magi.eventstore.history import E, Recorded, StoreError
from magi.eventstore.pull import PullConsumer, delivery

log = structlog.get_logger(__name__)

FORGOTTEN_AFTER = 300
"""Seconds after which the server forgets a follower that has stopped reading."""


class HoleInStream(StoreError):
    """A sequence is missing in a stream that never deletes: what is read is not what was stored."""


class Follower(Generic[E]):
    """Calls `on_event` for each event of `stream` from sequence `start` on, in order, one after the other.

    Its consumer lives in the server's memory and is made anew at the right position when it is gone. `failed` is set to
    what stopped it: a hole, an event that can't be decoded, or what `on_event` raised.
    """

    def __init__(
        self, bus: Bus, stream: str, codec: Codec[E], on_event: Callable[[Recorded[E]], Awaitable[None]], start: int = 1
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._codec = codec
        self._on_event = on_event
        self._next = start
        self._consumer = ""
        self._pull: PullConsumer | None = None
        self.caught_up = asyncio.Event()
        """Set once everything was delivered that was stored when the follower started."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._anew: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow. Raises BusError when the stream doesn't answer."""
        await self._attach()

    async def stop(self) -> None:
        if self._anew:
            self._anew.cancel()
        if self._pull:
            await self._pull.stop()
            self._pull = None
        if not self.failed.done():
            self.failed.cancel()
        if self._consumer and not self._bus.nc.is_closed:
            try:
                await self._bus.request(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._consumer}", timeout=1.0)
            except BusError as error:
                log.debug("follower_left", stream=self._stream, error=str(error))  # the server forgets it by itself

    async def _attach(self) -> None:
        """Make a consumer at the position that comes next, and read it."""
        config = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._next,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": FORGOTTEN_AFTER * 1_000_000_000,
        }
        answer: dict[str, Any] = msgspec.json.decode(
            await self._bus.request(
                f"$JS.API.CONSUMER.CREATE.{self._stream}",
                msgspec.json.encode({"stream_name": self._stream, "config": config}),
            )
        )
        if "error" in answer:
            raise BusError(f"can't follow {self._stream}: {answer['error'].get('description')}")
        self._consumer = answer["name"]
        if not answer["num_pending"]:
            self.caught_up.set()
        self._pull = PullConsumer(self._bus, self._stream, self._consumer, self._receive, want=2000, on_gone=self._gone)
        await self._pull.start()

    def _gone(self) -> None:
        # In a task of its own: the pull consumer that calls this is about to be stopped.
        if self._anew is None or self._anew.done():
            self._anew = asyncio.create_task(self._attach_anew())

    async def _attach_anew(self) -> None:
        pull, self._pull = self._pull, None
        if pull:
            await pull.stop()
        while True:
            try:
                await self._attach()
                return
            except BusError as error:
                log.info("follower_waits", stream=self._stream, error=str(error))
                await asyncio.sleep(0.5)

    async def _receive(self, msg: Msg) -> None:
        if self.failed.done():
            return
        about = delivery(msg.reply)
        if about.sequence < self._next:
            return
        try:
            if about.sequence > self._next:
                raise HoleInStream(f"{self._stream}: {about.sequence} came where {self._next} was expected")
            await self._on_event(self._codec.recorded(about.sequence, msg.data))
        except Exception as error:  # noqa: BLE001 - whatever it is: it stops this follower, and its owner is told
            self.failed.set_exception(error)
            return
        self._next = about.sequence + 1
        if not about.pending:
            self.caught_up.set()
