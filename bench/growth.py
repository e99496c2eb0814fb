"""What a request costs as MAGI grows: stored and open requests, content, panels, processes.

    python -m bench.growth [stored] [open] [timers] [payloads] [panels] [voters] [processes] [--short]

Without a name all of them. `--short` is to see that it works: fewer requests, fewer rounds, smaller logs. Processor
time and ratios within one run; nothing here is a test. Everything is put into a temporary directory and taken away
again, and it ends by itself.

    --stored 10000,1000000    logs that are compared (a million takes 10 GB of disk under --folder)
    --open 1000,100000        requests without a verdict, for cold start and take-over
"""

import argparse
import asyncio
import signal
import tempfile
import time
from pathlib import Path

import structlog
import uvloop

from bench import growth_open, growth_put_off, growth_stored
from bench import growth_shape as shape
from bench.environment import describe
from bench.growth_series import Plan

PARTS = ("stored", "open", "timers", "payloads", "panels", "voters", "processes")


async def main(given: argparse.Namespace) -> None:
    task = asyncio.current_task()
    assert task is not None
    for sign in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: what was started is stopped
        asyncio.get_running_loop().add_signal_handler(sign, task.cancel)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))  # of the connections that we make
    short = given.short
    plan = Plan(200, 32, 15, 2) if short else Plan(given.requests, given.in_flight, 40, given.rounds)
    print(describe(sync_interval=given.sync, **{name: getattr(plan, name) for name in plan.__struct_fields__}))
    for part in given.parts or PARTS:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=given.folder, prefix="magi-growth-", ignore_cleanup_errors=True) as folder:
            await measure(part, Path(folder), plan, given)
        print(f"\n({part}: {time.monotonic() - began:.0f} s)", flush=True)


async def measure(part: str, folder: Path, plan: Plan, given: argparse.Namespace) -> None:
    sync, short = given.sync, given.short
    match part:
        case "payloads":
            await shape.payloads(folder, sync, plan, (1, 16, 128))
        case "panels":
            await shape.panels(folder, sync, plan, (2, 5, 10) if short else (1, 2, 4, 5, 10, 25))
        case "voters":
            await shape.voter_processes(folder, sync, plan, (1, 2) if short else (1, 2, 4))
        case "stored":
            sizes = given.stored or ([1000, 10_000] if short else [10_000, 1_000_000])
            if given.keep:
                given.keep.mkdir(parents=True, exist_ok=True)
            await growth_stored.stored(given.keep or folder, sync, plan, sizes)
        case "open":
            sizes = given.open or ([100, 2000] if short else [1000, 100_000])
            await growth_open.opened(folder, sync, plan, sizes, min(sizes[0] // 5, 1000))
        case "timers":
            await growth_put_off.put_off(folder, sync, (0, 10_000) if short else (0, 1000, 10_000, 50_000, 100_000))
        case "processes":
            await shape.processes(folder, sync, plan)


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="what is measured; by default everything")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--sync", default="2m", help="nats-server's sync_interval: always, or a duration")
    parser.add_argument("--requests", type=int, default=700)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--stored", type=numbers, default=None)
    parser.add_argument("--open", type=numbers, default=None)
    parser.add_argument("--folder", type=Path, default=None, help="where the logs are put; by default the system's")
    parser.add_argument(
        "--keep", type=Path, default=None, help="a folder for filled logs, which is left for the next run"
    )
    uvloop.run(main(parser.parse_args()))
