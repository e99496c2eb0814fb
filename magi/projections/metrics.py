"""How far this projector is with each projection, as far as it works on it."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence

from magi.telemetry import declarations as d
from magi.telemetry.instruments import Reading


class Progress:
    """Told by the projector; tells whoever scrapes."""

    def __init__(self, names: Sequence[str]) -> None:
        self._running = dict.fromkeys(names, 0.0)
        self._halted = dict.fromkeys(names, 0.0)
        self._position: dict[str, float] = {}
        self._lag: dict[str, float] = {}
        self._caught_up: dict[str, float] = {}
        self._failures = Counter(dict.fromkeys(names, 0))

    def looked(self, name: str, position: int, last: int) -> None:
        """It is at `position` of a stream that goes up to `last`, and goes on."""
        self._running[name], self._halted[name] = 1.0, 0.0
        self._position[name] = position
        self._lag[name] = max(0, last - position)
        if position >= last:
            self._caught_up[name] = time.time()

    def halted(self, name: str) -> None:
        """It can't go on by itself."""
        self._running[name], self._halted[name] = 0.0, 1.0

    def broke_off(self, name: str) -> None:
        """It begins again, when it can: another projector may be faster. How far that is we don't see."""
        self._running[name] = 0.0
        self._position.pop(name, None)
        self._lag.pop(name, None)
        self._failures[name] += 1

    def metrics(self) -> Iterable[Reading]:
        yield d.PROJECTION_RUNNING, self._running
        yield d.PROJECTION_HALTED, self._halted
        yield d.PROJECTION_POSITION, self._position
        yield d.PROJECTION_LAG, self._lag
        yield d.PROJECTION_CAUGHT_UP, self._caught_up
        yield d.PROJECTION_FAILURES, self._failures
