"""What PromQL's functions compute: over the samples of a window, over single values, and over a histogram's buckets.

Each is written after Prometheus' documentation; `tests/alerts/promtool` has cases on which both agree.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from magi.alerts.series import Series
from magi.alerts.vectors import Vector, without

LE = frozenset({"le"})


class Window:
    """The samples of one series in ``(start, end]``; there is at least one."""

    __slots__ = ("_first", "_last", "_series", "end", "start")

    def __init__(self, series: Series, start: float, end: float, found: tuple[int, int]) -> None:
        """`found` is what `series.between(start, end)` says."""
        self._series = series
        self._first, self._last = found[0], found[1] - 1
        self.start = start
        self.end = end

    @property
    def values(self) -> Sequence[float]:
        return self._series.values[self._first : self._last + 1]

    @property
    def last(self) -> float:
        return self._series.values[self._last]

    @property
    def first(self) -> float:
        return self._series.values[self._first]

    @property
    def count(self) -> int:
        return self._last - self._first + 1

    @property
    def times(self) -> tuple[float, float]:
        """Of the first and of the last sample."""
        return self._series.times[self._first], self._series.times[self._last]

    def gained(self) -> float:
        return self._series.gained(self._first, self._last)


def increase(window: Window) -> float | None:
    """What a counter grew by in the window, extrapolated to its borders; None for fewer than two samples."""
    if window.count < 2:
        return None
    gained = window.gained()
    sampled = window.times[1] - window.times[0]
    # A counter is not followed further back than to where it was 0.
    since_zero = sampled * window.first / gained if gained > 0 and window.first >= 0 else math.inf
    return gained * _stretch(window, since_zero)


def rate(window: Window) -> float | None:
    """`increase` a second."""
    grown = increase(window)
    return None if grown is None else grown / (window.end - window.start)


def delta(window: Window) -> float | None:
    """As `increase`, of a gauge."""
    return None if window.count < 2 else (window.last - window.first) * _stretch(window, math.inf)


def _stretch(window: Window, at_most_back: float) -> float:
    """By how much more than its samples span the window is taken to be: all of it, when they come near its borders."""
    first, last = window.times
    sampled = last - first
    between = sampled / (window.count - 1)
    to_start, to_end = (
        gap if gap < between * 1.1 else between / 2 for gap in (first - window.start, window.end - last)
    )
    return (sampled + min(to_start, at_most_back) + to_end) / sampled


def _changes(window: Window) -> float:
    return float(sum(one != other and not (one != one and other != other) for one, other in pairwise(window.values)))


OVER_WINDOWS: dict[str, Callable[[Window], float | None]] = {
    "increase": increase,
    "rate": rate,
    "delta": delta,
    "changes": _changes,
    "avg_over_time": lambda window: math.fsum(window.values) / window.count,
    "sum_over_time": lambda window: math.fsum(window.values),
    "min_over_time": lambda window: min(window.values),
    "max_over_time": lambda window: max(window.values),
    "count_over_time": lambda window: float(window.count),
    "last_over_time": lambda window: window.last,
    "present_over_time": lambda window: 1.0,
}
COUNTED: frozenset[str] = frozenset({"increase", "rate"})
"""Those that need no more than some samples and every reset."""


def _logarithm(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf if value == 0 else math.nan


def _exponential(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _whole(to_whole: Callable[[float], int]) -> Callable[[float], float]:
    return lambda value: float(to_whole(value)) if math.isfinite(value) else value


OF_VALUES: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "ceil": _whole(math.ceil),
    "floor": _whole(math.floor),
    "exp": _exponential,
    "ln": _logarithm,
    "sqrt": lambda value: math.sqrt(value) if value >= 0 else math.nan,
}
CLAMPS: dict[str, Callable[[float, float], float]] = {
    "clamp_min": lambda value, bound: math.nan if value != value or bound != bound else max(value, bound),
    "clamp_max": lambda value, bound: math.nan if value != value or bound != bound else min(value, bound),
}


def histogram_quantile(quantile: float, buckets: Vector) -> Vector:
    """Of each histogram, by the labels of its buckets without `le`. Buckets whose `le` is no number don't count."""
    histograms: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
    for labels, count in buckets.items():
        try:
            bound = float(dict(labels)["le"])
        except (KeyError, ValueError):
            continue
        histogram = histograms.setdefault(without(labels, LE), {})
        histogram[bound] = histogram.get(bound, 0.0) + count
    return {labels: _quantile(quantile, sorted(found.items())) for labels, found in histograms.items()}


def _quantile(quantile: float, buckets: list[tuple[float, float]]) -> float:
    """`buckets` are upper bounds, ascending, and how many observations are at most so large."""
    if quantile != quantile:
        return math.nan
    if not 0 <= quantile <= 1:
        return math.copysign(math.inf, quantile)
    if len(buckets) < 2 or buckets[-1][0] != math.inf:
        return math.nan
    bounds = [bound for bound, _ in buckets]
    counts: list[float] = []
    for _, count in buckets:  # of buckets read at different moments a later one may have fewer
        counts.append(max(count, counts[-1]) if counts else count)
    observations = counts[-1]
    if not observations > 0:
        return math.nan
    rank = quantile * observations
    index = next(i for i, count in enumerate(counts) if count >= rank or i == len(counts) - 1)
    if index == len(counts) - 1:
        return bounds[-2]
    if index == 0 and bounds[0] <= 0:
        return bounds[0]
    lower, below = (bounds[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    inside = counts[index] - below
    return lower + (bounds[index] - lower) * (rank - below) / inside if inside else math.nan
