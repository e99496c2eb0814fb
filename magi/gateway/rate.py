"""A token bucket: so many messages a second, and a burst on top."""

import time
from collections.abc import Callable


class Bucket:
    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`rate` tokens a second come in, up to `burst`; `clock` gives seconds."""
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._tokens = float(burst)
        self._at = clock()

    def refit(self, rate: float, burst: float) -> None:
        """Another rate and burst from now on. What is saved up stays, as far as the burst allows."""
        self._fill()
        self._rate = rate
        self._burst = burst
        self._tokens = min(self._tokens, burst)

    @property
    def full(self) -> bool:
        """Whether nothing was taken for so long that it is as good as new."""
        self._fill()
        return self._tokens >= self._burst

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now

    def take(self) -> int:
        """Take a token. Returns 0, or when there is none the milliseconds until there is one."""
        self._fill()
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return max(1, round((1 - self._tokens) / self._rate * 1000))
