"""When which process is killed: drawn from a seed, so that a run can be had again as far as its schedule goes."""

import random
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Blow = Literal["kill", "pause"]

BEAT = 0.5
"""Seconds between two bursts of requests: blows fall while one is under way, so that they interrupt something."""
UNDER_WAY = 0.2
"""Seconds that a burst keeps everybody busy."""


class Strike(Struct, frozen=True):
    """One blow to one process."""

    at: float
    """Seconds after the beginning."""
    target: str
    blow: Blow = "kill"
    seconds: float = 0.0
    """How long a pause lasts."""


def schedule(seed: int, seconds: float, targets: Sequence[str], kills: int) -> list[Strike]:
    """`kills` kills within `seconds`, each target at least once if there are enough; and a pause for every six kills.

    Some come in close succession and find a process that is only starting.
    """
    draw = random.Random(seed)
    victims = [targets[n % len(targets)] for n in range(kills)]
    draw.shuffle(victims)

    def moment() -> float:
        return BEAT * draw.randint(1, int(seconds / BEAT) - 1) + draw.uniform(0, UNDER_WAY)

    strikes = [Strike(moment(), victim) for victim in victims]
    strikes += [Strike(moment(), draw.choice(targets), "pause", draw.uniform(0.5, 4.0)) for _ in range(kills // 6)]
    return sorted(strikes, key=lambda strike: strike.at)
