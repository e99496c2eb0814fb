"""A client of the gateway, as anybody could write it: websockets and json, nothing of ours."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Message = dict[str, Any]
WITHIN = 30.0
"""Seconds that any answer may take."""
FINAL = "final_result"


def request(request_id: str = "abc123", **fields: Any) -> Message:
    """A request with what every request has; `fields` are added, or replace."""
    return {
        "type": "request",
        "request_id": request_id,
        "user_query": "Please generate some code for me",
        "agent_answer": "function helloWorld() { console.log('Hello, World!'); }",
        **fields,
    }


class Client:
    """One connection. Every wait ends after `WITHIN` seconds with a TimeoutError."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, port: int, token: str | None = None, path: str = "/v1/initiator", headers: Any = None, **options: Any
    ) -> AsyncIterator["Client"]:
        """Connect to a gateway, with a token in the Authorization header if one is given."""
        headers = headers or ({"Authorization": f"Bearer {token}"} if token else {})
        url = f"ws://127.0.0.1:{port}{path}"
        async with connect(url, additional_headers=headers, compression=None, close_timeout=1, **options) as connection:
            yield cls(connection)

    @staticmethod
    def encode(message: Mapping[str, Any]) -> str:
        return json.dumps(message)

    async def send(self, message: Mapping[str, Any] | str | bytes) -> None:
        """Send an object as JSON, or text or bytes as they are."""
        await self.connection.send(self.encode(message) if isinstance(message, Mapping) else message)

    async def receive(self, within: float = WITHIN) -> Message:
        """The next message."""
        async with asyncio.timeout(within):
            frame = await self.connection.recv()
        assert isinstance(frame, str)
        message = json.loads(frame)
        assert isinstance(message, dict)
        return message

    async def ask(self, message: Mapping[str, Any] | str | bytes) -> Message:
        """Send and return the next message that comes."""
        await self.send(message)
        return await self.receive()

    async def receive_until(self, last: Callable[[Message], bool]) -> list[Message]:
        """Everything up to the first message for which `last` is true, with it."""
        messages = [await self.receive()]
        while not last(messages[-1]):
            messages.append(await self.receive())
        return messages

    async def until_type(self, kind: str) -> list[Message]:
        return await self.receive_until(lambda message: message["type"] == kind)

    async def judged(self, message: Mapping[str, Any]) -> list[Message]:
        """Send a request and return its events, up to the verdict."""
        await self.send(message)
        return await self.until_type(FINAL)

    async def resume(self, request_id: str, after_seq: int | None = None) -> list[Message]:
        """Resume and return what comes, up to `resumed` or an error."""
        position = {} if after_seq is None else {"after_seq": after_seq}
        await self.send({"type": "resume", "request_id": request_id, **position})
        return await self.receive_until(lambda message: message["type"] in ("resumed", "error"))

    async def silent(self) -> bool:
        """Whether nothing was on its way to us: the next message is the answer to a ping."""
        return await self.ask({"type": "ping"}) == {"type": "pong"}

    async def closed(self) -> int:
        """Read to the end of the connection and return the close code."""
        try:
            async with asyncio.timeout(WITHIN):
                while True:
                    await self.connection.recv()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


def small_socket(port: int) -> socket.socket:
    """A connection to a local port that holds only a few kilobytes which nobody reads; by default it is megabytes."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


def seqs(messages: list[Message], request_id: str | None = None) -> list[int]:
    """The `seq` of every event (of one request)."""
    return [m["seq"] for m in messages if "seq" in m and request_id in (None, m["request_id"])]


def error(code: str, message: str, request_id: str | None = None) -> Message:
    """An error that isn't to be tried again, whole."""
    about = {} if request_id is None else {"request_id": request_id}
    return {"type": "error", "code": code, "message": message, **about, "retryable": False}
