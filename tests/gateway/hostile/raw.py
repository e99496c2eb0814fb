"""A client that breaks the rules of HTTP and WebSocket: it writes bytes, and understands just enough of the answers."""

import asyncio
import base64
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
WITHIN = 30.0
NO_CODE, ABORTED = 1005, 1006


class Frame(Struct, frozen=True):
    opcode: int
    payload: bytes


def frame(
    payload: bytes | str = b"",
    opcode: int = TEXT,
    *,
    fin: int = 1,
    rsv: int = 0,
    mask: bytes | None = b"\x01\x02\x03\x04",
    length: int | None = None,
) -> bytes:
    """A frame of RFC 6455; `length` is what it says of its payload's length, if that is to be a lie."""
    data = payload.encode() if isinstance(payload, str) else payload
    size = len(data) if length is None else length
    masked = 0x80 if mask else 0
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if size < 126:
        head += bytes([masked | size])
    elif size < 65_536:
        head += bytes([masked | 126]) + struct.pack("!H", size)
    else:
        head += bytes([masked | 127]) + struct.pack("!Q", size)
    if mask is None:
        return head + data
    repeated = mask * (len(data) // 4 + 1)
    return head + mask + bytes(a ^ b for a, b in zip(data, repeated, strict=False))


def handshake(token: str | None, *lines: str, path: str = "/v1/initiator") -> bytes:
    """An opening handshake, with more header lines if you like."""
    head = [
        f"GET {path} HTTP/1.1",
        "Host: gateway",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        *([f"Authorization: Bearer {token}"] if token else []),
        *lines,
    ]
    return "\r\n".join([*head, "", ""]).encode("latin-1")


class Raw:
    """One TCP connection to a gateway. Every wait ends after `WITHIN` seconds with a TimeoutError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def connect(cls, port: int) -> AsyncIterator["Raw"]:
        """Connect, and say nothing."""
        raw = cls(*await asyncio.open_connection("127.0.0.1", port))
        try:
            yield raw
        finally:
            raw.writer.transport.abort()

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int, token: str | None, *lines: str) -> AsyncIterator["Raw"]:
        """Connect, and shake hands as one should."""
        async with cls.connect(port) as raw:
            raw.write(handshake(token, *lines))
            status, _ = await raw.answer()
            assert status == 101
            yield raw

    def write(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, str]:
        """The status and the head of an HTTP answer; 0 and nothing when the connection is ended without one."""
        try:
            async with asyncio.timeout(WITHIN):
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, ""
        return int(head.split()[1]), head

    async def next(self) -> Frame | None:
        """The next frame, or None at the end of the connection."""
        try:
            async with asyncio.timeout(WITHIN):
                first, second = await self.reader.readexactly(2)
                size = second & 0x7F
                if size == 126:
                    size = struct.unpack("!H", await self.reader.readexactly(2))[0]
                elif size == 127:
                    size = struct.unpack("!Q", await self.reader.readexactly(8))[0]
                return Frame(first & 0x0F, await self.reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def text(self) -> str:
        """The next message; pings are left unanswered."""
        while found := await self.next():
            if found.opcode == TEXT:
                return found.payload.decode()
        raise AssertionError("the connection was ended")

    async def closed(self) -> int:
        """The code that the connection is closed with; `ABORTED` when the connection is ended without."""
        while found := await self.next():
            if found.opcode == CLOSE:
                return int.from_bytes(found.payload[:2], "big") or NO_CODE
        return ABORTED
