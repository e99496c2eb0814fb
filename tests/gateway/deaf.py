"""A client of a gateway in another process that asks for more and more and reads nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.gateway.client import small_socket
from tests.gateway.hostile.raw import frame, handshake
from tests.waiting import until

STUCK = 0.3
"""Seconds in which the gateway takes nothing off our hands: it has stopped reading, since we don't read its answers."""
_LOT = 100
"""Questions sent at a time."""


class Deaf:
    """A raw connection. Made by `deaf_client`."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()

    async def shake_hands(self, token: str) -> None:
        await self._loop.sock_sendall(self.sock, handshake(token))
        answer = await self._loop.sock_recv(self.sock, 4096)
        assert answer.startswith(b"HTTP/1.1 101"), answer

    async def flood(self, question: str = '{"type":"get_voters"}') -> None:
        """Ask and ask, until the gateway takes no more. Raises OSError when it ends the connection before."""
        data = frame(question) * _LOT
        while True:
            try:
                async with asyncio.timeout(STUCK):
                    await self._loop.sock_sendall(self.sock, data)
            except TimeoutError:
                return

    async def ask(self, times: int, question: str = '{"type":"get_voters"}') -> None:
        """Ask so many times, and leave it at that."""
        await self._loop.sock_sendall(self.sock, frame(question) * times)

    async def cut_off(self, within: float = 30.0) -> None:
        """Return when the gateway has ended the connection, without reading what it said before."""

        async def reset() -> bool:
            return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

        await until(reset, "the gateway cuts it off", within)

    async def rest(self, within: float = 30.0) -> bytes:
        """Begin to read after all: everything up to the end of the connection."""
        found = bytearray()
        async with asyncio.timeout(within):
            try:
                while data := await self._loop.sock_recv(self.sock, 65_536):
                    found += data
            except ConnectionError:
                pass
        return bytes(found)


@asynccontextmanager
async def deaf_client(port: int, token: str) -> AsyncIterator[Deaf]:
    """A client with little room for what it doesn't read, authenticated."""
    with small_socket(port) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        deaf = Deaf(sock)
        await deaf.shake_hands(token)
        yield deaf
