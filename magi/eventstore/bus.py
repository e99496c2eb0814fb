"""The connection to NATS: connect with our settings, publish with an acknowledgement, publish and subscribe without.

The only module that opens a connection. What nats-py does differently from what we need is put right here:
`publish_async` leaks its futures when the server dies and hides API errors, so acknowledgements come to an inbox of
ours; the client closes for good on an error that it doesn't know, so whoever connects is told by `on_closed`.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

import msgspec
import nats
import structlog
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

log = structlog.get_logger(__name__)

ACK_TIMEOUT = 5.0
"""Seconds to wait for an acknowledgement: 25 times the worst fsync that was measured under load."""
CONNECT_TIMEOUT = 5.0
_SWEEP = 0.5

Handler = Callable[[Msg], Awaitable[None]]


class BusError(Exception):
    """Nothing is known of what was published: it may be stored, or yet become so."""


class NoAck(BusError):
    """No acknowledgement came in time, or the connection is down."""


class NoStream(BusError):
    """No stream takes this subject now: it is missing, or its cluster has no leader."""


class Rejected(Exception):
    """JetStream refused a publish; it is not stored. `err_code` as in the server's documentation."""

    def __init__(self, code: int, err_code: int, description: str) -> None:
        super().__init__(f"{description} ({code}, {err_code})")
        self.code = code
        self.err_code = err_code


class CannotConnect(Exception):
    """NATS can't be reached, or doesn't let us in."""


class ApiError(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class PubAck(Struct, frozen=True):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    count: int = 0
    error: ApiError | None = None


_decode_ack = msgspec.json.Decoder(PubAck).decode


class Bus:
    """A connection that stays: it reconnects for ever, and tells by callbacks what happened.

    `nc` is the nats-py client, for subscriptions and requests off the hot path.
    """

    def __init__(self, nc: Client) -> None:
        self.nc = nc
        self.on_reconnected: list[Callable[[], Awaitable[None]]] = []
        """Called after the connection is back: whoever reads must ask again."""
        self.closed = asyncio.Event()
        """Set when the client gave up for good. The process must end, so that it is started anew."""
        self.reconnects = 0
        self._inbox = ""
        self._tokens = itertools.count(1)
        self._waiting: dict[str, tuple[asyncio.Future[PubAck], float]] = {}
        self._loop = asyncio.get_running_loop()
        self._sweeper: asyncio.TimerHandle | None = None

    @classmethod
    async def connect(
        cls, url: str, *, name: str, seed: str | None = None, inbox_prefix: str = "_INBOX", attempts: int = 1
    ) -> Self:
        """Connect to `url`, proving the nkey `seed` when one is given.

        `attempts` bounds the tries before the first success; afterwards it reconnects for ever. Raises CannotConnect.
        """
        nc = Client()
        bus = cls(nc)
        problems: list[str] = []

        async def on_error(error: Exception) -> None:
            problems.append(str(error))
            log.warning("nats_error", error=str(error), component=name)

        async def on_reconnected() -> None:
            bus.reconnects += 1
            log.info("nats_reconnected", component=name)
            bus._give_up_waiting("the connection was lost")  # what was sent on the old one is answered no more
            for callback in bus.on_reconnected:
                await callback()

        async def on_disconnected() -> None:
            log.info("nats_disconnected", component=name)

        async def on_closed() -> None:
            bus.closed.set()

        for attempt in range(attempts):
            problems.clear()
            try:
                await nc.connect(
                    url,
                    name=name,
                    nkeys_seed_str=seed,
                    inbox_prefix=inbox_prefix.encode(),
                    error_cb=on_error,
                    reconnected_cb=on_reconnected,
                    disconnected_cb=on_disconnected,
                    closed_cb=on_closed,
                    connect_timeout=int(CONNECT_TIMEOUT),
                    allow_reconnect=False,
                )
                break
            except (OSError, NatsError, TimeoutError) as error:
                if attempt + 1 == attempts:
                    reason = problems[-1] if problems else str(error) or type(error).__name__
                    raise CannotConnect(f"can't connect to NATS at {url}: {reason}") from error
                await asyncio.sleep(min(0.1 * 2**attempt, 2.0))
        # Before the first success a refusal must be told at once; from here on an outage is to be waited for.
        nc.options["allow_reconnect"] = True
        nc.options["max_reconnect_attempts"] = -1
        nc.options["reconnect_time_wait"] = 0.1
        bus.closed.clear()
        await bus._start()
        return bus

    async def _start(self) -> None:
        self._inbox = self.nc.new_inbox()
        await self.subscribe(f"{self._inbox}.*", self._on_ack)
        self._sweep()

    async def close(self) -> None:
        """Flush and disconnect. Whoever waits for an acknowledgement gets NoAck."""
        if self._sweeper:
            self._sweeper.cancel()
        self._give_up_waiting("the connection was closed")
        if not self.nc.is_closed:
            await self.nc.close()

    def _give_up_waiting(self, reason: str) -> None:
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(NoAck(reason))
        self._waiting.clear()

    async def subscribe(self, subject: str, handler: Handler) -> Subscription:
        """Call `handler` for each message, one after the other. The client's own queue is unbounded: see to it."""
        return await self.nc.subscribe(subject, cb=handler, pending_msgs_limit=-1, pending_bytes_limit=-1)

    async def publish(self, subject: str, data: bytes = b"", *, reply: str = "") -> None:
        """Publish without an acknowledgement: it may be lost. Raises NoAck when the connection is down."""
        try:
            await self.nc.publish(subject, data, reply=reply)
        except NatsError as error:
            raise NoAck(f"can't publish: {error}") from error

    async def store(
        self, subject: str, data: bytes, headers: Mapping[str, str] | None = None, timeout: float = ACK_TIMEOUT
    ) -> PubAck:
        """Publish into the stream that takes `subject` and return once it is stored there.

        Raises Rejected (not stored), NoAck or NoStream (unknown: try again with the same id).
        """
        token = str(next(self._tokens))
        future: asyncio.Future[PubAck] = self._loop.create_future()
        self._waiting[token] = (future, self._loop.time() + timeout)
        try:
            await self.nc.publish(
                subject, data, reply=f"{self._inbox}.{token}", headers=dict(headers) if headers else None
            )
        except NatsError as error:
            self._waiting.pop(token, None)
            raise NoAck(f"can't publish: {error}") from error
        return await future

    async def request(self, subject: str, data: bytes = b"", timeout: float = ACK_TIMEOUT) -> bytes:
        """Ask and return the answer. Raises NoStream when nobody serves the subject, NoAck when no answer comes."""
        try:
            return (await self.nc.request(subject, data, timeout=timeout)).data
        except nats.errors.NoRespondersError as error:
            raise NoStream(f"nobody answers {subject}") from error
        except (NatsError, TimeoutError) as error:
            raise NoAck(f"no answer from {subject}: {error}") from error

    async def _on_ack(self, msg: Msg) -> None:
        future, _ = self._waiting.pop(msg.subject[len(self._inbox) + 1 :], (None, 0.0))
        if future is None or future.done():
            return
        if not msg.data:
            future.set_exception(NoStream("no stream takes this subject now"))
            return
        ack = _decode_ack(msg.data)
        if ack.error:
            future.set_exception(Rejected(ack.error.code, ack.error.err_code, ack.error.description))
        else:
            future.set_result(ack)

    def _sweep(self) -> None:
        """Give up on acknowledgements that are overdue. One pass in half a second costs less than a timer a publish."""
        now = self._loop.time()
        for token in [t for t, (_, deadline) in self._waiting.items() if deadline < now]:
            future, _ = self._waiting.pop(token)
            if not future.done():
                future.set_exception(NoAck("no acknowledgement came in time"))
        self._sweeper = self._loop.call_later(_SWEEP, self._sweep)
