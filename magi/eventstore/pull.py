"""Consuming: a pull consumer whose messages come to a callback (100,000/s, where fetch and next_msg make 12,000).

Keeps a number of messages asked for, asks again when they come, when the server says that a request ended, and when
nothing was heard for too long. A consumer with a priority group is pinned: one reader at a time is let in.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from msgspec import UNSET, Struct, UnsetType
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from magi.eventstore.bus import Bus, BusError
from magi.eventstore.client import Message

log = structlog.get_logger(__name__)

SILENCE = 2.0
"""Seconds past the end of a request after which the server is taken not to have heard it."""


REFUSED = 0.1
"""Seconds to wait after a request was refused: asked at once it would be refused at once again."""

LEAVE = 1.0
"""Seconds to wait for what is on its way when reading stops."""


class Delivery(Struct, frozen=True):
    """What the acknowledgement subject of a message says about it."""

    sequence: int
    """In the stream."""
    attempt: int
    """1 for the first delivery."""
    stored_ms: int
    """When the stream stored it, in milliseconds since 1970, by the server's clock."""
    pending: int
    """How many messages of the consumer come after it."""
    number: int = 0
    """Of this delivery, 1, 2, 3 … over all that the consumer makes; 0: not known."""


def delivery(reply: str) -> Delivery:
    """Parse ``$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>``, in its old form
    and the newer one, which has a domain and an account before the stream and a random token at the end."""
    parts = reply.split(".")
    first = 4 if len(parts) == 9 else 6
    attempt, sequence, number, stored_ns, pending = parts[first : first + 5]
    return Delivery(int(sequence), int(attempt), int(stored_ns) // 1_000_000, int(pending), int(number))


class _Pull(Struct, frozen=True, omit_defaults=True):
    batch: int
    expires: int
    group: str | UnsetType = UNSET
    id: str | UnsetType = UNSET


OnMessage = Callable[[Msg], Awaitable[None]]


class PullConsumer:
    """Reads one durable or ephemeral consumer until stopped.

    `want` is how many messages may be asked for at once; `room()` (optional) says how many more its reader can take
    now, so that a slow reader isn't sent what a free one could have: call `ask()` when there is room again.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        consumer: str,
        on_message: OnMessage,
        *,
        want: int = 500,
        expires: float = 5.0,
        group: str | None = None,
        room: Callable[[], int] | None = None,
        on_gone: Callable[[], None] | None = None,
        on_failed: Callable[[], None] | None = None,
    ) -> None:
        """`on_gone()` is called when the consumer or its stream is missing, or doesn't answer; `on_failed()` each time
        that `on_message` raises."""
        self._bus = bus
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._name = f"{stream}.{consumer}"
        self._on_message = on_message
        self._want = want
        self._expires = expires
        self._group = group
        self._room = room
        self._on_gone = on_gone
        self._on_failed = on_failed
        self._pin: str | None = None
        self._headers = b""
        """Of the last message, and so what `_pin` was read from."""
        self._asked = 0
        """Messages that may yet come to the reader: asked for, or received and not handed on."""
        self._heard = 0.0
        """When the server last said something, or was last asked."""
        self._not_before = 0.0
        # Messages are taken over at once and handed on by a task of our own: nats-py cancels a running callback and
        # drops what is behind it when its subscription ends.
        self._received: deque[Msg] = deque()
        self._wake = asyncio.Event()
        self._stopping = False
        self._sub: Subscription | None = None
        self._subscribing = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Begin to read. Messages come until `stop`."""
        self._reader = asyncio.create_task(self._hand_on())
        self._watch = asyncio.create_task(self._watchdog())
        self._bus.on_disconnected.append(self._forget)
        self._bus.on_reconnected.append(self._ask_anew)
        await self._ask_anew()

    async def stop(self) -> None:
        """Ask for nothing more, let the running callback end, and give back what it hasn't had: that comes again at
        once, to whoever reads then. What it has had and not acknowledged comes again after the consumer's ack_wait."""
        for msg in await self.abandon():
            try:
                await self._bus.publish(msg.reply, b"-NAK")
            except BusError:
                return

    async def abandon(self) -> list[Msg]:
        """Like `stop`, for a consumer without acknowledgements: nothing is given back. Returns what wasn't had."""
        self._stopping = True
        self._wake.set()
        if self._watch:
            self._watch.cancel()
        for callbacks, callback in (
            (self._bus.on_disconnected, self._forget),
            (self._bus.on_reconnected, self._ask_anew),
        ):
            if callback in callbacks:
                callbacks.remove(callback)
        if self._reader and self._reader is not asyncio.current_task():
            try:
                await asyncio.wait([self._reader])
            finally:
                self._reader.cancel()  # only if our own caller has lost its patience
        sub, self._sub = self._sub, None
        if sub:
            await self._drain(sub)
        left = list(self._received)
        self._received.clear()
        return left

    async def _drain(self, sub: Subscription) -> None:
        """End the subscription, after what the server has sent already has come."""
        if not self._bus.nc.is_connected:
            await self._unsubscribe(sub)
            return
        # Never cancelled: when the answer to a cancelled flush comes, nats-py stops reading from the connection.
        draining = asyncio.create_task(self._leave(sub))
        draining.add_done_callback(self._drained)
        await asyncio.wait([draining], timeout=LEAVE)

    async def _leave(self, sub: Subscription) -> None:
        # nats-py writes a flush's ping at once, before the unsubscription that waits in its buffer: the drain is over
        # before the server has heard of it, and what is sent meanwhile is lost until its ack_wait (3 of 180 stops on a
        # busy machine). After a flush the unsubscription is on its way, and the drain's own ping behind it.
        try:
            await self._bus.nc._send_unsubscribe(sub._id)
            await self._bus.nc.flush()
        finally:
            await sub.drain()  # type: ignore[no-untyped-call]

    def _drained(self, draining: asyncio.Task[None]) -> None:
        error = None if draining.cancelled() else draining.exception()
        if error:
            log.debug("drain_failed", consumer=self._name, error=str(error))  # the connection is gone

    async def _unsubscribe(self, sub: Subscription) -> None:
        try:
            await sub.unsubscribe()
        except NatsError as error:
            log.debug("unsubscribe_failed", consumer=self._name, error=str(error))  # the connection was closed

    def look(self) -> None:
        """There may be room again: have it asked for more soon, if there is."""
        self._wake.set()

    async def ask(self) -> None:
        """Ask for more, if there is room and less than half of what may be asked for is."""
        if self._asked > self._want // 2:
            return  # as is almost always so
        if self._sub is None or self._stopping or self._loop.time() < self._not_before:
            return
        most = self._want if self._room is None else min(self._want, self._room())
        if self._asked > most // 2 or most <= self._asked:
            return
        batch = most - self._asked
        self._asked += batch
        self._heard = self._loop.time()
        pull = _Pull(batch, int(self._expires * 1e9), self._group or UNSET, self._pin or UNSET)
        try:
            await self._bus.publish(self._subject, msgspec.json.encode(pull), reply=self._sub.subject)
        except BusError:
            self._asked -= batch  # the connection is down; the reconnect asks again

    async def _forget(self) -> None:
        """The connection is lost, but the server may live on, and the requests with it: if their inbox was subscribed
        again they would be answered besides the new ones, with more than there is room for."""
        sub, self._sub = self._sub, None
        if sub:
            await self._unsubscribe(sub)

    async def _ask_anew(self) -> None:
        """Forget every request that was made, and ask in a new inbox."""
        async with self._subscribing:
            old, self._sub = self._sub, None
            if old:
                await self._unsubscribe(old)
            if self._stopping:
                return
            self._asked = len(self._received)
            try:
                self._sub = await self._bus.listen(self._bus.nc.new_inbox(), self._take)
            except BusError as error:
                log.info("pull_waits", consumer=self._name, error=str(error))
                return
        await self.ask()

    def _take(self, msg: Message) -> None:
        self._heard = self._loop.time()
        if msg.raw.startswith(b"NATS/1.0 "):
            headers = msg.headers or {}
            if self._sub and msg.subject == self._sub.subject:
                self._on_status(headers.get("Status", ""), headers)
            return
        if self._group and msg.raw != self._headers:  # each message of a pinned consumer has the same ones
            self._headers = msg.raw
            self._pin = (msg.headers or {}).get("Nats-Pin-Id", self._pin)
        self._received.append(msg)
        self._wake.set()

    async def _hand_on(self) -> None:
        while not self._stopping:
            self._wake.clear()
            while self._received and not self._stopping:
                msg = self._received.popleft()
                self._asked -= 1
                try:
                    await self._on_message(msg)
                except Exception:  # it isn't acknowledged and comes again; the others must not wait for it
                    log.exception("message_failed", consumer=self._name)
                    if self._on_failed:
                        self._on_failed()
                await self.ask()
            await self.ask()
            await self._wake.wait()

    def _on_status(self, status: str, headers: dict[str, str]) -> None:
        if status == "100":
            return
        if status == "423":  # another reader has the pin
            self._pin = None
            self._headers = b""
        # The request has ended: the header says how many of its messages never came; without it none of any came.
        received = len(self._received)
        unanswered = int(headers.get("Nats-Pending-Messages") or self._asked - received)
        self._asked = max(received, self._asked - unanswered)
        description = headers.get("Description", "")
        if (status == "503" or "deleted" in description.lower()) and self._on_gone:
            self._on_gone()
        if status not in ("404", "408", "409", "423", "503"):
            log.warning("pull_status", consumer=self._name, status=status, description=description)
        if status in ("409", "423", "503"):
            self._not_before = self._loop.time() + REFUSED
            self._loop.call_later(REFUSED * 1.1, self._wake.set)
        else:
            self._wake.set()

    async def _watchdog(self) -> None:
        while not self._stopping:  # nats-py may swallow a cancellation
            await asyncio.sleep(self._expires / 2)
            if not self._bus.nc.is_connected:
                continue  # the reconnect asks again
            waiting = self._asked > len(self._received)
            if waiting and self._loop.time() - self._heard > self._expires + SILENCE:
                log.info("pull_unheard", consumer=self._name)
                if self._on_gone:
                    self._on_gone()
                await self._ask_anew()
            elif not waiting:
                await self.ask()
