"""What clients that don't read cost those that do: latency of well-behaved ones with and without them, in one run.

    python -m bench.slow_readers [--deaf 50] [--clients 4] [--seconds 6] [--rounds 3]

All of `magi serve` runs; the well-behaved clients are a process of their own (`bench.load`), each with one request
under way. The others ask for more than the gateway can get rid of and read nothing; whoever is cut off comes back at
once and does it again. With and without take turns; medians of the rounds are quoted, and the
ratios. Also prints how long it took to cut them off, and the gateway's memory beside its bound.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import psutil
import uvloop

from bench.environment import describe
from bench.load import Measured
from bench.rivals import Rival, magi_rival
from magi.cli.context import Context
from magi.domain import voter_commands as voters
from magi.eventstore.directory import change_voter, directory_log
from magi.eventstore.presence import now_ms
from magi.gateway.settings import Limits
from tests.gateway.deaf import deaf_client
from tests.waiting import until

MANY = 60
"""Voters with long descriptions, so that the answer to a short question is 60 KB."""
QUESTIONS = 100
"""Their answers are 6 MB: a queue, and what the kernel takes besides."""
ROUND = 8.5
"""Seconds after which the gateway cuts a client off, about: all come within that time."""


class Crowd:
    """Clients that don't read, until it is left. They come one after the other, so that they are cut off and come back
    one after the other, too."""

    def __init__(self, port: int, token: str, count: int) -> None:
        self._port = port
        self._token = token
        self._count = count
        self._tasks: list[asyncio.Task[None]] = []
        self.deaf = 0
        """How many have asked and don't read."""
        self.cut_after: list[float] = []
        """Seconds from a client's last question to the end of its connection."""

    async def __aenter__(self) -> "Crowd":
        self._tasks = [asyncio.create_task(self._one(ROUND * n / self._count)) for n in range(self._count)]
        await until(self._all_came, "all have come", 60)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _all_came(self) -> bool:
        failed = [task for task in self._tasks if task.done()]
        if failed:
            failed[0].result()
        return self.deaf >= self._count - 2  # the first ones may be on their way back

    async def _one(self, after: float) -> None:
        await asyncio.sleep(after)
        while True:
            async with deaf_client(self._port, self._token) as deaf:
                await deaf.ask(QUESTIONS)
                began = time.monotonic()
                self.deaf += 1
                await deaf.cut_off()
                self.deaf -= 1
                self.cut_after.append(time.monotonic() - began)


async def fill_the_directory(data: Path) -> None:
    async with Context.load(data).bus("operator") as bus:
        store = directory_log(bus)
        await store.start()
        for number in range(MANY):
            name = f"long-{number}"
            await change_voter(store, voters.Register(name, "websocket", "x" * 1000, "nobody", "", "bench", now_ms()))


async def load(rival: Rival, clients: int, seconds: float) -> Measured:
    arguments = ["-m", "bench.load", rival.url, str(clients), str(seconds), rival.token]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError("the load failed")
    return msgspec.json.decode(out, type=Measured)


async def main(deaf: int, clients: int, seconds: float, rounds: int) -> None:
    print(describe(deaf=deaf, clients=clients, seconds=seconds, rounds=rounds))
    with tempfile.TemporaryDirectory() as folder:
        async with magi_rival(Path(folder), "2m") as magi:
            await fill_the_directory(Path(folder) / "magi")
            gateway = psutil.Process(magi.pids["gateway"])
            port = int(magi.url.rpartition(":")[2])
            await load(magi, clients, 1.0)
            before = most = gateway.memory_info().rss
            found: dict[str, list[Measured]] = {"alone": [], "beside": []}
            cut_after: list[float] = []
            for number in range(rounds):
                for case in ("alone", "beside") if number % 2 == 0 else ("beside", "alone"):
                    if case == "alone":
                        found[case].append(await load(magi, clients, seconds))
                        continue
                    async with Crowd(port, magi.token, deaf) as crowd:
                        found[case].append(await load(magi, clients, seconds))
                        most = max(most, gateway.memory_info().rss)
                    cut_after += crowd.cut_after
            report(found, cut_after, (most - before) >> 20, deaf)


def report(found: dict[str, list[Measured]], cut_after: list[float], grown_mib: int, deaf: int) -> None:
    print(f"\n{'':8} {'req/s':>7} {'p50 ms':>7} {'p99 ms':>7}")
    for case, measured in found.items():
        rate = statistics.median(m.requests / m.seconds for m in measured)
        p50, p99 = (statistics.median(getattr(m, name) for m in measured) for name in ("p50_ms", "p99_ms"))
        print(f"{case:8} {rate:7.0f} {p50:7.1f} {p99:7.1f}")
    ratios = [with_.p99_ms / alone.p99_ms for alone, with_ in zip(found["alone"], found["beside"], strict=True)]
    print(f"ratio of the p99: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), promised: < 2")
    if cut_after:
        print(f"{len(cut_after)} cut off, after {min(cut_after):.1f} to {max(cut_after):.1f} s, promised: <= 10")
    limit = Limits().outbound_bytes >> 20
    print(f"the gateway grew by {grown_mib} MiB; {deaf} queues of {limit} MiB may hold {deaf * limit}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deaf", type=int, default=50)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    uvloop.run(main(options.deaf, options.clients, options.seconds, options.rounds))
