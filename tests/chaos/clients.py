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

TICK = 0.02
"""Seconds between two looks at what is due."""
RETRY = 0.1
"""Seconds until the next try to connect."""
PATIENCE = 4.0
"""Seconds without an answer after which a request is sent again."""
WINDOW = 50
"""Requests open at one time; a gateway takes 64 a connection. The others wait here."""


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
    retryable: bool = False
    retry_after_ms: int = 0
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
    send_at: float = 0.0
    """When it is to be sent (again), on a monotonic clock, while nothing was seen of it."""
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

    def ask(self, request: Request) -> None:
        """Submit a request as soon as there is a connection, and room."""
        self.asked[request.request_id] = Asked(request, self.name, began=time.monotonic())

    async def run(self) -> None:
        """Until cancelled."""
        sending = asyncio.create_task(self._send_what_is_due())
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
            sending.cancel()

    async def _talk(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.connections += 1
        for asked in self.asked.values():
            asked.send_at = 0.0
            if asked.last and not asked.final:
                self.resumed += 1
                asked.runs.append([])
                await connection.send(_encode(_Resume(asked.request.request_id, asked.last)), text=True)
        async for frame in connection:
            assert isinstance(frame, str)
            self._receive(frame.encode())

    async def _send_what_is_due(self) -> None:
        """Send what was not sent, and again what nobody has answered for too long."""
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            open_now = sum(1 for one in self.asked.values() if not one.final and (one.last or one.send_at > now))
            due = [one for one in self.asked.values() if not one.last and one.send_at <= now]
            for asked in due[: max(0, WINDOW - open_now)]:
                await self._send(asked)

    async def _send(self, asked: Asked) -> None:
        if self._connection is None:
            return
        asked.send_at = time.monotonic() + PATIENCE
        self.sent_again += asked.sent > 0
        asked.sent += 1
        try:
            await self._connection.send(_encode(asked.request), text=True)
        except (OSError, WebSocketException):
            return  # it is sent again on the next connection

    def _receive(self, data: bytes) -> None:
        frame = _decode(data)
        asked = self.asked.get(frame.request_id) if isinstance(frame.request_id, str) else None
        if frame.type == "error":
            if not frame.retryable:
                self.problems.append(data.decode())
            elif asked:
                asked.send_at = time.monotonic() + frame.retry_after_ms / 1000
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
