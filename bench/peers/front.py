"""The WebSocket front that every peer gets: as the floor's, `websockets` and uvloop, and nothing checked.

A front knows the requests that are under way and who waits for them. What is told of a request goes to its client in
the order in which it was told, numbered as the client expects it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

VOTERS = ("v1", "v2", "v3")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class _Waiting:
    def __init__(self, outbox: asyncio.Queue[bytes]) -> None:
        self.outbox = outbox
        self.told = 0


class Front:
    """`accept(request_id, frame)` takes a request over; `tell` says what became of it, on the event loop's thread."""

    def __init__(self, accept: Callable[[str, bytes], Awaitable[None]]) -> None:
        self._accept = accept
        self._waiting: dict[str, _Waiting] = {}

    def tell(self, request_id: str, type_: str, **fields: str) -> None:
        """One event, numbered behind the last one. `final_result` ends the request; what comes later is dropped."""
        waiting = self._waiting.get(request_id)
        if waiting is None:
            return
        waiting.told += 1
        waiting.outbox.put_nowait(_encode({"type": type_, "request_id": request_id, "seq": waiting.told, **fields}))
        if type_ == "final_result":
            del self._waiting[request_id]

    async def run(self, port: int, ready: Path) -> None:
        """Serve on a port that several processes may share, for ever; `ready` is written once it does."""
        async with serve(self._on_connection, "127.0.0.1", port, compression=None, reuse_port=True):
            ready.touch()  # noqa: ASYNC240 - once, at the start
            await asyncio.Event().wait()

    async def _on_connection(self, ws: ServerConnection) -> None:
        outbox: asyncio.Queue[bytes] = asyncio.Queue()
        writer = asyncio.create_task(_write(ws, outbox))
        try:
            async for frame in ws:
                data = frame.encode() if isinstance(frame, str) else frame
                request_id = _decode(data)["request_id"]
                self._waiting[request_id] = _Waiting(outbox)
                await self._accept(request_id, data)
        finally:
            writer.cancel()


async def _write(ws: ServerConnection, outbox: asyncio.Queue[bytes]) -> None:
    try:
        while True:
            await ws.send(await outbox.get(), text=True)
    except ConnectionClosed:
        return  # the client has gone: nobody is told
