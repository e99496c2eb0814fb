"""How an instance of a voter has fared lately: what it judged, how long that took, and what it could not judge. Pure.

Whatever runs a voter keeps one, an agent as well as a gateway, and announces its figures with its presence.
"""

from collections import deque

from msgspec import Struct

WINDOW_MS = 300_000
"""Milliseconds that count as lately: long enough for a voter that judges a task a minute to have figures at all."""
MOST = 256
"""Outcomes that are remembered: a 95th percentile has a dozen above it, and sorting them each second costs 20 µs."""


class Figures(Struct, frozen=True):
    """What `Recent` has to say. All zero when nothing was judged lately."""

    p95_ms: int = 0
    """95 % of the votes took at most so many milliseconds, from the task's arrival to the vote."""
    succeeded: int = 0
    """Votes, abstentions of the voter's own free will included."""
    failed: int = 0
    """Tries that led to no vote."""


class Recent:
    """The last outcomes, at most `most`, none older than `window_ms`. Times are milliseconds of one clock."""

    def __init__(self, window_ms: int = WINDOW_MS, most: int = MOST) -> None:
        self._window = window_ms
        self._outcomes: deque[tuple[int, int | None]] = deque(maxlen=most)
        """When, and how long a vote took; None for a failure."""

    def succeeded(self, took_ms: int, now: int) -> None:
        """A task was judged."""
        self._outcomes.append((now, took_ms))

    def failed(self, now: int) -> None:
        """A task could not be judged."""
        self._outcomes.append((now, None))

    def figures(self, now: int) -> Figures:
        while self._outcomes and self._outcomes[0][0] < now - self._window:
            self._outcomes.popleft()
        took = sorted(took for _, took in self._outcomes if took is not None)
        return Figures(percentile_95(took), len(took), len(self._outcomes) - len(took))


def percentile_95(ordered: list[int]) -> int:
    """The least of the values, in ascending order, that 95 % of them don't exceed; 0 for none."""
    return ordered[-(-95 * len(ordered) // 100) - 1] if ordered else 0
