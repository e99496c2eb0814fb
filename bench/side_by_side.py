"""MAGI beside the floor and beside what others would build it on: requests a second, latency, and what they take.

    just bench [--quick] [--only floor,magi,…] [--sync 2m|always] [--in-flight 1,16,128] [--seconds 4] [--rounds 3]
               [--out bench/results] [--publish]

All run at once and are measured in turn, backwards every second round, so that a machine whose speed drifts is the same
for all; medians are quoted, and the ratio to the floor of the same round. Three voters, a request of 430 bytes, closed
loop on loopback, clients on the same cores (not counted). Writes `side-by-side.json` and `.svg` into `--out`; with
`--publish` also into `docs/performance/`, and the tables into `docs/performance.md` (`python -m bench.publish FILE`
does that afterwards). Ten minutes; `--quick` two, for a look. Ends by itself; Ctrl-C stops all that was started.
"""

import argparse
import asyncio
import signal
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import psutil
import uvloop

from bench.contenders import ALL, Contender
from bench.environment import describe
from bench.peers.redis_server import NoRedis
from bench.plot import draw
from bench.publish import publish
from bench.report import About, Figures, Report, Window, as_text
from bench.steady import Steady
from bench.usage import calm, cpu_seconds, database_bytes, fdatasync_ms, folder_bytes, memory_bytes

OUT = Path(__file__).parent / "results"
IDLE = 3.0
"""Seconds for which everything's idling is looked at."""
QUIET = 0.3
"""Cores that other programs may use."""


async def window(contender: Contender, in_flight: int, warm_up: float, seconds: float) -> Window:
    """Once quiet: load from a process of its own, then quiet again, for what is done after the verdict counts too."""
    rival = contender.rival
    await calm(rival.pids)
    cpu, kept, wal = cpu_seconds(rival.pids), *stored(contender)
    arguments = [rival.url, str(in_flight), str(warm_up), str(seconds), *([rival.token] if rival.token else [])]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.steady", *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise RuntimeError(f"the load on {rival.name} failed")
    load = msgspec.json.decode(out, type=Steady)
    memory = memory_bytes(rival.pids)
    await calm(rival.pids)
    kept_after, wal_after = stored(contender)
    requests = max(1, load.all_requests)
    return Window(
        per_second=load.requests / load.seconds,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        cpu_ms={part: (now - cpu[part]) * 1000 / requests for part, now in cpu_seconds(rival.pids).items()},
        kept_bytes=(kept_after - kept) / requests,
        wal_bytes=(wal_after - wal) / requests,
        memory_bytes=memory,
    )


def stored(contender: Contender) -> tuple[int, int]:
    """Bytes that are kept, and bytes of WAL written so far."""
    size, wal = database_bytes(contender.database) if contender.database else (0, 0)
    return folder_bytes(contender.folders) + size, wal


def busy() -> list[str]:
    """A note when others use so much of the machine that the figures would tell of them."""
    cores = psutil.cpu_percent(interval=2.0) / 100 * (psutil.cpu_count() or 1)
    if cores < QUIET:
        return []
    print(f"other programs use {cores:.1f} cores: the figures will not be worth quoting")
    return [f"Other programs used {cores:.1f} cores when this was measured: not to be quoted"]


async def start(stack: AsyncExitStack, folder: Path, sync: str, names: list[str]) -> tuple[list[Contender], list[str]]:
    """Those that run, and notes about those that can't."""
    running, notes = [], []
    for name in names:
        print(f"starting {name} …", flush=True)
        try:
            running.append(await stack.enter_async_context(ALL[name](folder, sync)))
        except NoRedis as error:
            notes.append(f"{name} was not measured: {error}")
            print(notes[-1])
    return running, notes


async def about(contenders: list[Contender]) -> list[About]:
    """What each is, and the cores that it uses while nobody asks for anything."""
    await asyncio.gather(*(calm(contender.rival.pids) for contender in contenders))
    before = [sum(cpu_seconds(contender.rival.pids).values()) for contender in contenders]
    await asyncio.sleep(IDLE)
    return [
        About(c.rival.name, c.settings, c.survives, (sum(cpu_seconds(c.rival.pids).values()) - was) / IDLE)
        for c, was in zip(contenders, before, strict=True)
    ]


async def main(options: argparse.Namespace) -> None:
    began = time.monotonic()
    this = asyncio.current_task()
    assert this is not None
    for sign in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: whatever ends us, what was started is stopped
        asyncio.get_running_loop().add_signal_handler(sign, this.cancel)
    levels = [int(level) for level in options.in_flight.split(",")]
    names = options.only.split(",")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="magi-bench-")))
        described = describe(
            sync_interval=options.sync,
            voters=3,
            request_bytes=430,
            rounds=options.rounds,
            seconds=options.seconds,
            fdatasync_ms=f"{fdatasync_ms(folder):.2f}",
        )
        print(described)
        notes = busy()
        contenders, missing = await start(stack, folder, options.sync, names)
        report = Report(described.splitlines(), await about(contenders), notes + missing, [])
        for level in levels:
            windows: dict[str, list[Window]] = {contender.rival.name: [] for contender in contenders}
            for number in range(options.rounds):
                for contender in contenders if number % 2 == 0 else reversed(contenders):
                    found = await window(contender, level, options.warm_up, options.seconds)
                    windows[contender.rival.name].append(found)
            for name, measured in windows.items():
                report.figures.append(summed_up(name, level, measured, windows.get("floor", [])))
                print(as_text(report.figures[-1]), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "side-by-side.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    file.with_suffix(".svg").write_text(draw(report))
    print(f"{time.monotonic() - began:.0f} s; written to {file} and beside it, as .svg")
    if options.publish:
        publish(file)


def summed_up(name: str, level: int, windows: list[Window], floor: list[Window]) -> Figures:
    """Medians over the rounds; the ratio is that of each round to the floor in it."""
    parts = windows[0].cpu_ms
    ratios = [one.per_second / bare.per_second for one, bare in zip(windows, floor, strict=False) if bare.per_second]
    return Figures(
        name=name,
        in_flight=level,
        to_floor=statistics.median(ratios) if ratios else 0.0,
        median=Window(
            per_second=statistics.median(one.per_second for one in windows),
            p50_ms=statistics.median(one.p50_ms for one in windows),
            p99_ms=statistics.median(one.p99_ms for one in windows),
            cpu_ms={part: statistics.median(one.cpu_ms[part] for one in windows) for part in parts},
            kept_bytes=statistics.median(one.kept_bytes for one in windows),
            wal_bytes=statistics.median(one.wal_bytes for one in windows),
            memory_bytes=int(statistics.median(one.memory_bytes for one in windows)),
        ),
        rounds=windows,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of short windows")
    parser.add_argument("--only", default=",".join(ALL), help="which, by name; the floor should be among them")
    parser.add_argument("--sync", default="2m", help="nats-server's sync_interval: always, or a duration")
    parser.add_argument("--in-flight", default="1,16,128")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each window")
    parser.add_argument("--warm-up", type=float, default=1.5, help="seconds before each")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--publish", action="store_true", help="put tables and plot into docs/, too")
    given = parser.parse_args()
    if unknown := set(given.only.split(",")) - set(ALL):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    if given.quick:
        given.seconds, given.warm_up, given.rounds = 2.0, 1.0, 1
    try:
        uvloop.run(main(given))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("stopped; nothing was written")
