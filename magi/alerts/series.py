"""The samples of one series: as they came for a while, and from then on one now and then.

Memory: 16 bytes a sample in two arrays, and about 600 for the series itself. Scraped every 15 s, a series on which
rules look back 5 minutes has 20 to 84 samples (1 to 2 kB), an hour 240 to 304 (5 kB), 6 hours or a day 440
to 560 (9 kB).
"""

from array import array
from bisect import bisect_right

from msgspec import Struct

Labels = tuple[tuple[str, str], ...]
"""Names and values, sorted; without the metric's name."""

LOOKBACK = 300.0
"""Seconds that a sample speaks for its series, if nothing says that the series has ended: Prometheus' default."""
COMPACT_EVERY = 64
"""Samples between two looks at what is no longer needed."""
COARSE_SAMPLES = 240
"""So many are left of the time beyond `Keep.whole_of`: the first of a window of a day is at most 6 minutes late."""


class Keep(Struct, frozen=True):
    """How long samples are needed, in seconds before now."""

    whole_of: float = LOOKBACK
    """All of them so long."""
    until: float = LOOKBACK
    """Some of them so long. For `rate` and `increase` only, which are right with any: resets are counted apart."""

    def __or__(self, other: "Keep") -> "Keep":
        return Keep(max(self.whole_of, other.whole_of), max(self.until, other.until))


class Series:
    """Samples of one series, the oldest first."""

    __slots__ = ("_drops", "_ends", "_gap", "_keep", "_resets", "_since_compacted", "labels", "times", "values")

    def __init__(self, labels: Labels, keep: Keep) -> None:
        self.labels = labels
        self.times = array("d")
        """Unix time."""
        self.values = array("d")
        self._keep = keep
        self._gap = keep.until / COARSE_SAMPLES
        self._since_compacted = 0
        self._ends = array("d")
        self._resets = array("d")
        self._drops = array("d")

    def append(self, at: float, value: float) -> None:
        """Add a sample; one that is not newer than the last is dropped."""
        if self.times and at <= self.times[-1]:
            return
        if self.values and value < self.values[-1]:
            self._resets.append(at)
            self._drops.append(self.values[-1])
        self.times.append(at)
        self.values.append(value)
        self._since_compacted += 1
        if self._since_compacted >= COMPACT_EVERY:
            self._compact(at)

    def end(self, at: float) -> None:
        """It is not there at `at`: Prometheus' staleness marker. It may come back."""
        if self.times and not (self._ends and self._ends[-1] > self.times[-1]):
            self._ends.append(at)

    def is_past(self, at: float) -> bool:
        """Whether no sample is of use any more."""
        return not self.times or self.times[-1] <= at - self._keep.until

    def at(self, at: float) -> float | None:
        """What holds at a time: the last value of the five minutes before it; None when there is none, or it ended."""
        index = bisect_right(self.times, at) - 1
        if index < 0 or self.times[index] <= at - LOOKBACK:
            return None
        ended = bisect_right(self._ends, at) - 1
        return None if ended >= 0 and self._ends[ended] > self.times[index] else self.values[index]

    def between(self, start: float, end: float) -> tuple[int, int]:
        """The indices, as of a slice, of the samples in ``(start, end]``."""
        return bisect_right(self.times, start), bisect_right(self.times, end)

    def gained(self, first: int, last: int) -> float:
        """What a counter grew by from one sample to another, given by their indices; it may begin anew between."""
        start, end = bisect_right(self._resets, self.times[first]), bisect_right(self._resets, self.times[last])
        return self.values[last] - self.values[first] + sum(self._drops[start:end])

    def _compact(self, now: float) -> None:
        self._since_compacted = 0
        times, values = array("d"), array("d")
        whole_from = bisect_right(self.times, now - self._keep.whole_of)
        for index in range(bisect_right(self.times, now - self._keep.until), whole_from):
            if not times or self.times[index] - times[-1] >= self._gap:
                times.append(self.times[index])
                values.append(self.values[index])
        self.times, self.values = times + self.times[whole_from:], values + self.values[whole_from:]
        past = now - self._keep.until
        del self._ends[: bisect_right(self._ends, past)]
        count = bisect_right(self._resets, past)
        del self._resets[:count], self._drops[:count]
