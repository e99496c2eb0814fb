"""What nats-server takes for a submission that is delivered, put off and acknowledged, beside so many that are put off.

The inbox as it is declared, and nobody but its server and us: a look at the timers of open requests alone.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from nats.aio.msg import Msg

from bench.environment import cpu_seconds
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.consumers import ensure_inbox_consumer
from magi.eventstore.declarations import load_declarations
from magi.eventstore.pull import PullConsumer
from magi.eventstore.streams import apply, inbox_partitions
from tests.servers import NatsServer

A_DAY = b'-NAK {"delay":86400000000000}'
DECIDED_AFTER = 0.03
"""Seconds from delivery to acknowledgement."""
SECONDS = 4.0
RATES = (50, 400)
"""Submissions a second."""


class Inbox:
    """Puts submissions into the inbox and takes them out of it."""

    def __init__(self, bus: Bus, partitions: int) -> None:
        self.bus = bus
        self.partitions = partitions
        self.decided = False
        """Whether what comes is acknowledged soon after it was put off."""
        self._missing = 0
        self._all = asyncio.Event()

    async def take(self, msg: Msg) -> None:
        await self.bus.publish(msg.reply, A_DAY)
        if self.decided:
            self.bus.nc._loop.call_later(DECIDED_AFTER, self._acknowledge, msg.reply)
        self._missing -= 1
        if not self._missing:
            self._all.set()

    def _acknowledge(self, reply: str) -> None:
        self.bus.nc.put(reply, "", b"+ACK", b"")

    async def put(self, number: int, rate: float = 0.0) -> None:
        """Submit so many, so many a second or as fast as it goes, and return when all have been taken."""
        self._missing = number
        self._all.clear()
        waiting = []
        for at in range(number):
            storing = self.bus.store(f"magi.inbox.{at % self.partitions}.submission.bench", b"x" * 600)
            waiting.append(asyncio.ensure_future(storing))
            if rate:
                await asyncio.sleep(1 / rate)
            elif len(waiting) >= 64:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)
        if number:
            await self._all.wait()
        await asyncio.sleep(1)


async def put_off(folder: Path, sync: str, sizes: Sequence[int]) -> None:
    """Print a table with a row for each number of submissions that are put off."""
    with NatsServer(folder / "timers", jetstream=f"sync_interval: {sync}") as server:
        bus = await Bus.connect(server.url, name="bench")
        await apply(bus.nc, load_declarations())
        inbox = Inbox(bus, await inbox_partitions(bus.nc))
        for partition in range(inbox.partitions):
            await ensure_inbox_consumer(bus, partition)
            name = subjects.inbox_consumer(partition)
            await PullConsumer(bus, subjects.INBOX, name, inbox.take, expires=1.0, group=subjects.GROUP).start()
        heads = [f"nats-server, CPU-ms a submission, {rate} a second" for rate in RATES]
        print(f"\n| put off | {' | '.join(heads)} | idle, of a core |\n| --- {'| --- ' * (len(heads) + 1)}|")
        there = 0
        for size in sizes:
            inbox.decided = False
            await inbox.put(size - there)
            there, inbox.decided = size, True
            idle = await _idle(server.pid)
            cells = [f"{await _each(inbox, server.pid, rate, idle):.2f}" for rate in RATES]
            print(f"| {size:,} | {' | '.join(cells)} | {idle:.1%} |", flush=True)
        await bus.close()


async def _idle(pid: int) -> float:
    before = cpu_seconds(pid)
    await asyncio.sleep(SECONDS)
    return (cpu_seconds(pid) - before) / SECONDS


async def _each(inbox: Inbox, pid: int, rate: int, idle: float) -> float:
    number = int(rate * SECONDS)
    before, began = cpu_seconds(pid), time.monotonic()
    await inbox.put(number, rate)
    return (cpu_seconds(pid) - before - idle * (time.monotonic() - began)) * 1000 / number
