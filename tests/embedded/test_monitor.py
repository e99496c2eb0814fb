import asyncio

import pytest

from magi.embedded.monitor import get
from magi.embedded.ports import free_port
from tests.servers import NatsServer


async def test_it_gets_status_and_body(nats_server: NatsServer) -> None:
    assert await get(nats_server.monitor_port, "/healthz?js-server-only=true") == (200, b'{"status":"ok"}')
    status, _ = await get(nats_server.monitor_port, "/nothing")
    assert status == 404


async def test_nobody_listening_is_an_error() -> None:
    with pytest.raises(OSError):
        await get(free_port(), "/varz")


@pytest.mark.parametrize("answer", [b"", b"\r\n\r\n", b"SSH-2.0\r\n"])
async def test_something_else_listening_is_an_error(answer: bytes) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        with pytest.raises(ValueError, match="no HTTP"):
            await get(server.sockets[0].getsockname()[1], "/varz")


async def test_an_answer_that_does_not_come_is_an_error() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        with pytest.raises(TimeoutError):
            await get(server.sockets[0].getsockname()[1], "/varz", within=0.05)
