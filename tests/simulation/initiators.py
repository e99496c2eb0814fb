"""Initiators that don't let go: they come back, send again what nobody answered, and resume what they had begun."""

import asyncio
import contextlib
import random
from typing import Any

import msgspec
from msgspec import Struct
from websockets.exceptions import ConnectionClosed

from tests.simulation.sockets import Refused, _End, connect

PATIENCE = 4.0
"""Seconds without an answer after which a request is sent again."""
RETRY = 0.2

_encode = msgspec.json.Encoder().encode


class Request(Struct, frozen=True, tag="request"):
    """What an Initiator asks."""

    request_id: str
    user_query: str
    agent_answer: str
    voter_list: tuple[str, ...]
    strategy: Any = "minority_rule"
    decide: str = "all"
    timeout_ms: int = 60_000


class Asked(Struct):
    """A request and what its Initiator saw of it."""

    initiator: str
    request: Request
    frames: list[dict[str, Any]] = []
    """Its events, as they came last: those of a replay stand for what they repeat."""
    last: int = 0
    final: bool = False
    sent: int = 0
    begun: int = 0
    """How often its events began from the first: at most once for each time that it was sent."""
    send_at: float = 0.0
    problems: list[str] = []


class Initiator:
    def __init__(self, name: str, token: str, gateways: list[str], draw: random.Random) -> None:
        self.name = name
        self.asked: dict[str, Asked] = {}
        self.problems: list[str] = []
        self.connections = 0
        self.resumed = 0
        self._token = token
        self._gateways = gateways
        self._draw = draw
        self._wake = asyncio.Event()
        self.connection: _End | None = None

    @property
    def waiting(self) -> int:
        return sum(1 for one in self.asked.values() if not one.final)

    def ask(self, request: Request) -> None:
        self.asked[request.request_id] = Asked(self.name, request)
        self._wake.set()

    def drop(self) -> None:
        """Its connection breaks."""
        if self.connection:
            self.connection.socket.over()

    async def run(self) -> None:
        while True:
            try:
                self.connection = await connect(self._draw.choice(self._gateways), self._token)
                await self._talk(self.connection)
            except (Refused, ConnectionClosed):
                pass
            self.connection = None
            await asyncio.sleep(RETRY)

    async def _talk(self, connection: _End) -> None:
        self.connections += 1
        for one in self.asked.values():
            one.send_at = 0.0
            if one.last and not one.final:
                self.resumed += 1
                resume = {"type": "resume", "request_id": one.request.request_id, "after_seq": one.last}
                await connection.send(_encode(resume))
        sending = asyncio.create_task(self._send(connection))
        try:
            while True:
                self._receive(msgspec.json.decode(await connection.recv()))
        finally:
            sending.cancel()

    async def _send(self, connection: _End) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            waiting = [one for one in self.asked.values() if not one.last]
            for one in waiting:
                if one.send_at <= now:
                    one.sent += 1
                    one.send_at = now + PATIENCE
                    await connection.send(_encode(one.request))
            self._wake.clear()
            due = min((one.send_at for one in waiting), default=now + 3600)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(0.01, due - now))

    def _receive(self, frame: dict[str, Any]) -> None:
        one = self.asked.get(frame.get("request_id", ""))
        match frame["type"]:
            case "error":
                if not frame.get("retryable"):
                    self.problems.append(f"{self.name} was told {frame}")
                elif one:
                    one.send_at = asyncio.get_running_loop().time() + frame.get("retry_after_ms", 0) / 1000 + 0.2
                    self._wake.set()
            case "resumed":
                if one is None or frame["last_seq"] < one.last:
                    self.problems.append(f"{self.name} had seen more than {frame}")
            case _ if one is None:
                self.problems.append(f"{self.name} asked for nothing like {frame}")
            case kind:
                self._event(one, frame, kind)

    def _event(self, one: Asked, frame: dict[str, Any], kind: str) -> None:
        seq = frame["seq"]
        if seq == 1 and one.begun < one.sent:
            one.begun += 1
            one.last = 0
        if seq != one.last + 1:
            one.problems.append(f"saw {seq} after {one.last}")
        one.last = seq
        del one.frames[seq - 1 :]
        one.frames.append(frame)
        one.final = one.final or kind == "final_result"
