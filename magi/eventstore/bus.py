"""The connection to NATS: connect with our settings, publish with an acknowledgement, publish and subscribe without.

The only module that opens a connection. What nats-py does differently from what we need is put right here:
`publish_async` leaks its futures when the server dies and hides API errors, so acknowledgements come to an inbox of
ours; the client closes for good on an error that it doesn't know, so whoever connects is told by `closed`.
"""

import asyncio
import itertools
import re
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

import msgspec
import structlog
from msgspec import Struct
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError

from magi.eventstore.client import FastClient, Listener, encode_headers
from magi.eventstore.tls import explain

log = structlog.get_logger(__name__)

ACK_TIMEOUT = 5.0
"""Seconds to wait for an acknowledgement: 25 times the worst fsync that was measured under load."""
REFUSALS = 20
"""Refusals in a row, about two seconds of them, after which a key is taken to be withdrawn."""
CONNECT_TIMEOUT = 5.0
RECONNECT_EVERY = 0.1
"""Seconds between two tries to connect again. nats-server is up 10 ms after its start."""
PING_EVERY = 10
"""Seconds. After three unanswered ones a connection counts as dead; nats-py's own 120 would take six minutes."""
TOO_LARGE = 10054
"""The server's error code for a message that is too large."""
_SWEEP = 0.5
_DENIED = re.compile(r'subscription to "([^"]+)"', re.IGNORECASE)

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
    """How many messages an atomic batch stored; `seq` is the last one's."""
    error: ApiError | None = None


_decode_ack = msgspec.json.Decoder(PubAck).decode


class Bus:
    """A connection that stays: it reconnects for ever, and tells by callbacks what happened.

    `nc` is the nats-py client, for subscriptions and requests off the hot path.
    """

    def __init__(self, nc: FastClient, name: str = "") -> None:
        self.nc = nc
        self.name = name
        self.on_disconnected: list[Callable[[], Awaitable[None]]] = []
        """Called when the connection is lost: what was asked on it is answered no more. Must not wait for the bus."""
        self.on_reconnected: list[Callable[[], Awaitable[None]]] = []
        """Called after the connection is back: whoever reads must ask again."""
        self._refused = 0
        """How often in a row the server has not let us in again."""
        self.closed = asyncio.Event()
        """Set when the client gave up for good, not by `close`. The process must end, so that it is started anew."""
        self.reconnects = 0
        self.unanswered = 0
        """How often somebody waited in vain for an answer."""
        self.retries: Counter[str] = Counter()
        """How often something was tried again, by stream; as are the next two."""
        self.conflicts: Counter[str] = Counter()
        """Appends that lost to another writer."""
        self.lost_acks: Counter[str] = Counter()
        """Appends that were stored, although no acknowledgement came."""
        self.denied: set[str] = set()
        """The subjects that the server didn't let us subscribe to on this connection."""
        self._up = asyncio.Event()
        self._closing = False
        self._problem = ""
        self._inbox = ""
        self._tokens = itertools.count(1)
        self._waiting: dict[str, tuple[asyncio.Future[Msg], float]] = {}
        self._loop = asyncio.get_running_loop()
        self._sweeper: asyncio.TimerHandle | None = None
        self._telling: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        name: str,
        seed: str | None = None,
        inbox_prefix: str = "_INBOX",
        tls: ssl.SSLContext | None = None,
        attempts: int = 1,
    ) -> Self:
        """Connect to `url`, proving the nkey `seed` when one is given, and by TLS or not at all when `tls` is.

        `url` may name several servers of one cluster, separated by commas: those that don't answer are passed over.
        `attempts` bounds the tries before the first success; afterwards it reconnects for ever. Raises CannotConnect.
        """
        if seed is not None:
            _check_seed(seed)
        attempt = 1
        while True:
            # A new one each time: one that failed to connect keeps what is left of it.
            client = FastClient() if tls is None else _TlsClient()
            bus = cls(client, name)
            try:
                await bus._connect(url, seed, inbox_prefix, tls)
                return bus
            except (OSError, NatsError, TimeoutError, ValueError) as error:
                if attempt == attempts:
                    silent = isinstance(error, TimeoutError) or "TimeoutError" in bus._problem
                    reason = explain(error) or (
                        "no answer in time" if silent else bus._problem or str(error) or type(error).__name__
                    )
                    raise CannotConnect(f"can't connect to NATS at {_shown(url)}: {reason}") from error
            await asyncio.sleep(min(0.1 * 2 ** (attempt - 1), 2.0))
            attempt += 1

    async def _connect(self, url: str, seed: str | None, inbox_prefix: str, tls: ssl.SSLContext | None) -> None:
        await self.nc.connect(
            [one.strip() for one in url.split(",")],
            name=self.name,
            nkeys_seed_str=seed,
            tls=tls,
            inbox_prefix=inbox_prefix.encode(),
            error_cb=self._on_error,
            reconnected_cb=self._on_reconnected,
            disconnected_cb=self._on_disconnected,
            closed_cb=self._on_closed,
            connect_timeout=int(CONNECT_TIMEOUT),
            ping_interval=PING_EVERY,
            # Before the first success a refusal must be told at once; from there on an outage is to be waited for.
            # nats-py heeds no number below 1 here: it would try for ever.
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
        )
        if not self.nc.is_connected:  # as when the server waits in vain for its own authentication service
            await self.nc.close()
            raise NatsError("the server didn't let us in")
        self.nc.options["allow_reconnect"] = True
        self.nc.options["max_reconnect_attempts"] = -1
        self.nc.options["reconnect_time_wait"] = RECONNECT_EVERY
        self._up.set()
        self._inbox = self.nc.new_inbox()
        await self.listen(f"{self._inbox}.*", self._on_answer)
        self._sweep()

    async def close(self) -> None:
        """Flush and disconnect. Whoever waits for an answer gets NoAck."""
        self._closing = True
        if self._sweeper:
            self._sweeper.cancel()
        if self._telling:
            self._telling.cancel()
        if not self.nc.is_connected:
            # Nobody is there to flush to: nats-py would raise what the lost connection did, and leave its tasks behind.
            self.nc._pending, self.nc._pending_data_size = [], 0
        if not self.nc.is_closed:
            await self.nc.close()
        self._up.clear()
        self._give_up_waiting("the connection was closed")

    async def _on_error(self, error: Exception) -> None:
        problem = str(error) or type(error).__name__
        if found := _DENIED.search(problem):
            self.denied.add(found[1])
        if "authorization violation" in problem.lower() and not self._up.is_set():
            self._refused += 1
            if self._refused == REFUSALS:
                log.error(
                    "nats_refuses_us", error="the key is unknown to the server now: revoked?", component=self.name
                )
                self.closed.set()
        if not isinstance(error, NatsError | OSError | TimeoutError):
            log.error("handler_failed", component=self.name, exc_info=error)
        elif problem != self._problem and self._up.is_set():  # ten tries a second fail in the same way
            log.warning("nats_error", error=problem, component=self.name)
        self._problem = problem

    async def _on_disconnected(self) -> None:
        if self._up.is_set():
            log.info("nats_disconnected", component=self.name)
        self._up.clear()
        self.denied.clear()
        self._give_up_waiting("the connection was lost")  # what was sent on it is answered no more
        await self._tell(self.on_disconnected)

    async def _on_reconnected(self) -> None:
        self.reconnects += 1
        self._problem = ""
        self._refused = 0
        self._up.set()
        log.info("nats_reconnected", component=self.name)
        # In a task of its own: nats-py takes what a callback raises for a failed connection.
        self._telling = asyncio.create_task(self._tell(self.on_reconnected))

    async def _on_closed(self) -> None:
        if not self._closing:
            log.error("nats_closed", error=str(self.nc.last_error or ""), component=self.name)
            self.closed.set()

    async def _tell(self, callbacks: list[Callable[[], Awaitable[None]]]) -> None:
        for callback in tuple(callbacks):
            try:
                await callback()
            except Exception:  # one reader's failure must not keep the others from reading on
                log.exception("callback_failed", component=self.name)

    def _give_up_waiting(self, reason: str) -> None:
        for future, _ in self._waiting.values():
            if not future.done():
                self.unanswered += 1
                future.set_exception(NoAck(reason))
        self._waiting.clear()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._up.is_set()

    @property
    def waiting(self) -> int:
        """How many wait for an answer."""
        return len(self._waiting)

    async def subscribe(self, subject: str, handler: Handler) -> Subscription:
        """Call `handler` for each message, one after the other. The client's own queue is unbounded: see to it.

        Raises NoAck when the connection was closed.
        """
        try:
            return await self.nc.subscribe(subject, cb=handler, pending_msgs_limit=-1, pending_bytes_limit=-1)
        except NatsError as error:
            raise NoAck(f"can't subscribe: {error}") from error

    async def listen(self, subject: str, take: Listener) -> Subscription:
        """Like `subscribe` for what comes often: `take` is called as each message is read, and can't wait."""
        try:
            return await self.nc.listen(subject, take)
        except NatsError as error:
            raise NoAck(f"can't subscribe: {error}") from error

    async def publish(
        self, subject: str, data: bytes = b"", *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Publish without an acknowledgement: it may be lost. While the connection is down it waits in a buffer.

        Raises NoAck when the connection was closed or the buffer is full, Rejected when it is too large.
        """
        self._put(subject, reply, data, headers)
        if self.nc.congested:
            await self.nc.room()

    def _put(self, subject: str, reply: str, data: bytes, headers: Mapping[str, str] | None) -> None:
        try:
            self.nc.put(subject, reply, data, encode_headers(headers) if headers else b"")
        except MaxPayloadError as error:
            raise Rejected(400, TOO_LARGE, "message size exceeds maximum allowed") from error
        except NatsError as error:
            raise NoAck(f"can't publish: {error}") from error

    async def store(
        self, subject: str, data: bytes, headers: Mapping[str, str] | None = None, timeout: float = ACK_TIMEOUT
    ) -> PubAck:
        """Publish into the stream that takes `subject` and return once it is stored there.

        While the connection is down it is waited for. Raises Rejected (not stored), NoAck or NoStream (unknown: try
        again with the same id).
        """
        return acknowledged(await self._ask(subject, data, headers, timeout))

    def post(
        self, subject: str, data: bytes, headers: Mapping[str, str] | None = None, timeout: float = ACK_TIMEOUT
    ) -> "asyncio.Future[Msg]":
        """As `store`, for who stores several things and waits for them together. See `ready` first.

        What comes is for `acknowledged`; the future has Rejected, or NoAck when nothing comes or nobody is connected.
        """
        future: asyncio.Future[Msg] = self._loop.create_future()
        if not self._up.is_set():
            # A publish into nats-py's buffer would be stored long after its caller has given up.
            future.set_exception(NoAck("not connected to NATS"))
            return future
        token = str(next(self._tokens))
        try:
            self._put(subject, f"{self._inbox}.{token}", data, headers)
        except (BusError, Rejected) as error:
            future.set_exception(error)
            return future
        self._waiting[token] = (future, self._loop.time() + timeout)
        return future

    async def ready(self, timeout: float = ACK_TIMEOUT) -> None:
        """Wait for the connection, and until it takes more. Raises NoAck."""
        if not self._up.is_set():
            await self._reconnection(timeout)
        if self.nc.congested:
            await self.nc.room()

    async def request(self, subject: str, data: bytes = b"", timeout: float = ACK_TIMEOUT) -> bytes:
        """Ask and return the answer. Raises NoStream when nobody serves the subject, NoAck when no answer comes."""
        try:
            msg = await self._ask(subject, data, None, timeout)
        except NoAck as error:
            raise NoAck(f"no answer from {subject}: {error}") from error
        if msg.headers and msg.headers.get("Status") == "503":
            raise NoStream(f"nobody answers {subject}")
        return msg.data

    async def _ask(self, subject: str, data: bytes, headers: Mapping[str, str] | None, timeout: float) -> Msg:
        """Publish with a reply subject and return what comes there. Unlike nats-py's own requests this one doesn't wait
        for its time-out when the connection is lost."""
        if not self._up.is_set():
            begun = self._loop.time()
            await self._reconnection(timeout)
            timeout -= self._loop.time() - begun
        future = self.post(subject, data, headers, timeout)
        if self.nc.congested:
            await self.nc.room()
        return await future

    async def _reconnection(self, timeout: float) -> None:
        if not self.nc.is_closed:
            try:
                await asyncio.wait_for(self._up.wait(), timeout)
                return
            except TimeoutError:
                pass
        raise NoAck("not connected to NATS")

    def _on_answer(self, msg: Msg) -> None:
        future, _ = self._waiting.pop(msg.subject[len(self._inbox) + 1 :], (None, 0.0))
        if future and not future.done():
            future.set_result(msg)

    def _sweep(self) -> None:
        """Give up on answers that are overdue. One pass in half a second costs less than a timer a publish."""
        now = self._loop.time()
        for token in [t for t, (_, deadline) in self._waiting.items() if deadline < now]:
            future, _ = self._waiting.pop(token)
            if not future.done():
                self.unanswered += 1
                future.set_exception(NoAck("nothing came in time"))
        self._sweeper = self._loop.call_later(_SWEEP, self._sweep)


def acknowledged(answer: Msg) -> PubAck:
    """What the answer to a publish says. Raises Rejected (not stored), NoStream (unknown)."""
    if not answer.data:
        raise NoStream("no stream takes this subject now")
    ack = _decode_ack(answer.data)
    if ack.error:
        raise Rejected(ack.error.code, ack.error.err_code, ack.error.description)
    return ack


def _shown(url: str) -> str:
    """Without the user and password that may be in it."""
    return ",".join(
        f"{one.partition('://')[0]}://{one.rpartition('@')[2]}" if "@" in one else one for one in url.split(",")
    )


class _TlsClient(FastClient):
    """nats-py goes on without TLS, and shows its signature, to whoever says that it isn't wanted."""

    def _connect_command(self) -> bytes:
        if not self._server_info.get("tls_required"):
            raise NatsError("the server doesn't want TLS, which is asked for here")
        return super()._connect_command()


def _check_seed(seed: str) -> None:
    """Raises CannotConnect when `seed` can't be an nkey's; nats-py would raise whatever its decoder does."""
    import nkeys  # here, since only those who prove a key need it

    try:
        nkeys.from_seed(bytearray(seed.strip().encode())).wipe()
    except (nkeys.NkeysError, ValueError) as error:
        raise CannotConnect(f"this is no nkey seed: {error}") from error
