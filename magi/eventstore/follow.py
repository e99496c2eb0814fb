"""Following a stream: every message from a position on, first what is stored and then what comes, without a hole."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic

import msgspec
import structlog
from nats.aio.msg import Msg

from magi.eventstore.bus import Bus, BusError, NoStream
from magi.eventstore.codec import Codec
from magi.eventstore.direct import DirectReader, StoredMessage
from magi.eventstore.history import E, Recorded, StoreError
from magi.eventstore.pull import PullConsumer, delivery

log = structlog.get_logger(__name__)

FORGOTTEN_AFTER = 300
"""Seconds after which the server forgets a follower that has stopped reading."""
LOOK_EVERY = 5.0
"""Seconds between two looks whether the stream has what did not come: the last message before a silence may have been
lost on the way, between the servers of a cluster, and nothing that comes behind it shows that."""
_PAUSE = 0.5


class HoleInStream(StoreError):
    """A sequence is missing in a stream that never deletes: what is read is not what was stored."""


class MessageFollower:
    """Calls `on_message` for each message of `stream` from sequence `start` on, in order, one after the other.

    Its consumer lives in the server's memory and is made anew at the right position when it is gone, and after every
    reconnect: nothing is acknowledged, so what was on its way is lost. `failed` is set to what stopped it: a hole, or
    what `on_message` raised.
    """

    def __init__(
        self, bus: Bus, stream: str, on_message: Callable[[StoredMessage], Awaitable[None]], start: int = 1
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._on_message = on_message
        self._direct = DirectReader(bus, stream)
        self._next = max(1, start)
        self._target = 0
        self._busy = False
        """Whether `on_message` has one in hand."""
        self._missed = self._end = self._empty_to = 0
        """At the last look: what we waited for, if the stream goes as far as that; and how far it went. Up to the third
        there is nothing for us after all: it was deleted."""
        self._at_start = False
        """Nothing has come yet from the consumer that is read: what it begins with is what the stream has there."""
        self._consumer = ""
        self._pull: PullConsumer | None = None
        self.caught_up = asyncio.Event()
        """Set once everything was delivered that was stored when the follower started."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow. Raises BusError when the stream doesn't answer."""
        self._target = self._next - 1 + await self._attach()
        self._look_whether_caught_up()
        self._bus.on_reconnected.append(self._reconnected)
        self._keeper = asyncio.create_task(self._keep_attached())

    async def stop(self) -> None:
        if self._reconnected in self._bus.on_reconnected:
            self._bus.on_reconnected.remove(self._reconnected)
        if not self.failed.done():
            self.failed.cancel()
        if self._keeper:
            self._keeper.cancel()
        await self._leave()

    async def _attach(self) -> int:
        """Make a consumer at the position that comes next, and read it. Returns how many messages it has to give."""
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
            raise NoStream(f"can't follow {self._stream}: {answer['error'].get('description')}")
        self._consumer = answer["name"]
        self._at_start = True
        if self._missed and not answer["num_pending"]:
            self._empty_to = self._end
        self._missed = 0
        self._pull = PullConsumer(
            self._bus, self._stream, self._consumer, self._receive, want=2000, on_gone=self._gone.set
        )
        await self._pull.start()
        return int(answer["num_pending"])

    async def _leave(self) -> None:
        """Stop reading, once the message at hand is done with, and remove the consumer."""
        pull, self._pull = self._pull, None
        if pull is None:
            return
        await pull.abandon()
        if self._bus.nc.is_connected:
            try:
                await self._bus.request(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._consumer}", timeout=1.0)
            except BusError as error:
                log.debug("follower_left", stream=self._stream, error=str(error))  # the server forgets it by itself

    async def _reconnected(self) -> None:
        self._gone.set()

    async def _keep_attached(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._gone.wait(), LOOK_EVERY)
            except TimeoutError:
                if not await self._lost():
                    continue
                log.info("message_lost", stream=self._stream, sequence=self._next)
            self._gone.clear()
            await self._leave()
            while not self.failed.done():  # as it is after `stop`, whose cancellation nats-py may swallow
                try:
                    await self._attach()
                    break
                except BusError as error:
                    log.info("follower_waits", stream=self._stream, error=str(error))
                    await asyncio.sleep(_PAUSE)

    async def _lost(self) -> bool:
        """Whether the stream has what comes next, as it had at the last look, and it has not come."""
        expected, before, self._missed = self._next, self._missed, 0
        if self._busy:
            return False
        try:
            self._end = await self._direct.last_sequence()
        except BusError:
            return False
        if expected == self._next <= self._end > self._empty_to and not self._busy:
            self._missed = expected
        return before == expected == self._missed

    async def _receive(self, msg: Msg) -> None:
        self._busy = True
        try:
            await self._take(msg)
        finally:
            self._busy = False

    async def _take(self, msg: Msg) -> None:
        about = delivery(msg.reply)
        if self.failed.done():
            return
        at_start, self._at_start = self._at_start, False
        try:
            if about.sequence != self._next:
                if not at_start:  # was it lost on the way? See whether the stream has it
                    self._gone.set()
                    return
                raise HoleInStream(f"{self._stream}: {about.sequence} came where {self._next} was expected")
            await self._on_message(StoredMessage(about.sequence, msg.subject, msg.data, msg.headers or {}))
        except Exception as error:  # noqa: BLE001 - whatever it is: it stops this follower, and its owner is told
            self.failed.set_exception(error)
            self._gone.set()  # and nothing more is read
            return
        self._next = about.sequence + 1
        self._look_whether_caught_up()

    def _look_whether_caught_up(self) -> None:
        if self._next > self._target:
            self.caught_up.set()


class Follower(MessageFollower, Generic[E]):
    """Calls `on_event` for each event of `stream`. `failed` may be an event that can't be decoded, too."""

    def __init__(
        self, bus: Bus, stream: str, codec: Codec[E], on_event: Callable[[Recorded[E]], Awaitable[None]], start: int = 1
    ) -> None:
        async def on_message(message: StoredMessage) -> None:
            for recorded in codec.recorded(message.sequence, message.data):
                await on_event(recorded)

        super().__init__(bus, stream, on_message, start)
