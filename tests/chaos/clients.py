"""Initiators that don't let go: they reconnect, send again what nobody acknowledged, and resume what they had begun.

Each keeps what it saw, in runs: a run begins with a request's first event, or with what follows the last one seen.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

RETRY = 0.1
"""Seconds until the next try to connect."""
PATIENCE = 4.0
"""Seconds without an answer after which a request is sent again."""


class Request(Struct, frozen=True, tag="request"):
    """What an Initiator asks."""

    request_id: str
    user_query: str
    agent_answer: str
    voter_list: tuple[str, ...]
    strategy: str | dict[str, Any] = "minority_rule"
    decide: str = "all"
    timeout_ms: int = 60_000


class _Resume(Struct, frozen=True, tag="resume"):
    request_id: str
    after_seq: int


class _Frame(Struct, frozen=True):
    """What is looked at of a frame."""

    type: str
    request_id: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    code: str = ""
    retryable: bool = False
    last_seq: int = 0


class Asked(Struct):
    """One request, and what its Initiator saw of it."""

    request: Request
    initiator: str
    runs: list[list[bytes]] = []
    """The frames of its events as they came, in runs."""
    last: int = 0
    """The `seq` of the last one."""
    final: bool = False
    sent: int = 0
    """How often it was sent."""
    asked_at: float = 0.0
    """When it was sent last, on a monotonic clock."""
    began: float = 0.0
    took: float = 0.0
    """Seconds from the first sending to the verdict."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Frame).decode


class Initiator:
    """One Initiator on one connection at a time. `run` it in a task."""

    def __init__(self, name: str, token: str, url: Callable[[], str]) -> None:
        self.name = name
        self.asked: dict[str, Asked] = {}
        self.problems: list[str] = []
        """What a client must never be told."""
        self.connections = 0
        self.resumed = 0
        self.sent_again = 0
        self._token = token
        self._url = url
        self._connection: ClientConnection | None = None

    @property
    def waiting(self) -> int:
        """Requests without a verdict."""
        return sum(1 for asked in self.asked.values() if not asked.final)

    async def ask(self, request: Request) -> None:
        """Submit a request, now or as soon as there is a connection."""
        asked = self.asked[request.request_id] = Asked(request, self.name, began=time.monotonic())
        await self._send(asked)

    async def run(self) -> None:
        """Until cancelled."""
        watch = asyncio.create_task(self._watch())
        try:
            while True:
                try:
                    headers = {"Authorization": f"Bearer {self._token}"}
                    async with connect(self._url(), additional_headers=headers, compression=None) as connection:
                        await self._talk(connection)
                except (OSError, WebSocketException, TimeoutError):
                    pass
                self._connection = None
                await asyncio.sleep(RETRY)
        finally:
            watch.cancel()

    async def _talk(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.connections += 1
        for asked in self.asked.values():
            if asked.final:
                continue
            if asked.last:
                self.resumed += 1
                asked.runs.append([])
                await connection.send(_encode(_Resume(asked.request.request_id, asked.last)), text=True)
            else:
                await self._send(asked)
        async for frame in connection:
            assert isinstance(frame, str)
            self._receive(frame.encode())

    async def _send(self, asked: Asked) -> None:
        asked.asked_at = time.monotonic()
        if self._connection is None:
            return
        self.sent_again += asked.sent > 0
        asked.sent += 1
        try:
            await self._connection.send(_encode(asked.request), text=True)
        except (OSError, WebSocketException):
            return  # it is sent again on the next connection

    async def _watch(self) -> None:
        """Send again what nobody has answered for too long: its answer may have been lost with a gateway."""
        while True:
            await asyncio.sleep(PATIENCE / 10)
            for asked in list(self.asked.values()):
                if not asked.last and time.monotonic() - asked.asked_at > PATIENCE:
                    await self._send(asked)

    def _receive(self, data: bytes) -> None:
        frame = _decode(data)
        asked = self.asked.get(frame.request_id) if isinstance(frame.request_id, str) else None
        if frame.type == "error":
            if not frame.retryable:
                self.problems.append(data.decode())
            elif asked:
                asked.asked_at = time.monotonic() - PATIENCE  # it is sent again in a moment
            return
        if asked is None:
            self.problems.append(f"about nothing that was asked: {data.decode()}")
            return
        if frame.type == "resumed":
            if frame.last_seq < asked.last:
                self.problems.append(f"resumed before what was seen ({asked.last}): {data.decode()}")
            return
        assert isinstance(frame.seq, int)
        if frame.seq == 1 or not asked.runs:
            asked.runs.append([])
        asked.runs[-1].append(data)
        asked.last = frame.seq
        if frame.type == "final_result" and not asked.final:
            asked.final = True
            asked.took = time.monotonic() - asked.began
