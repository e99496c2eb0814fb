"""Asks nats-server's monitoring: as little HTTP as that needs, and past any proxy that the environment names."""

import asyncio

import msgspec


class Varz(msgspec.Struct, frozen=True):
    """What we read of /varz."""

    config_load_time: str
    """When the configuration was last read and accepted (RFC 3339); it changes with each reload that took."""


async def get(port: int, path: str, within: float = 5.0) -> tuple[int, bytes]:
    """Status and body of `http://127.0.0.1:<port><path>`. Raises OSError, TimeoutError, ValueError (no HTTP)."""
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            # HTTP/1.0: the answer ends with the connection, and comes in one piece.
            writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
            answer = await reader.read(-1)
        finally:
            writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    if len(words) < 2:
        raise ValueError(f"no HTTP answer from port {port}")
    return int(words[1]), body


async def config_load_time(port: int) -> str:
    """See Varz. Raises OSError, TimeoutError, ValueError."""
    _, body = await get(port, "/varz")
    return msgspec.json.decode(body, type=Varz).config_load_time
