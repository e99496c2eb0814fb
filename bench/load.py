"""A closed loop of Initiators: so many connections, each with one request under way, for so many seconds.

    python -m bench.load URL CONNECTIONS SECONDS [TOKEN]      prints one line of JSON

`a_number` is the other kind: so many requests, however long they take.

Every client checks that it gets its request's events complete and in order: a fast wrong answer counts for nothing.
"""

import asyncio
import sys
import time
import uuid

import msgspec
import uvloop
from msgspec import Struct
from websockets.asyncio.client import ClientConnection, connect

WARM_UP = 1.5
"""Seconds before anything is counted."""
QUERY = "Write a function that returns the sum of two numbers, and explain in a sentence how it works."
ANSWER = "```python\ndef add(a: int, b: int) -> int:\n    return a + b\n```\n" + "It adds its arguments. " * 12


class Measured(Struct):
    """`latencies` in seconds, from sending a request to its final result."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


class Asking(Struct, frozen=True):
    """What is submitted, again and again."""

    answer: str = ANSWER
    voters: tuple[str, ...] = ()
    """The panel, by name; empty: the default one."""
    panel: int = 3
    """How many are on it: each gives two events."""


ONE = Asking()


class _Event(Struct):
    type: str
    seq: int = 0


_decode = msgspec.json.Decoder(_Event).decode
_encode = msgspec.json.Encoder().encode


async def one_client(url: str, token: str, begin: float, end: float, latencies: list[float]) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with connect(url, additional_headers=headers, compression=None) as ws:
        while (sent := time.perf_counter()) < end:
            latency = await ask(ws)
            if sent >= begin and sent + latency <= end:
                latencies.append(latency)


async def ask(ws: ClientConnection, asking: Asking = ONE) -> float:
    """One request; returns the seconds until its verdict. Raises AssertionError when an event is missing."""
    request = {"type": "request", "request_id": uuid.uuid4().hex, "user_query": QUERY, "agent_answer": asking.answer}
    if asking.voters:
        request["voter_list"] = asking.voters  # type: ignore[assignment]
    sent = time.perf_counter()
    await ws.send(_encode(request), text=True)
    expected = 1
    while True:
        last = await ws.recv()
        event = _decode(last)
        if event.seq != expected:
            raise AssertionError(f"expected seq {expected}: {last!r}")
        expected += 1
        if event.type == "final_result":
            break
    if expected != 3 + 2 * asking.panel:
        raise AssertionError(f"{expected - 1} events where {2 + 2 * asking.panel} were expected: {last!r}")
    return time.perf_counter() - sent


async def measure(url: str, connections: int, seconds: float, token: str) -> Measured:
    begin = time.perf_counter() + WARM_UP
    end = begin + seconds
    latencies: list[float] = []
    await asyncio.gather(*(one_client(url, token, begin, end, latencies) for _ in range(connections)))
    return _measured(latencies, seconds)


def _measured(latencies: list[float], seconds: float) -> Measured:
    latencies.sort()

    def at(share: float) -> float:
        return latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1000

    return Measured(len(latencies), seconds, at(0.5), at(0.99))


async def a_number(url: str, connections: int, number: int, token: str, asking: Asking = ONE) -> Measured:
    """`number` requests over all connections."""
    latencies: list[float] = []
    left = iter(range(number))
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def client() -> None:
        async with connect(url, additional_headers=headers, compression=None) as ws:
            for _ in left:
                latencies.append(await ask(ws, asking))

    begin = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(connections)))
    return _measured(latencies, time.perf_counter() - begin)


if __name__ == "__main__":
    result = uvloop.run(measure(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:5] or [""]))
    print(msgspec.json.encode(result).decode())
