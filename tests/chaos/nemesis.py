"""What is done to whom and when: drawn from a seed, so that a run can be had again as far as its schedule goes."""

import random
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

Blow = Literal["kill", "pause", "freeze", "cut", "mute"]
"""kill -9; SIGSTOP for a while; the same and a kill when it goes on; all connections ended; answers thrown away for a
while and then the connections ended."""

BEAT = 0.5
"""Seconds between two bursts of requests: blows fall while one is under way, so that they interrupt something."""
UNDER_WAY = 0.2
"""Seconds that a burst keeps everybody busy."""
PACE = (2, 6)
"""Beats between two blows: 1 to 3 s."""
PAUSES = (0.5, 4.0)
"""Seconds. Three are enough for somebody else to take over what the paused one had."""
MUTES = (0.3, 1.5)
"""Seconds."""


class Strike(Struct, frozen=True):
    """One blow at one target."""

    at: float
    """Seconds after the beginning."""
    target: str
    blow: Blow = "kill"
    seconds: float = 0.0
    """How long it lasts."""


def schedule(seed: int, seconds: float, blows: Sequence[tuple[str, Blow]], first: int) -> list[Strike]:
    """A blow every 1 to 3 s. All of `blows` come before any of them comes again, the first `first` of them first."""
    draw = random.Random(seed)
    order = _order(draw, blows, first)
    strikes: list[Strike] = []
    beat = 1
    while beat * BEAT + UNDER_WAY <= seconds:
        target, blow = next(order)
        strikes.append(strike(draw, beat * BEAT, target, blow))
        beat += draw.randint(*PACE)
    return strikes


def strike(draw: random.Random, at: float, target: str, blow: Blow) -> Strike:
    """One that falls into the burst at `at`."""
    lasts = {"pause": PAUSES, "freeze": (0.3, 0.6), "mute": MUTES}.get(blow, (0.0, 0.0))
    return Strike(at + draw.uniform(0, UNDER_WAY), target, blow, draw.uniform(*lasts))


def _order(draw: random.Random, blows: Sequence[tuple[str, Blow]], first: int) -> Iterator[tuple[str, Blow]]:
    begin, rest = list(blows[:first]), list(blows[first:])
    draw.shuffle(begin)
    draw.shuffle(rest)
    yield from [*begin, *rest]
    everything = list(blows)
    while True:
        draw.shuffle(everything)
        yield from everything
