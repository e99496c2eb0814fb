"""nats-py with a shorter way in and out: what is measured to cost most of it, done in one step each.

nats-py makes of each message that comes six regular expressions, a dictionary of its headers, an entry in a queue and a
task's turn, and of each that goes two validations, a future and another task's turn. Here a parser hands what comes to
a function of ours at once (`listen`), with headers that are read when somebody asks for them; and what is sent within
one turn of the loop is one write. Everything else is nats-py's: connecting, proving who we are, TLS, reconnecting,
and subscriptions made by `subscribe`. It relies on private parts of the version that is pinned.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport
from nats.protocol.parser import Parser

_MSG, _HMSG = ord("M"), ord("H")
_HEADER = b"NATS/1.0"
LONGEST_LINE = 1024 * 1024
"""Bytes of a line after which what comes can't be NATS: the longest, INFO, has some kilobytes in a large cluster."""
FULL = 1024 * 1024
"""Bytes that the kernel hasn't taken, beyond which we wait until it does instead of piling up more."""


class Message(Msg):
    """A message whose headers are taken apart when they are first asked for: most never are."""

    def __init__(self, client: Client, subject: str, reply: str, data: bytes, raw: bytes) -> None:
        self._client = client
        self.subject = subject
        self.reply = reply
        self.data = data
        self.raw = raw
        """The headers as they came, or empty."""

    @property
    def headers(self) -> dict[str, str] | None:  # type: ignore[override]
        """As nats-py gives them: `Status` and `Description` for what the server says, None without any."""
        if not self.raw:
            return None
        first, _, rest = self.raw.partition(b"\r\n")
        headers: dict[str, str] = {}
        status, _, description = first[len(_HEADER) :].strip().partition(b" ")
        if status:
            headers["Status"] = status.decode()
        if description:
            headers["Description"] = description.decode()
        headers.update(Client._parse_header_lines(rest))
        return headers or None


Listener = Callable[[Message], None]


class Listening(Subscription):
    """A subscription whose messages are handed to a function as they are read."""

    def __init__(self, client: Client, number: int, subject: str, take: Listener) -> None:
        super().__init__(client, number, subject)
        self.take = take


class _Parser(Parser):
    """Reads messages for whoever listens itself, and hands everything else to nats-py."""

    nc: "FastClient"

    def reset(self) -> None:
        """Forget what has come: the connection is another."""
        self._resets = getattr(self, "_resets", 0) + 1
        self._kept: list[bytes] = []
        """The beginning of a message whose end hasn't come."""
        self._size = 0
        self._needed = 0

    async def parse(self, data: bytes = b"") -> None:
        """Handle what came, as far as it is complete. Raises ProtocolError."""
        if self._kept:
            self._kept.append(data)
            self._size += len(data)
            if self._size < self._needed:
                return
            data = b"".join(self._kept)
            self._kept = []
        nc, resets = self.nc, self._resets
        subscriptions = nc._subs
        at, size, needed = 0, len(data), 0
        while at < size:
            line = data.find(b"\r\n", at)
            if line < 0:
                if size - at > LONGEST_LINE:
                    raise errors.ProtocolError
                break
            if data[at] != _MSG and data[at] != _HMSG:
                text, at = data[at:line], line + 2
                await self._control(text)
                if self._resets != resets:
                    return
                continue
            words = data[at:line].split()
            try:
                length = int(words[-1])
                start = 0 if data[at] == _MSG else int(words[-2])
                reply = words[3].decode() if len(words) > (4 if data[at] == _MSG else 5) else ""
                number = int(words[2])
            except (IndexError, ValueError):
                raise errors.ProtocolError from None
            if not 0 <= start <= length:
                raise errors.ProtocolError
            begin = line + 2
            end = begin + length
            if end + 2 > size:
                needed = end + 2 - at
                break
            at = end + 2
            subscription = subscriptions.get(number)
            if type(subscription) is Listening:
                raw = data[begin : begin + start]
                try:
                    subscription.take(Message(nc, words[1].decode(), reply, data[begin + start : end], raw))
                except Exception as error:  # noqa: BLE001 - one listener's failure must not keep the others from reading
                    await nc._error_cb(error)
            elif subscription is not None:
                raw = data[begin : begin + start]
                await nc._process_msg(number, words[1], reply.encode(), data[begin + start : end], raw)
            if self._resets != resets:
                return
        if at < size:
            self._kept, self._size, self._needed = [data[at:]], size - at, needed

    async def _control(self, line: bytes) -> None:
        kind, _, rest = line.partition(b" ")
        if kind == b"PING":
            await self.nc._process_ping()
        elif kind == b"PONG":
            await self.nc._process_pong()
        elif kind == b"-ERR":
            await self.nc._process_err(rest.strip().decode(errors="replace").lower())
        elif kind == b"INFO":
            try:
                info: dict[str, Any] = json.loads(rest)
            except ValueError:
                raise errors.ProtocolError from None
            await self.nc._process_info(info)
        elif kind != b"+OK":
            raise errors.ProtocolError


class FastClient(Client):
    """A nats-py client with `listen` and `put`."""

    def __init__(self) -> None:
        super().__init__()
        self._ps = _Parser(self)
        self._loop = asyncio.get_running_loop()
        self._writing: asyncio.Handle | None = None

    async def listen(self, subject: str, take: Listener) -> Subscription:
        """Have `take` called for each message as it is read; it can't wait. Raises nats-py's errors."""
        if self.is_closed:
            raise errors.ConnectionClosedError
        self._sid += 1
        subscription = Listening(self, self._sid, subject, take)
        subscription._start(None)  # type: ignore[no-untyped-call]
        self._subs[self._sid] = subscription
        await self._send_subscribe(subscription)
        return subscription

    def put(self, subject: str, reply: str, data: bytes, headers: bytes) -> None:
        """Have a message written, with everything else of this turn of the loop.

        `headers` as `encode_headers` makes them, or empty. Without a connection it waits in nats-py's buffer. Raises
        nats-py's errors.
        """
        if not subject or not subject.isprintable() or not reply.isprintable() or " " in subject or " " in reply:
            raise errors.BadSubjectError  # a line break would be a command of its own
        if self.is_closed:
            raise errors.ConnectionClosedError
        size = len(headers) + len(data)
        if size > self._max_payload:
            # nats-py counts the data only. The server would end the connection, and nats-py itself, for good.
            raise errors.MaxPayloadError
        if not self.is_connected and size + self._pending_data_size > self._max_pending_size:
            raise errors.OutboundBufferLimitError
        if headers:
            message = b"%b%b%b\r\n" % (f"HPUB {subject} {reply} {len(headers)} {size}\r\n".encode(), headers, data)
        else:
            message = b"%b%b\r\n" % (f"PUB {subject} {reply} {size}\r\n".encode(), data)
        self._pending.append(message)
        self._pending_data_size += len(message)
        if self._writing is None:
            self._writing = self._loop.call_soon(self._write)

    @property
    def congested(self) -> bool:
        """Whether so much waits that who sends more has to wait, too: see `room`."""
        return self._pending_data_size > self._max_pending_size

    async def room(self) -> None:
        """Wait until the server takes what it is sent."""
        await self._flush_pending(force_flush=True)

    def _write(self) -> None:
        self._writing = None
        if not self._pending or not self.is_connected or self._flush_queue is None:
            return  # nats-py writes what waits once it is connected again
        tcp = self._transport._io_writer if isinstance(self._transport, TcpTransport) else None
        if tcp is None or tcp.transport.get_write_buffer_size() > FULL:
            if self._flush_queue.empty():
                self._flush_queue.put_nowait(self._loop.create_future())  # its flusher waits until there is room
            return
        try:
            tcp.write(b"".join(self._pending))
        except (OSError, RuntimeError):
            return  # the connection is ending: whoever reads from it notices
        self._pending = []
        self._pending_data_size = 0


def encode_headers(headers: Mapping[str, str]) -> bytes:
    """Headers as they are sent. Raises BadHeaderError for what would be another header, or another message."""
    lines = ""
    for key, value in headers.items():
        if not key.isprintable() or not value.isprintable():
            raise errors.BadHeaderError(value if key.isprintable() else key)
        lines += f"{key}: {value}\r\n"
    return f"NATS/1.0\r\n{lines}\r\n".encode()
