"""Starts and take-overs beside so many requests that have no verdict yet, and what those take.

Two MAGIs are up, one with few open requests, one with many. Each time it is seen how long it takes until new requests
are answered, and until ballots on some of the open ones, sent at once, have led to verdicts.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from msgspec import Struct
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from bench.environment import cpu_by_part
from bench.growth_opening import Opened, decide, open_requests, some
from bench.growth_series import Plan, Variant, series
from bench.growth_shape import UNLIMITED
from bench.growth_stored import NO_VIEWS
from bench.load import ask
from bench.rivals import Rival, magi_rival
from bench.usage import memory_bytes
from magi.cli.context import read_note as read_serve_note
from magi.cli.local_token import token_file
from magi.embedded.runfile import read_note
from tests.waiting import until

MIB = 1 << 20
NEW = 64
"""New requests at once: so many are in every partition."""
WITHIN = 300.0
"""Seconds after which something is wrong."""
WATCHED = 25.0
"""Seconds of requests one after the other, for the longest of them: what is done every ten seconds shows in it."""


class Back(Struct, frozen=True):
    """Seconds from the blow."""

    requests: float
    """Until new requests had been answered."""
    ballots: float
    """Until ballots on open ones had led to verdicts."""


class Seen(Struct):
    """Of one MAGI."""

    opened: int
    seconds: float
    """That opening them took."""
    cpu: dict[str, float]
    """Milliseconds an opened request, by part."""
    memory: dict[str, int]
    longest: float = 0.0
    """Seconds."""
    backs: dict[str, Back] = {}
    restarted: int = 0
    """The orchestrator's memory after its restart, and verdicts on a share of what is open."""


async def opened(folder: Path, sync: str, plan: Plan, sizes: Sequence[int], ballots: int) -> None:
    """Measure MAGIs with so many open requests each."""
    all_seen: list[Seen] = []
    async with AsyncExitStack() as stack:
        rivals, requests = [], []
        for size in sizes:
            rivals.append(await stack.enter_async_context(made(folder, sync, size, ("orchestrator",))))
            requests.append(await fill(rivals[-1], size, all_seen))
        variants = [Variant(f"{size:,}", rival) for size, rival in zip(sizes, rivals, strict=True)]
        await series("open requests", variants, plan)
        for rival, seen, still in zip(rivals, all_seen, requests, strict=True):
            seen.longest = await longest(rival)
            second, first = rival.pids["orchestrator 2"], rival.pids["orchestrator"]
            os.kill(second, signal.SIGKILL)
            seen.backs["take-over by the other orchestrator"] = await back(rival.data, some(still, ballots))
            os.kill(first, signal.SIGKILL)
            seen.backs["the only orchestrator, started again"] = await back(rival.data, some(still, ballots))
            os.kill(rival.pids["gateway"], signal.SIGKILL)
            seen.backs["the gateway, started again"] = await back(rival.data, some(still, ballots))
            orchestrator = read_note(rival.data / "run" / "orchestrator.json").pid
            seen.restarted = memory_bytes({"orchestrator": orchestrator or 0})
            print(f"{seen.opened:,} open: killed and back", file=sys.stderr, flush=True)
    for size, seen, still in zip(sizes, all_seen, requests, strict=True):
        watching = asyncio.create_task(back(folder / f"open-{size}", some(still, ballots)))
        async with made(folder, sync, size):
            seen.backs["everything, stopped and started"] = await watching
    print(memory_table(all_seen))
    print(back_table(all_seen, ballots), flush=True)


def made(folder: Path, sync: str, size: int, more: Sequence[str] = ()) -> AbstractAsyncContextManager[Rival]:
    return magi_rival(folder, sync, name=f"open-{size}", more=more, **NO_VIEWS, **UNLIMITED)


async def fill(rival: Rival, size: int, all_seen: list[Seen]) -> list[Opened]:
    """Have so many open, and note what that took."""
    before, began = cpu_by_part(rival.pids), time.monotonic()
    found = await open_requests(rival, size)
    took, after = time.monotonic() - began, cpu_by_part(rival.pids)
    cpu = {part: (after[part] - before[part]) * 1000 / size for part in after}
    memory = {part: memory_bytes({part: pid}) for part, pid in rival.pids.items()}
    all_seen.append(Seen(size, took, cpu, memory, backs={}))
    print(f"{size:,} opened in {took:.0f} s", file=sys.stderr, flush=True)
    return found


async def back(data: Path, open_ones: Sequence[Opened]) -> Back:
    """From now on: until new requests are answered, and until ballots on these have led to verdicts."""
    began = time.monotonic()

    async def since(what: object) -> float:
        await what  # type: ignore[misc]
        return time.monotonic() - began

    async def up() -> bool:
        note = read_serve_note(data)
        return note is not None and note.url != ""

    async with asyncio.timeout(WITHIN):
        await until(up, "magi serve is ready", WITHIN)
        requests, ballots = await asyncio.gather(
            since(asyncio.gather(*(answered(data) for _ in range(NEW)))), since(decide(data, open_ones))
        )
    return Back(requests, ballots)


async def answered(data: Path) -> None:
    """Return once a new request has its verdict, however often the connection is lost."""
    while True:
        # AssertionError: instead of an event came an error, such as `unavailable`.
        with contextlib.suppress(OSError, WebSocketException, TimeoutError, AssertionError):
            note = read_serve_note(data)
            token = token_file(data).read_text().strip()
            headers = {"Authorization": f"Bearer {token}"}
            async with connect(note.url if note else "", additional_headers=headers, compression=None) as ws:
                await ask(ws)
                return
        await asyncio.sleep(0.05)


async def longest(rival: Rival) -> float:
    """Of requests one after the other, for so long that everything that is done now and then was done."""
    headers, end, worst = {"Authorization": f"Bearer {rival.token}"}, time.monotonic() + WATCHED, 0.0
    async with connect(rival.url, additional_headers=headers, compression=None) as ws:
        while time.monotonic() < end:
            worst = max(worst, await ask(ws))
    return worst


def memory_table(all_seen: Sequence[Seen]) -> str:
    """In Markdown."""
    lines = [
        "",
        "| open requests | opening one, CPU-ms of the orchestrators | of nats-server | memory of an orchestrator "
        "| of both, a request | of one that was started again | of nats-server | longest of 25 s of requests |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for seen in all_seen:
        ours = [part for part in seen.cpu if part.startswith("orchestrator")]
        both = sum(seen.memory[part] for part in ours)
        cells = [
            f"{seen.opened:,}",
            f"{sum(seen.cpu[part] for part in ours):.2f}",
            f"{seen.cpu['nats-server']:.2f}",
            f"{both / len(ours) / MIB:,.0f} MiB",
            f"{both / seen.opened:,.0f} bytes",
            f"{seen.restarted / MIB:,.0f} MiB",
            f"{seen.memory['nats-server'] / MIB:,.0f} MiB",
            f"{seen.longest * 1000:,.0f} ms",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def back_table(all_seen: Sequence[Seen], ballots: int) -> str:
    """In Markdown: seconds until new requests were answered, and until ballots on open ones were verdicts."""
    columns = [f"{what}, {seen.opened:,} open" for seen in all_seen for what in (f"{NEW} new requests", "ballots")]
    lines = ["", f"| seconds until … | {' | '.join(columns)} |", f"| --- {'| --- ' * len(columns)}|"]
    for what in all_seen[0].backs:
        cells = [f"{s:.1f}" for seen in all_seen for s in (seen.backs[what].requests, seen.backs[what].ballots)]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join([*lines, f"\n(ballots: {ballots:,}, on open requests at random)"])
