"""When which process is killed: drawn from a seed, so that a run can be had again as far as its schedule goes."""

import random
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Blow = Literal["kill", "pause"]


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

    Times are drawn evenly, so that some come in close succession and find a process that is only starting.
    """
    draw = random.Random(seed)
    victims = [targets[n % len(targets)] for n in range(kills)]
    draw.shuffle(victims)
    strikes = [Strike(draw.uniform(0.3, seconds), victim) for victim in victims]
    for _ in range(kills // 6):
        victim = draw.choice(targets)
        strikes.append(Strike(draw.uniform(0.3, seconds), victim, "pause", draw.uniform(0.5, 4.0)))
    return sorted(strikes, key=lambda strike: strike.at)
