"""Processor time a request, of this checkout beside another one and the floor: what a change is worth.

    python -m bench.beside ../another [--in-flight 128] [--requests 1000] [--rounds 3] [--sync 2m]

All run at once and get the same number of requests in turn, forwards and backwards, so that what else the machine does
is the same for each; medians are quoted, in ms of user and system time by part. Ends by itself.
"""

import argparse
import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from bench.environment import cpu_by_part, describe
from bench.load import a_number
from bench.rivals import HERE, Rival, floor_rival, magi_rival


async def once(rival: Rival, in_flight: int, requests: int) -> tuple[float, float, dict[str, float]]:
    """Requests a second, p50 in ms, and each part's ms a request."""
    before = cpu_by_part(rival.pids)
    measured = await a_number(rival.url, in_flight, requests, rival.token)
    after = cpu_by_part(rival.pids)
    cpu = {part: (after[part] - before[part]) * 1000 / requests for part in after}
    return measured.requests / measured.seconds, measured.p50_ms, cpu


async def main(other: Path, in_flight: int, requests: int, rounds: int, sync: str) -> None:
    print(describe(sync_interval=sync, in_flight=in_flight, requests=requests, rounds=rounds))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rivals = [await stack.enter_async_context(floor_rival(folder, sync))]
        for name, tree in (("other", other), ("this", HERE)):
            rivals.append(await stack.enter_async_context(magi_rival(folder, sync, tree.resolve(), name)))
        found: dict[str, list[tuple[float, float, dict[str, float]]]] = {rival.name: [] for rival in rivals}
        for rival in rivals:
            await once(rival, in_flight, max(in_flight, requests // 4))  # to be warm
        for number in range(rounds):
            for rival in rivals if number % 2 == 0 else reversed(rivals):
                found[rival.name].append(await once(rival, in_flight, requests))
    for name, rows in found.items():
        parts = {part: statistics.median(cpu[part] for *_, cpu in rows) for part in sorted(rows[0][2])}
        print(
            f"{name:6} {statistics.median(rate for rate, *_ in rows):6.0f} req/s"
            f"  p50 {statistics.median(p50 for _, p50, _ in rows):7.1f} ms  CPU {sum(parts.values()):5.2f} ms/request  "
            + ", ".join(f"{part} {ms:.2f}" for part, ms in parts.items())
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--in-flight", type=int, default=128)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sync", default="2m", help="nats-server's sync_interval: always, or a duration")
    given = parser.parse_args()
    uvloop.run(main(given.other, given.in_flight, given.requests, given.rounds, given.sync))
