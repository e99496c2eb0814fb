"""What goes out to one client: a bounded queue and one writer, so that no client can make another wait.

`websockets` alone never lets go of a client that doesn't read: its keepalive, `send` and `close` all wait for the
drain. So whoever lets too much pile up, or takes nothing for too long, is cut off by aborting the transport.
"""

import asyncio
from collections import deque

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

log = structlog.get_logger(__name__)

TOO_SLOW = 4001
_CLOSING = 1.0
"""Seconds for a close frame to get through to a client that may not read."""


class Outbound:
    """The queue and the writer of one connection. `stuck_since` is when the frame being written was begun."""

    def __init__(self, connection: ServerConnection, limit: int) -> None:
        """`limit` is how many bytes may wait when another frame comes: a single one can be had however large it is."""
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
        self._writer = asyncio.create_task(self._write())

    @property
    def closing(self) -> bool:
        """Whether the connection is being closed from this side."""
        return self._closing is not None

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

    def cut_off(self) -> None:
        """The client doesn't read: drop what waits for it and close with 4001."""
        if self._closing and self._closing[0] == TOO_SLOW:
            return
        log.info("client_cut_off", remote=str(self._connection.remote_address), waiting_bytes=self._bytes)
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
                    frame = self._queue.popleft()
                    self.stuck_since = self._loop.time()
                    await self._connection.send(frame, text=True)
                    self.stuck_since = None
                    self._bytes -= len(frame)
                    if self._bytes <= self._limit // 2:
                        self._room.set()
                if self._closing:
                    await self._say_goodbye(*self._closing)
                    return
                self._wake.clear()
                await self._wake.wait()
        except ConnectionClosed:
            self._closing = self._closing or (1006, "")
            self._room.set()
        finally:
            self.stuck_since = None

    async def _say_goodbye(self, code: int, reason: str) -> None:
        try:
            await asyncio.wait_for(self._connection.close(code, reason), _CLOSING)
        except TimeoutError:
            pass
        finally:
            self._connection.transport.abort()
