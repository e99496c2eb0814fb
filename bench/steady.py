"""A closed loop for so many seconds, of which those at the beginning don't count: for pipelines of any speed.

    python -m bench.steady URL CONNECTIONS WARM_UP SECONDS [TOKEN]      prints one line of JSON

A request counts when its verdict comes within the window, whenever it was sent: where one takes half of the window,
counting those that were sent within it too would tell of half of them. The warm-up lasts until there were as many
verdicts as connections, and the window until there were three times as many, but neither more than three times as long
as asked for: a slow pipeline that takes all at once decides them all at once, too. The requests and checks are those of
`bench.load`.
"""

import asyncio
import sys
import time

import msgspec
import uvloop
from msgspec import Struct
from websockets.asyncio.client import connect

from bench.load import ask

AT_MOST = 3
"""Times as long as asked for."""


class Steady(Struct):
    """Of one window; where no verdict came in it, `requests` and both latencies are 0."""

    requests: int
    """Whose verdict came in the window."""
    seconds: float
    p50_ms: float
    p99_ms: float
    all_requests: int
    """From the first to the last, those before and after the window too: what processor time is divided by."""


async def measure(url: str, connections: int, warm_up: float, seconds: float, token: str) -> Steady:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    verdicts: list[tuple[float, float]] = []
    """When each came, and the seconds that it took."""
    over = False

    async def client() -> None:
        async with connect(url, additional_headers=headers, compression=None) as ws:
            while not over:
                latency = await ask(ws)
                verdicts.append((time.perf_counter(), latency))

    async def pass_by(least: float, number: int) -> float:
        """Wait for `least` seconds and `number` more verdicts: the time then."""
        start, target = time.perf_counter(), len(verdicts) + number
        await asyncio.sleep(least)
        limit = start + AT_MOST * least
        while len(verdicts) < target and time.perf_counter() < limit:  # noqa: ASYNC110 - ten looks a second cost nothing
            await asyncio.sleep(0.1)
        return time.perf_counter()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(client())
        begin = await pass_by(warm_up, connections)
        end = await pass_by(seconds, 3 * connections)
        over = True
    latencies = sorted(latency for at, latency in verdicts if begin <= at < end)

    def at(share: float) -> float:
        return latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1000 if latencies else 0.0

    return Steady(len(latencies), end - begin, at(0.5), at(0.99), len(verdicts))


if __name__ == "__main__":
    address, connections, warm_up, seconds = sys.argv[1:5]
    result = uvloop.run(measure(address, int(connections), float(warm_up), float(seconds), "".join(sys.argv[5:6])))
    print(msgspec.json.encode(result).decode())
