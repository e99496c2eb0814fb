"""Carries the schedule of a nemesis out on a cluster, and heals what it did."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence

from tests.chaos.cluster import Cluster
from tests.chaos.nemesis import Strike
from tests.waiting import until

FIND_WITHIN = 120.0
"""Seconds until there is a process to be struck: one that was killed just before is started again."""
AWAKE = 0.008
"""Seconds that a frozen process goes on before it is killed: with what came meanwhile in hand, little of it done."""


class Struck:
    """What was done so far."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        """By blow and target, as "kill nats-server"."""
        self.kills: list[tuple[float, str]] = []
        """When who was killed, in seconds since 1970."""


async def strike_all(cluster: Cluster, strikes: Sequence[Strike], struck: Struck) -> None:
    """Every blow at its time, from now on. Returns when all that was done by them is undone."""
    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for strike in strikes:
            await asyncio.sleep(max(0.0, begun + strike.at - time.monotonic()))
            group.create_task(_strike(cluster, strike, struck))


async def _strike(cluster: Cluster, strike: Strike, struck: Struck) -> None:
    target = strike.target
    match strike.blow:
        case "kill":
            await _signal(cluster, target, signal.SIGKILL)
            struck.kills.append((time.time(), target))
        case "pause" | "freeze":  # to everybody else it is dead; then it goes on with what it remembers
            await _signal(cluster, target, signal.SIGSTOP)
            await asyncio.sleep(strike.seconds)
            cluster.signal(target, signal.SIGCONT)
            if strike.blow == "freeze":
                await asyncio.sleep(AWAKE)
                cluster.signal(target, signal.SIGKILL)
                struck.kills.append((time.time(), target))
        case "cut":
            cluster.proxies[target].cut()
        case "mute":
            cluster.proxies[target].lose_answers()
            await asyncio.sleep(strike.seconds)
            cluster.proxies[target].cut()
    struck.count[f"{strike.blow} {target}"] += 1


async def _signal(cluster: Cluster, target: str, sign: signal.Signals) -> None:
    async def hit() -> bool:
        return cluster.signal(target, sign)

    await until(hit, f"{target} is there to be struck", FIND_WITHIN)
