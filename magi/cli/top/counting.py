"""From counters to figures: what they grew by between two scrapes, rates, shares and quantiles of that. Pure."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from magi.cli.top.scraped import Key, Reading
from magi.telemetry.declarations import METRICS

_COUNTED = frozenset(metric.name for metric in METRICS if metric.kind == "counter") | frozenset(
    f"{metric.name}{suffix}" for metric in METRICS if metric.kind == "histogram" for suffix in ("_bucket", "_count")
)
STARTED = "process_start_time_seconds"


class Growth(Struct, frozen=True):
    """What one part's counters grew by, and in how many seconds."""

    address: str
    seconds: float
    by: Mapping[Key, float]
    """Only what grew."""


def growth(before: Reading | None, now: Reading) -> Growth:
    """From one scrape of a part to its next. Without an earlier one nothing is known to have grown.

    A counter that fell, or whose process is another one now, began again at nought: all that it shows is growth.
    """
    if before is None or not before.up or not now.up:
        return Growth(now.target.address, 0.0, {})
    restarted = now.value(STARTED) != before.value(STARTED)
    found: dict[Key, float] = {}
    for key, value in now.samples.items():
        if key[0] not in _COUNTED or math.isnan(value):
            continue
        earlier = before.samples.get(key, 0.0)
        grown = value if restarted or value < earlier else value - earlier
        if grown > 0:
            found[key] = grown
    return Growth(now.target.address, now.at - before.at, found)


class _Line(Struct, frozen=True):
    labels: dict[str, str]
    grown: float
    rate: float


class Totals:
    """What counters grew by over some time, all parts together."""

    def __init__(self, growths: Iterable[Growth]) -> None:
        """`growths` may hold several of a part: they are added up."""
        seconds: dict[str, float] = defaultdict(float)
        sums: dict[tuple[str, Key], float] = defaultdict(float)
        for one in growths:
            seconds[one.address] += one.seconds
            for key, grown in one.by.items():
                sums[one.address, key] += grown
        self.seconds = max(seconds.values(), default=0.0)
        self._lines: dict[str, list[_Line]] = defaultdict(list)
        for (address, (name, labels)), grown in sums.items():
            rate = grown / seconds[address] if seconds[address] > 0 else 0.0
            self._lines[name].append(_Line(dict(labels), grown, rate))

    @classmethod
    def since_start(cls, readings: Iterable[Reading]) -> "Totals":
        """All that the parts have counted since they were started. There are no rates in it."""
        counted = (
            Growth(r.target.address, 0.0, {k: v for k, v in r.samples.items() if k[0] in _COUNTED and v > 0})
            for r in readings
        )
        return cls(counted)

    def _matching(self, name: str, labels: Mapping[str, str]) -> Iterable[_Line]:
        return (li for li in self._lines.get(name, ()) if all(li.labels.get(k) == v for k, v in labels.items()))

    def grown(self, name: str, **labels: str) -> float:
        """The sum over all series that have these labels."""
        return sum(line.grown for line in self._matching(name, labels))

    def rate(self, name: str, **labels: str) -> float:
        """The same a second."""
        return sum(line.rate for line in self._matching(name, labels))

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """`grown` for each value of a label, in the values' order."""
        found: dict[str, float] = defaultdict(float)
        for line in self._matching(name, labels):
            found[line.labels.get(label, "")] += line.grown
        return dict(sorted(found.items()))

    def quantile(self, name: str, q: float, **labels: str) -> float | None:
        """Of a histogram, in its unit; None when nothing was observed. As `histogram_quantile` of Prometheus: straight
        lines within a bucket, and what is beyond the last bound counts as that bound."""
        counts: dict[float, float] = defaultdict(float)
        for line in self._matching(f"{name}_bucket", labels):
            counts[_bound(line.labels.get("le", ""))] += line.grown
        # Buckets are cumulative: one that did not grow, and so isn't here, is below all that was observed.
        every = counts.get(math.inf, 0.0)
        if every <= 0:
            return None
        rank, lower, below = q * every, 0.0, 0.0
        for bound in sorted(counts):
            count = max(counts[bound], below)
            if count >= rank:
                if math.isinf(bound):
                    return lower
                start = _bound_before(name, bound)
                return start + (bound - start) * ((rank - below) / (count - below) if count > below else 1.0)
            lower, below = bound, count
        return lower


_BOUNDS = {metric.name: metric.buckets for metric in METRICS if metric.kind == "histogram"}


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.inf


def _bound_before(name: str, bound: float) -> float:
    """The lower end of a bucket."""
    return max((b for b in _BOUNDS.get(name, ()) if b < bound), default=0.0)


class Gauges:
    """What all parts that answer show at one moment."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._found: dict[str, list[tuple[dict[str, str], float, Reading]]] = defaultdict(list)
        for reading in readings:
            for (name, labels), value in reading.samples.items():
                if name not in _COUNTED and not math.isnan(value):
                    self._found[name].append((dict(labels), value, reading))

    def each(self, name: str) -> list[tuple[dict[str, str], float, Reading]]:
        """Every series, with who shows it."""
        return self._found.get(name, [])

    def total(self, name: str) -> float | None:
        """The sum; None when nobody shows it."""
        values = [value for _, value, _ in self.each(name)]
        return sum(values) if values else None

    def most(self, name: str, **labels: str) -> float | None:
        """The greatest, of what all orchestrators show alike."""
        found = self.each(name)
        return max((v for have, v, _ in found if all(have.get(k) == w for k, w in labels.items())), default=None)

    def most_by(self, name: str, label: str) -> dict[str, float]:
        """The greatest for each value of a label."""
        found: dict[str, float] = {}
        for labels, value, _ in self.each(name):
            key = labels.get(label, "")
            found[key] = max(value, found.get(key, value))
        return found

    def total_by(self, name: str, label: str) -> dict[str, float]:
        """The sum for each value of a label."""
        found: dict[str, float] = defaultdict(float)
        for labels, value, _ in self.each(name):
            found[labels.get(label, "")] += value
        return dict(found)
