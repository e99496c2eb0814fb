"""Consuming: a pull consumer whose messages come to a callback (100,000/s, where fetch and next_msg make 12,000).

Keeps a number of messages asked for, asks again when they come, when the server says that a request ended, and when
nothing was heard for too long. A consumer with a priority group is pinned: one reader at a time is let in.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from msgspec import UNSET, Struct, UnsetType
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from magi.eventstore.bus import Bus, BusError

log = structlog.get_logger(__name__)

SILENCE = 2.0
"""Seconds past the end of a request after which the server is taken not to have heard it."""


REFUSED = 0.1
"""Seconds to wait after a request was refused."""


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


def delivery(reply: str) -> Delivery:
    """Parse ``$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>``, in its old form
    and the newer one, which has a domain and an account before the stream and a random token at the end."""
    parts = reply.split(".")
    first = 4 if len(parts) == 9 else 6
    attempt, sequence, _, stored_ns, pending = (int(p) for p in parts[first : first + 5])
    return Delivery(sequence, attempt, stored_ns // 1_000_000, pending)


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
    ) -> None:
        self._bus = bus
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._name = f"{stream}.{consumer}"
        self._on_message = on_message
        self._want = want
        self._expires = expires
        self._group = group
        self._room = room
        self._on_gone = on_gone
        self._pin: str | None = None
        self._asked = 0
        self._heard = 0.0
        self._sub: Subscription | None = None
        self._watch: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Begin to read. Messages come until `stop`."""
        self._sub = await self._bus.subscribe(self._bus.nc.new_inbox(), self._receive)
        self._bus.on_reconnected.append(self._ask_anew)
        self._watch = asyncio.create_task(self._watchdog())
        await self._ask_anew()

    async def stop(self) -> None:
        """Ask for nothing more. What was delivered and isn't acknowledged comes again, to whoever reads then."""
        if self._watch:
            self._watch.cancel()
        if self._ask_anew in self._bus.on_reconnected:
            self._bus.on_reconnected.remove(self._ask_anew)
        if self._sub and not self._bus.nc.is_closed:
            await self._sub.unsubscribe()
        self._sub = None

    async def ask(self) -> None:
        """Ask for more, if there is room and less than half of what may be asked for is."""
        if self._sub is None:
            return
        most = self._want if self._room is None else min(self._want, self._room())
        if self._asked > most // 2 or most <= self._asked:
            return
        batch = most - self._asked
        self._asked += batch
        pull = _Pull(batch, int(self._expires * 1e9), self._group or UNSET, self._pin or UNSET)
        try:
            await self._bus.publish(self._subject, msgspec.json.encode(pull), reply=self._sub.subject)
        except BusError:
            self._asked -= batch  # the connection is down; the reconnect asks again

    async def _ask_anew(self) -> None:
        self._asked = 0
        self._heard = self._loop.time()
        await self.ask()

    async def _receive(self, msg: Msg) -> None:
        self._heard = self._loop.time()
        if self._sub is None:
            return
        headers = msg.headers
        status = headers.get("Status") if headers else None
        if status is not None and headers is not None:
            await self._on_status(status, headers)
            return
        self._asked -= 1
        if headers and "Nats-Pin-Id" in headers:
            self._pin = headers["Nats-Pin-Id"]
        await self._on_message(msg)
        await self.ask()

    async def _on_status(self, status: str, headers: dict[str, str]) -> None:
        if status == "100":
            return
        if status == "423":  # another reader has the pin
            self._pin = None
        # The request has ended: the header says how many of its messages never came; without it none of any came.
        self._asked = max(0, self._asked - int(headers.get("Nats-Pending-Messages") or self._asked))
        description = headers.get("Description", "")
        if (status == "503" or "deleted" in description.lower()) and self._on_gone:
            self._on_gone()
        if status not in ("404", "408", "409", "423", "503"):
            log.warning("pull_status", consumer=self._name, status=status, description=description)
        if status in ("409", "423", "503"):  # asked at once it would be refused at once again
            await asyncio.sleep(REFUSED)
        await self.ask()

    async def _watchdog(self) -> None:
        while True:
            await asyncio.sleep(self._expires / 2)
            if self._asked and self._loop.time() - self._heard > self._expires + SILENCE:
                if self._on_gone:
                    self._on_gone()
                await self._ask_anew()
            elif not self._asked:
                await self.ask()
