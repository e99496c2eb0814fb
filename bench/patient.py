"""Initiators that go on whatever is killed or restarted: what they see of it.

    MAGI_TOKEN=… python -m bench.patient URL CONNECTIONS SECONDS      prints one line of JSON

Each has one request under way. Who is cut off connects again and sends the same request again, as clients are told to;
an error that the protocol calls passing is waited out. Every request must come to its verdict with its events complete
and in order.
"""

import asyncio
import os
import sys
import time
import uuid
from collections import Counter

import msgspec
import uvloop
from msgspec import Struct
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from bench.load import ANSWER, QUERY

PASSING = frozenset({"unavailable", "overloaded", "rate_limited", "internal"})


class Seen(Struct):
    requests: int = 0
    """That came to their verdicts."""
    cut_off: int = 0
    refused: int = 0
    """Tries to connect that failed."""
    errors: Counter[str] = Counter()
    decided_by: Counter[str] = Counter()
    out_of_order: int = 0
    longest_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    longest_without_a_verdict_s: float = 0.0


class _Event(Struct):
    type: str
    seq: int = 0
    code: str = ""
    decided_by: str = ""


_decode = msgspec.json.Decoder(_Event).decode


class Run:
    def __init__(self) -> None:
        self.seen = Seen(errors=Counter(), decided_by=Counter())
        self.latencies: list[float] = []
        self.verdicts: list[float] = []

    async def one(self, url: str, token: str, end: float) -> None:
        waiting: dict[str, str] | None = None
        sent = 0.0
        while time.perf_counter() < end or waiting:
            try:
                async with connect(
                    url, additional_headers={"Authorization": f"Bearer {token}"}, compression=None
                ) as ws:
                    while time.perf_counter() < end or waiting:
                        if waiting is None:
                            waiting = {
                                "type": "request",
                                "request_id": uuid.uuid4().hex,
                                "user_query": QUERY,
                                "agent_answer": ANSWER,
                            }
                            sent = time.perf_counter()
                        await ws.send(msgspec.json.encode(waiting), text=True)
                        if await self._verdict(ws):
                            now = time.perf_counter()
                            self.latencies.append(now - sent)
                            self.verdicts.append(now)
                            waiting = None
                        else:
                            await asyncio.sleep(0.2)
            except (ConnectionClosed, TimeoutError):
                self.seen.cut_off += 1
            except (OSError, WebSocketException):
                self.seen.refused += 1
                await asyncio.sleep(0.1)

    async def _verdict(self, ws) -> bool:  # type: ignore[no-untyped-def]
        expected = 1
        while True:
            event = _decode(await asyncio.wait_for(ws.recv(), 90))
            if event.type == "error":
                self.seen.errors[event.code] += 1
                if event.code not in PASSING:
                    raise AssertionError(f"error {event.code}")
                return False
            if event.seq != expected:
                self.seen.out_of_order += 1
            expected = event.seq + 1
            if event.type == "final_result":
                self.seen.decided_by[event.decided_by] += 1
                return True

    async def all(self, url: str, connections: int, seconds: float, token: str) -> Seen:
        began = time.perf_counter()
        await asyncio.gather(*(self.one(url, token, began + seconds) for _ in range(connections)))
        self.latencies.sort()
        self.verdicts.sort()
        gaps = [after - before for before, after in zip(self.verdicts, self.verdicts[1:], strict=False)]
        seen = self.seen
        seen.requests = len(self.latencies)
        seen.longest_s = round(self.latencies[-1], 2)
        seen.p50_ms = round(self.latencies[len(self.latencies) // 2] * 1000, 1)
        seen.p99_ms = round(self.latencies[int(len(self.latencies) * 0.99)] * 1000, 1)
        seen.longest_without_a_verdict_s = round(max(gaps, default=0.0), 2)
        return seen


if __name__ == "__main__":
    found = uvloop.run(Run().all(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), os.environ.get("MAGI_TOKEN", "")))
    print(msgspec.json.encode(found).decode())
