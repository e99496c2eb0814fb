"""The same load on several variants in turn, and a table that shows each beside the first.

Processor time is that of a number of requests at many in flight, less what the same processes take in that time when
nothing comes (heartbeats, pulls, timers): on a busy machine the same requests take longer, and would seem to cost more.
Latency is that of requests one after the other: at many in flight it is only the time in the queue for the processor.
All variants are up at once and are measured forwards and backwards, so that what else the machine does is the same for
each; medians, and the median of the ratios within each round.
"""

import asyncio
import statistics
import time

from msgspec import Struct

from bench.environment import cpu_by_part
from bench.load import ONE, Asking, a_number
from bench.rivals import Rival


class Plan(Struct, frozen=True):
    """How long each is measured."""

    requests: int = 700
    """Each round, at many in flight."""
    in_flight: int = 64
    alone: int = 40
    """Each round, one after the other."""
    rounds: int = 4


WITHIN = 600.0
"""Seconds for one look, after which something is wrong."""
IDLE = 10.0
"""Seconds over which it is seen what they take when nothing comes."""


class Variant(Struct, frozen=True):
    name: str
    rival: Rival
    asking: Asking = ONE


class Seen(Struct, frozen=True):
    """One variant in one round."""

    cpu: dict[str, float]
    """Milliseconds of user and system time a request, by part; a part's processes together, less what is idle."""
    p50_ms: float

    @property
    def all(self) -> float:
        return sum(self.cpu.values())


async def look(variant: Variant, plan: Plan, idle: dict[str, float]) -> Seen:
    """Measure one variant once. `idle` is what its parts take when nothing comes, in seconds a second."""
    rival = variant.rival
    urls = rival.urls or (rival.url,)
    each, share = plan.requests // len(urls), max(1, plan.in_flight // len(urls))
    before, began = by_part(rival), time.monotonic()
    async with asyncio.timeout(WITHIN):  # a request without a verdict would keep us for ever
        await asyncio.gather(*(a_number(url, share, each, rival.token, variant.asking) for url in urls))
    after, took = by_part(rival), time.monotonic() - began
    cpu = {part: (after[part] - before[part] - idle[part] * took) * 1000 / (each * len(urls)) for part in after}
    alone = await a_number(rival.url, 1, plan.alone, rival.token, variant.asking)
    return Seen(cpu, alone.p50_ms)


async def series(title: str, variants: list[Variant], plan: Plan) -> None:
    """Measure all of them in turn and print the table."""
    warm = Plan(max(plan.in_flight, plan.requests // 4), plan.in_flight, 5, 1)
    nothing = dict.fromkeys(by_part(variants[0].rival), 0.0)
    for variant in variants:
        await look(variant, warm, nothing)
    await asyncio.sleep(2)  # until what those left is done
    before = [by_part(variant.rival) for variant in variants]
    await asyncio.sleep(IDLE)
    after = [by_part(variant.rival) for variant in variants]
    idle = {
        variant.name: {part: (then[part] - now[part]) / IDLE for part in now}
        for variant, now, then in zip(variants, before, after, strict=True)
    }
    rounds: list[dict[str, Seen]] = []
    for number in range(plan.rounds):
        seen = {}
        for variant in variants if number % 2 == 0 else reversed(variants):
            seen[variant.name] = await look(variant, plan, idle[variant.name])
        rounds.append(seen)
    print(table(title, {name: sum(parts.values()) for name, parts in idle.items()}, rounds), flush=True)


def by_part(rival: Rival) -> dict[str, float]:
    """Processor seconds so far; a part's processes together."""
    found: dict[str, float] = {}
    for process, seconds in cpu_by_part(rival.pids).items():
        part = process.split()[0]
        found[part] = found.get(part, 0.0) + seconds
    return found


def table(title: str, idle: dict[str, float], rounds: list[dict[str, Seen]]) -> str:
    """In Markdown; `rounds` hold what was seen of each name, `idle` what it takes when nothing comes."""
    first = next(iter(idle))
    parts = sorted(rounds[0][first].cpu)
    head = ["", *parts, "all, CPU-ms a request", "beside the first", "p50 ms, one in flight", "beside the first"]
    head.append("idle, of a core")
    lines = [f"\n**{title}**\n", _row([title, *head[1:]]), _row(["---"] * len(head))]
    for name in idle:
        seen = [one[name] for one in rounds]
        cpu = [statistics.median(one.cpu[part] for one in seen) for part in parts]
        ratios = [one[name].all / one[first].all for one in rounds]
        slower = [one[name].p50_ms / one[first].p50_ms for one in rounds]
        cells = [name, *(f"{ms:.2f}" for ms in cpu), f"{statistics.median(one.all for one in seen):.2f}"]
        cells += [
            spread(ratios),
            f"{statistics.median(one.p50_ms for one in seen):.1f}",
            spread(slower),
            f"{idle[name]:.1%}",
        ]
        lines.append(_row(cells))
    return "\n".join(lines)


def spread(ratios: list[float]) -> str:
    """The median, and how far they were apart."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
