"""What goes out to one client: a bounded queue and one writer, so that no client can make another wait.

`websockets` alone never lets go of a client that doesn't read: its keepalive, `send` and `close` all wait for the
drain. So whoever lets too much pile up, or takes nothing for too long, is cut off by aborting the transport.
"""

import asyncio
import socket
import struct
from collections import Counter, deque

import structlog
from websockets.exceptions import ConnectionClosed

from magi.gateway.coming_and_going import shown_address
from magi.gateway.connection import Connection

log = structlog.get_logger(__name__)

TOO_SLOW, NO_PONG = 4001, 4002
_TOGETHER = 16 * 1024
"""Bytes after which frames that wait go out in another write."""
_CLOSING = 1.0
"""Seconds for a close frame to get through to a client that may not read."""


class Outbound:
    """The queue and the writer of one connection. `stuck_since` is when the frames being written were begun."""

    def __init__(self, connection: Connection, limit: int, cut_off: Counter[str] | None = None) -> None:
        """`limit` is how many bytes may wait when another frame comes: a single one can be had however large it is.
        `cut_off` counts the clients that are cut off, by reason."""
        self._cut_off = Counter() if cut_off is None else cut_off
        self._connection = connection
        self._limit = limit
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closing: tuple[int, str] | None = None
        self._loop = asyncio.get_running_loop()
        self.stuck_since: float | None = None
        self._pong: asyncio.Future[float] | None = None
        """The answer to the last ping."""
        self._ping_due = False
        self._looks = 0
        """Since the last pong, or since the last ping while none has come."""
        self._writer = asyncio.create_task(self._write())

    @property
    def closing(self) -> bool:
        """Whether the connection is being closed from this side."""
        return self._closing is not None

    @property
    def waiting(self) -> int:
        """Bytes that are not sent yet."""
        return self._bytes

    def send(self, frame: bytes) -> None:
        """Queue a text frame. Cuts the client off when too much waits already."""
        if self._closing:
            return
        if self._bytes > self._limit:
            self.cut_off()
            return
        self._queue.append(frame)
        self._bytes += len(frame)
        if self._bytes > self._limit // 2:
            self._room.clear()
        self._wake.set()

    async def room(self) -> None:
        """Wait until half of what may wait is free: for long replays, which must not cut off a client that reads."""
        await self._room.wait()

    def close(self, code: int, reason: str) -> None:
        """Close once everything queued is sent."""
        if self._closing is None:
            self._closing = (code, reason)
            self._wake.set()
            self._room.set()  # nothing more is queued: nobody has to wait

    def look(self, looks: int) -> None:
        """Is the client there still? To be called again and again: each `looks` times it is pinged, and when it hasn't
        answered after as many it is closed with 4002.

        Times and not seconds: after a pause of our own every client would be late by the clock. Nor does it count while
        its frames, and its pong behind them, wait for us to read them.
        """
        self._looks += 1
        if self._closing:
            return
        if not self._ping_due and (self._pong is None or self._pong.done()):
            if self._looks >= looks:
                self._looks = 0
                self._ping_due = True
                self._wake.set()
        elif self._connection.recv_messages.paused:
            self._looks = 0
        elif self._looks >= looks:
            self._cut_off["no_pong"] += 1
            log.info("client_gone", remote=shown_address(self._connection))
            self.close(NO_PONG, "no pong")

    def cut_off(self) -> None:
        """The client doesn't read: drop what waits for it and close with 4001."""
        if self._closing and self._closing[0] == TOO_SLOW:
            return
        self._cut_off["too_slow"] += 1
        log.info("client_cut_off", remote=shown_address(self._connection), waiting_bytes=self._bytes)
        self._closing = (TOO_SLOW, "too slow")
        self._queue.clear()
        self._bytes = 0
        self._room.set()
        self._writer.cancel()
        self._writer = asyncio.create_task(self._say_goodbye(TOO_SLOW, "too slow"))

    def abort(self) -> None:
        """End the connection at once."""
        self._closing = self._closing or (1006, "")
        self._writer.cancel()
        self._room.set()
        self._connection.transport.abort()

    async def finished(self) -> None:
        """Wait until the writer has ended."""
        await asyncio.gather(self._writer, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while True:
                while self._queue:
                    frames, size = self._some()
                    self.stuck_since = self._loop.time()
                    await self._connection.send_texts(frames)
                    self.stuck_since = None
                    self._bytes -= size
                    if self._bytes <= self._limit // 2:
                        self._room.set()
                if self._closing:
                    await self._say_goodbye(*self._closing)
                    return
                if self._ping_due:
                    self.stuck_since = self._loop.time()
                    self._pong = asyncio.ensure_future(await self._connection.ping())
                    self.stuck_since = None
                    self._ping_due = False
                self._wake.clear()
                await self._wake.wait()
        except ConnectionClosed:
            self._closing = self._closing or (1006, "")
            self._room.set()
        finally:
            self.stuck_since = None

    def _some(self) -> tuple[list[bytes], int]:
        """Take from the queue what goes out in one write, and how many bytes that is."""
        frames, size = [], 0
        while self._queue and size < _TOGETHER:
            frames.append(self._queue.popleft())
            size += len(frames[-1])
        return frames, size

    async def _say_goodbye(self, code: int, reason: str) -> None:
        try:
            await asyncio.wait_for(self._connection.close(code, reason), _CLOSING)
        except TimeoutError:
            self._forget()
        finally:
            self._connection.transport.abort()

    def _forget(self) -> None:
        """Have the kernel drop what it holds for the client: closed as usual, the socket would keep megabytes for
        minutes, for somebody who doesn't read."""
        sock = self._connection.transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
