"""Requests a second and latency, from a WebSocket client's request to its final result: MAGI beside the floor.

    python -m bench.end_to_end [--sync 2m|always] [--seconds 5] [--rounds 3] [--in-flight 1,16,128]

Both run at once and are measured in turn, so that a machine whose speed drifts is the same for both; medians are
quoted, and the ratio. Loopback, clients on the same cores. Ends by itself.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

import msgspec
import uvloop

from bench.environment import cpu_by_part, describe
from bench.load import Measured
from bench.rivals import Rival, floor_rival, magi_rival


async def one(rival: Rival, connections: int, seconds: float) -> tuple[Measured, dict[str, float]]:
    """A measurement by a client process, and each part's processor time in ms a request (warm-up included)."""
    before = cpu_by_part(rival.pids)
    arguments = [rival.url, str(connections), str(seconds), *([rival.token] if rival.token else [])]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the load on {rival.name} failed")
    measured = msgspec.json.decode(out, type=Measured)
    share = measured.seconds / (measured.seconds + 1.5) / max(1, measured.requests) * 1000
    after = cpu_by_part(rival.pids)
    return measured, {part: (after[part] - before[part]) * share for part in after}


async def main(sync: str, seconds: float, rounds: int, levels: list[int]) -> None:
    print(describe(sync_interval=sync, voters=3, request_bytes=430, rounds=rounds, seconds=seconds))
    with tempfile.TemporaryDirectory() as folder:
        async with floor_rival(Path(folder), sync) as bare, magi_rival(Path(folder), sync) as magi:
            print(f"\n{'in flight':>9} {'':8} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms/request':>15}  by part")
            for level in levels:
                rates: dict[str, list[float]] = {"floor": [], "magi": []}
                results: dict[str, list[tuple[Measured, dict[str, float]]]] = {"floor": [], "magi": []}
                for number in range(rounds):
                    for rival in (bare, magi) if number % 2 == 0 else (magi, bare):
                        measured, cpu = await one(rival, level, seconds)
                        rates[rival.name].append(measured.requests / measured.seconds)
                        results[rival.name].append((measured, cpu))
                for name, rate in rates.items():
                    found = results[name]
                    parts = {part: statistics.median(cpu[part] for _, cpu in found) for part in sorted(found[0][1])}
                    print(
                        f"{level:>9} {name:8} {statistics.median(rate):8.0f}"
                        f" {statistics.median(m.p50_ms for m, _ in found):8.1f}"
                        f" {statistics.median(m.p99_ms for m, _ in found):8.1f} {sum(parts.values()):15.2f}  "
                        + ", ".join(f"{part} {ms:.2f}" for part, ms in parts.items())
                    )
                pairs = [m / f for m, f in zip(rates["magi"], rates["floor"], strict=True)]
                print(f"{level:>9} ratio    {statistics.median(pairs):8.2f}  ({min(pairs):.2f} to {max(pairs):.2f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sync", default="2m", help="nats-server's sync_interval: always, or a duration")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", default="1,16,128")
    options = parser.parse_args()
    levels = [int(level) for level in options.in_flight.split(",")]
    uvloop.run(main(options.sync, options.seconds, options.rounds, levels))
