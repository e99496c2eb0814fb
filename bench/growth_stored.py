"""What a request costs beside so many that were decided before: MAGIs with small and large logs, measured in turn.

It also says what such a log takes: room on the disk, nats-server's memory (it keeps every request's subject in it), and
the time until MAGI is ready again after a stop and after nats-server was killed.
"""

import os
import re
import signal
import sys
import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.floor import VOTERS
from bench.growth_filling import Filling
from bench.growth_series import Plan, Variant, series
from bench.growth_shape import UNLIMITED
from bench.rivals import Rival, magi_rival
from bench.usage import folder_bytes, memory_bytes
from magi.cli.context import Context
from magi.eventstore import subjects
from magi.eventstore.bus import BusError

NO_VIEWS = {"MAGI_POSTGRES_URL": "postgresql://magi@127.0.0.1:9/nowhere"}
"""Without Postgres: the projector would have millions of events to catch up with, beside what is measured."""
MIB = 1 << 20
SAMPLE = 20
"""Histories that are read again and checked."""
_RESTORED = re.compile(r"Restored ([\d,]+) messages for stream '.*MAGI_LOG'(?: in ([\dhms.µn]+))?")


class Filled(Struct, frozen=True):
    """A log that was filled."""

    requests: int
    events: int
    seconds: float
    """That it took."""
    memory: int
    """nats-server's own then, in bytes."""
    crashed: float
    """Seconds from a SIGKILL of nats-server until the log answered again."""


class Held(Struct, frozen=True):
    """What such a log takes after a restart."""

    filled: Filled
    disk: int
    memory: int
    """nats-server's own, before any request."""
    ready: float
    """Seconds until `magi serve` was ready."""
    restored: str
    """How long nats-server says that it took to open the log."""


async def stored(folder: Path, sync: str, plan: Plan, sizes: list[int]) -> None:
    """Measure MAGIs with logs of these sizes in turn. Logs that an earlier run has left in `folder` are used."""
    held, variants = [], []
    for size in sizes:
        note = folder / f"stored-{size}.json"
        if not note.exists():
            async with made(folder, sync, size) as rival:
                note.write_bytes(msgspec.json.encode(await fill(rival, size)))
    async with AsyncExitStack() as stack:
        for size in sizes:
            filled = msgspec.json.decode((folder / f"stored-{size}.json").read_bytes(), type=Filled)
            rival = await stack.enter_async_context(made(folder, sync, size))
            disk, memory = folder_bytes([rival.data / "nats"]), nats_memory(rival)
            held.append(Held(filled, disk, memory, rival.ready, restored(rival.data)))
            variants.append(Variant(f"{size:,}", rival))
        print(held_table(held), flush=True)
        await series("stored requests", variants, plan)
        after = ", ".join(f"{v.name}: {nats_memory(v.rival) / MIB:.0f} MiB" for v in variants)
        print(f"\nnats-server's memory after that load: {after}", flush=True)


def made(folder: Path, sync: str, size: int) -> AbstractAsyncContextManager[Rival]:
    return magi_rival(folder, sync, name=f"stored-{size}", **NO_VIEWS, **UNLIMITED)


async def fill(rival: Rival, requests: int) -> Filled:
    """Have the log hold so many requests."""
    bus = await Context.load(rival.data).connect("orchestrator", "bench")
    began = time.monotonic()
    try:
        filling = Filling(bus)
        events = await filling.fill(requests, VOTERS)
        took = time.monotonic() - began
        await filling.check(SAMPLE)
    finally:
        await bus.close()
    print(f"{requests:,} filled in {took:.0f} s, {events / took:,.0f} events/s", file=sys.stderr, flush=True)
    return Filled(requests, events, took, nats_memory(rival), await crash(rival))


async def crash(rival: Rival) -> float:
    """Kill nats-server, which `magi serve` starts again. Returns the seconds until the log answers."""
    bus = await Context.load(rival.data).connect("operator", "bench")
    try:
        began = time.monotonic()
        os.kill(rival.pids["nats-server"], signal.SIGKILL)
        while True:
            try:
                await bus.request(f"$JS.API.STREAM.INFO.{subjects.LOG}", timeout=1.0)
            except BusError:
                continue
            if bus.reconnects:
                return time.monotonic() - began
    finally:
        await bus.close()


def nats_memory(rival: Rival) -> int:
    return memory_bytes({"nats-server": rival.pids["nats-server"]})


def restored(data: Path) -> str:
    """What nats-server wrote of its last start."""
    found = [
        match for file in sorted(data.glob("logs/nats*.log")) for match in _RESTORED.finditer(file.read_text("utf-8"))
    ]
    return found[-1][2] or "?" if found else "?"


def held_table(held: list[Held]) -> str:
    """In Markdown."""
    lines = [
        "",
        "| stored requests | events | on disk | nats-server's memory, filled | after a restart | a request | "
        "the log answers after `kill -9` of nats-server | `magi serve` ready after a stop | of it, opening the log |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in held:
        requests = one.filled.requests
        cells = [
            f"{requests:,}",
            f"{one.filled.events:,}",
            f"{one.disk / MIB:,.0f} MiB, {one.disk / requests / 1000:.1f} KB a request",
            f"{one.filled.memory / MIB:,.0f} MiB",
            f"{one.memory / MIB:,.0f} MiB",
            f"{one.memory / requests:,.0f} bytes",
            f"{one.filled.crashed:.1f} s",
            f"{one.ready:.1f} s",
            one.restored,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
