"""The power is cut under nats-server while it stores messages: is everything there that it had acknowledged?

Without power nothing is left but what was synced (`disk`). Messages go to the log, to the inbox and to the tasks, as
declared, 64 at a time, and each acknowledgement is noted. nats-server is stopped in the moment before the disk, so that
it acknowledges nothing that it could not store; then it is killed, and started again on what is left.
"""

import asyncio
import os
import random
import signal
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from magi.domain.ids import VoterId
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError, Rejected
from magi.eventstore.declarations import load_declarations
from magi.eventstore.patience import patiently
from magi.eventstore.streams import apply
from tests.chaos.disk import Disk
from tests.servers import NatsServer

IN_FLIGHT = 64
BREATH = 0.02
"""Seconds between two messages of one publisher."""
CYCLES = {"always": (0.3, 3.0)}
"""Seconds between two power cuts, by sync interval; for others `LONG`."""
LEAST_FREE = 0.3
"""Of the disk: on a full one nothing is acknowledged, nor lost. 1 GB is more than comes within one cycle."""
LONG = (1.0, 45.0)
"""The kernel writes back by itself what is 30 s old."""
DECLARED = tuple(declared for declared in load_declarations() if declared.name != subjects.PRESENCE)
SIZES = (100, 500, 5_000, 20_000)
"""Bytes, half as many as are stored: in hexadecimal."""


class Acknowledged(Struct, frozen=True):
    """A message that was acknowledged: where, and what it is."""

    stream: str
    sequence: int
    data: bytes
    at: float
    """On a monotonic clock."""


class Report(Struct):
    sync_interval: str
    seed: int
    cuts: int = 0
    acknowledged: int = 0
    lost: int = 0
    """Or something else in its place."""
    cuts_with_loss: int = 0
    longest_loss: float = 0.0
    """Seconds from the first acknowledgement that was lost to the power cut."""
    streams_gone: list[str] = []
    """Streams that nats-server did not recover at all, with all that had ever been in them; they are made anew."""
    said: str = ""
    """Why not, in its own words."""
    longest_cycle: float = 0.0
    """Seconds: more can't have been lost."""
    not_started: str = ""
    """What nats-server said if it did not start any more on what was left."""
    seconds: float = 0.0

    def __str__(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self), indent=1).decode()


async def run(path: Path, seed: int, seconds: float, sync_interval: str) -> Report:
    """Power cuts for `seconds`, each on a disk with all that was stored before. Raises CalledProcessError."""
    report = Report(sync_interval, seed)
    draw = random.Random(seed)
    begun = time.monotonic()
    kept: list[Acknowledged] = []
    with Disk(path) as disk:
        server = NatsServer(disk.path / "nats", jetstream=f"sync_interval: {sync_interval}", config="max_payload: 4MB")
        try:
            server.start()
            async with _bus(server) as bus:
                await apply(bus.nc, DECLARED)
            disk.sync()  # the streams are older than what is stored in them
            while time.monotonic() - begun < seconds and disk.free > LEAST_FREE:
                cycle = draw.uniform(*CYCLES.get(sync_interval, LONG))
                acknowledged, cut_at = await _until_cut(server, disk, draw.randrange(10**9), cycle)
                report.cuts += 1
                report.acknowledged += len(acknowledged)
                report.longest_cycle = max(report.longest_cycle, round(cycle, 1))
                try:
                    server.start()
                except (RuntimeError, AssertionError) as error:
                    report.not_started = str(error)
                    break
                async with _bus(server) as bus:
                    made = [applied.stream for applied in await apply(bus.nc, DECLARED) if applied.action == "created"]
                    there = [one async for one in _there(bus, acknowledged)]
                    if made:
                        report.streams_gone += made
                        report.said = next((line for line in server.log.splitlines() if "Error recreating" in line), "")
                        kept = [one for one in kept if one.stream not in made]
                    _note(report, acknowledged, there, cut_at)
                    kept += there
            if not report.not_started:
                async with _bus(server) as bus:  # what outlived its own power cut must outlive the others
                    _note(report, kept, [one async for one in _there(bus, kept)], time.monotonic())
        finally:
            server.kill()
    report.seconds = round(time.monotonic() - begun, 1)
    return report


def _note(report: Report, acknowledged: list[Acknowledged], there: list[Acknowledged], cut_at: float) -> None:
    found = {(one.stream, one.sequence) for one in there}
    lost = [one for one in acknowledged if (one.stream, one.sequence) not in found]
    report.lost += len(lost)
    report.cuts_with_loss += bool(lost)
    if lost:
        report.longest_loss = max(report.longest_loss, round(cut_at - min(one.at for one in lost), 3))


async def _until_cut(server: NatsServer, disk: Disk, seed: int, seconds: float) -> tuple[list[Acknowledged], float]:
    """Store messages for `seconds`, then cut the power, and bring it back: what was acknowledged, and when it was cut.

    No acknowledgement is heard after the cut but those that were on their way.
    """
    acknowledged: list[Acknowledged] = []
    async with _bus(server) as bus:
        publishers = [
            asyncio.create_task(_publish(bus, random.Random(seed + n), acknowledged)) for n in range(IN_FLIGHT)
        ]
        try:
            await asyncio.sleep(seconds)
            os.kill(server.pid, signal.SIGSTOP)
            disk.cut()
            cut_at = time.monotonic()
            await asyncio.sleep(0.05)  # what it had said before it was stopped
        finally:
            for publisher in publishers:
                publisher.cancel()
            await asyncio.gather(*publishers, return_exceptions=True)
    server.kill()
    disk.back()
    return acknowledged, cut_at


async def _publish(bus: Bus, draw: random.Random, acknowledged: list[Acknowledged]) -> None:
    while True:
        data = draw.randbytes(draw.choice(SIZES)).hex().encode()
        event = f"{subjects.LOG_PREFIX}chaos.{uuid.UUID(int=draw.getrandbits(128))}"
        subject = draw.choice((event, "magi.inbox.0.ballot.a", subjects.tasks(VoterId("a"))))
        try:
            ack = await bus.store(subject, data)
        except (BusError, Rejected):  # the latter: a stream is full, or fails with its disk
            await asyncio.sleep(BREATH)
            continue
        acknowledged.append(Acknowledged(ack.stream, ack.seq, data, time.monotonic()))
        await asyncio.sleep(BREATH)


async def _there(bus: Bus, wanted: Iterable[Acknowledged]) -> AsyncIterator[Acknowledged]:
    """Those that are stored, as they were acknowledged."""
    rest = list(wanted)
    while rest:
        chunk, rest = rest[:IN_FLIGHT], rest[IN_FLIGHT:]
        for one, found in zip(chunk, await asyncio.gather(*(_stored(bus, one) for one in chunk)), strict=True):
            if found == one.data:
                yield one


async def _stored(bus: Bus, one: Acknowledged) -> bytes:
    query = msgspec.json.encode({"seq": one.sequence})
    answer = await patiently(lambda: bus.request(f"$JS.API.STREAM.MSG.GET.{one.stream}", query), one.stream)
    message = msgspec.json.decode(answer, type=_Get).message
    return message.data if message else b""


class _Stored(Struct):
    data: bytes


class _Get(Struct):
    message: _Stored | None = None


@asynccontextmanager
async def _bus(server: NatsServer) -> AsyncIterator[Bus]:
    bus = await Bus.connect(server.url, name="power-cut", attempts=10)
    try:
        yield bus
    finally:
        await bus.close()
