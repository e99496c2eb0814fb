"""All samples that the rules look at, and nothing else: a series that no selector asks for is not kept."""

import re
from collections.abc import Iterable, Mapping, Sequence

import structlog
from msgspec import Struct

from magi.alerts.series import LOOKBACK, Keep, Labels, Series

log = structlog.get_logger(__name__)

MOST_SERIES = 50_000
"""What is more is left out, and the log says so. MAGI's own rules ask for some 100, and 10 more a voter."""
WHOLE_AT_MOST = 3900.0
"""Seconds. What `rate` and `increase` look at beyond is thinned out."""
_SWEEP_EVERY = 300.0


class Matcher(Struct, frozen=True):
    """A condition on one label; one that is missing is empty."""

    label: str
    pattern: re.Pattern[str]
    """Has to fit all of the value."""
    wanted: bool
    """False for ``!=`` and ``!~``: it must not fit."""

    def fits(self, labels: Mapping[str, str]) -> bool:
        return (self.pattern.fullmatch(labels.get(self.label, "")) is not None) == self.wanted


class Selector:
    """What one place in a rule refers to: the series of a metric that its matchers fit, known as they come."""

    def __init__(self, name: str, matchers: Sequence[Matcher], window: float, offset: float) -> None:
        """`window` and `offset` are in seconds; `window` is `LOOKBACK` for an instant vector."""
        self.name = name
        self.matchers = tuple(matchers)
        self.window = window
        self.offset = offset
        self.series: list[Series] = []
        self.may_be_thinned = False
        """Whether its samples are for `rate` and `increase` alone."""

    def fits(self, labels: Mapping[str, str]) -> bool:
        return all(matcher.fits(labels) for matcher in self.matchers)

    @property
    def keep(self) -> Keep:
        until = self.window + self.offset
        return Keep(min(until, WHOLE_AT_MOST) if self.may_be_thinned else until, until)


class Store:
    """Series by metric and labels."""

    def __init__(self, selectors: Iterable[Selector], most: int = MOST_SERIES) -> None:
        """`most`: series that are kept; of those that are not, as many are known at one time."""
        self._most = most
        self._selectors: dict[str, list[Selector]] = {}
        for selector in selectors:
            self._selectors.setdefault(selector.name, []).append(selector)
        self._series: dict[tuple[str, Labels], Series | None] = {}
        """None for a series that is not kept: it isn't matched again at each scrape, but after each sweep."""
        self._kept = 0
        self._told = float("-inf")
        """When it was last told that series are left out."""
        self._swept = float("-inf")

    @property
    def names(self) -> frozenset[str]:
        """The metrics that are asked for."""
        return frozenset(self._selectors)

    @property
    def size(self) -> int:
        """How many series are kept."""
        return self._kept

    @property
    def known(self) -> int:
        """How many are known by name, kept or not."""
        return len(self._series)

    def take(
        self, samples: Mapping[tuple[str, Labels], float], at: float, before: Iterable[tuple[str, Labels]]
    ) -> None:
        """Add what a target told at one time; its series of the time `before` that are not among them have ended."""
        for key, value in samples.items():
            series = self._find(key, at)
            if series is not None:
                series.append(at, value)
        for key in before:
            if key not in samples and (ended := self._series.get(key)) is not None:
                ended.end(at)
        if at - self._swept >= _SWEEP_EVERY or len(self._series) > 2 * self._most:
            self._sweep(at)

    def _find(self, key: tuple[str, Labels], at: float) -> Series | None:
        if key in self._series:
            return self._series[key]
        name, labels = key
        given = dict(labels)
        found = [selector for selector in self._selectors.get(name, ()) if selector.fits(given)]
        if not found:
            self._series[key] = None
            return None
        if self._kept >= self._most:
            if at - self._told >= _SWEEP_EVERY:  # one line, and not one for each of those that come with it
                self._told = at
                log.error("alerts_leave_series_out", metric=name, most=self._most)
            self._series[key] = None
            return None
        keep = Keep(LOOKBACK, LOOKBACK)
        for selector in found:
            keep |= selector.keep
        series = self._series[key] = Series(labels, keep)
        self._kept += 1
        for selector in found:
            selector.series.append(series)
        return series

    def _sweep(self, at: float) -> None:
        """Forget series that have been gone for so long that nobody looks back on them, and those that are not kept:
        their labels may never come again."""
        self._swept = at
        self._series = {
            key: found for key, found in self._series.items() if found is not None and not found.is_past(at)
        }
        left = {id(found) for found in self._series.values()}
        self._kept = len(left)
        for selectors in self._selectors.values():
            for selector in selectors:
                selector.series = [series for series in selector.series if id(series) in left]
