"""A TCP proxy between clients and servers, for what a network does to a connection: cut it, or lose one direction."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self


class Proxy:
    """Forwards to ``127.0.0.1:<port>`` while it is entered; to several in turn, passing over those that are down.
    Clients connect to `url`, or to `port`."""

    def __init__(self, *ports: int) -> None:
        self._ports = list(ports)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._losing = False
        self.lost = 0
        """Bytes from the server that were thrown away."""
        self.connections = 0
        """Connections accepted so far."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def lose_answers(self) -> None:
        """Throw away what the server says from now on, until `pass_answers` or `cut`."""
        self._losing = True

    def pass_answers(self) -> None:
        """Let the server be heard again."""
        self._losing = False

    def cut(self) -> None:
        """End every connection now, without a word; new ones are good again."""
        self._losing = False
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(OSError):  # as when the server is down, or a side was cut
            up_reader, up_writer = await self._connect()
            self._writers.add(up_writer)
            requests = asyncio.create_task(self._copy(reader, up_writer))
            try:
                await self._copy_answers(up_reader, writer)
            finally:
                requests.cancel()
                up_writer.transport.abort()
                self._writers.discard(up_writer)
        writer.transport.abort()
        self._writers.discard(writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the server whose turn it is, or to the next one that is up. Raises OSError."""
        for _ in self._ports[1:]:
            self._ports.append(self._ports.pop(0))
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", self._ports[0])
        self._ports.append(self._ports.pop(0))
        return await asyncio.open_connection("127.0.0.1", self._ports[0])

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while (data := await reader.read(65536)) and not writer.is_closing():
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def _copy_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (data := await reader.read(65536)) and not writer.is_closing():
            if self._losing:
                self.lost += len(data)
            else:
                self.pass_on(data)
                writer.write(data)
                await writer.drain()

    def pass_on(self, data: bytes) -> None:
        """Called with what goes on to a client."""
