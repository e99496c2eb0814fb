"""Keeps what was seen for some minutes, and makes a frame of each look. Pure but for what it remembers."""

from collections import deque
from collections.abc import Mapping, Sequence

from msgspec import Struct

from magi.cli.top.backlog_model import backlog
from magi.cli.top.counting import Gauges, Growth, Totals, growth
from magi.cli.top.frame import AlertLine, Frame
from magi.cli.top.parts_model import clients, header, parts
from magi.cli.top.requests_model import Windows, latencies, requests, trends
from magi.cli.top.scraped import Reading
from magi.cli.top.seen import Seen
from magi.cli.top.voters_model import voters
from magi.telemetry import declarations as d

NOW, RECENT, MINUTES = 10.0, 60.0, 300.0
"""Seconds: of rates, of quantiles and shares, and of what is rare."""
STEP = 5.0
"""Seconds of a trend's point: a screen is to show some minutes."""
KEPT = 600
"""Points of a trend: more than a screen is wide."""
_SEVERITIES = ("critical", "warning", "info")


class _Look(Struct, frozen=True):
    at: float
    growths: tuple[Growth, ...]


class Recorder:
    def __init__(self) -> None:
        self._looks: deque[_Look] = deque()
        self._last: dict[str, Reading] = {}
        """The last answer of each part, by address."""
        self._voted: dict[str, float] = {}
        self.trends: dict[str, deque[float | None]] = {}
        """A value every `STEP`, or as seldom as was looked, the newest last; None where there was nothing to see."""
        self._stepped = float("-inf")

    def observe(self, seen: Seen) -> Frame:
        """The frame of what was seen now, with the figures since earlier looks."""
        growths = tuple(growth(self._last.get(r.target.address), r) for r in seen.readings)
        known = {r.target.address: self._last.get(r.target.address) for r in seen.readings}
        latest = {r.target.address: r if r.up else known[r.target.address] for r in seen.readings}
        self._last = {address: reading for address, reading in latest.items() if reading}
        self._looks.append(_Look(seen.at, growths))
        while self._looks and self._looks[0].at < seen.at - MINUTES:
            self._looks.popleft()
        up = [r for r in seen.readings if r.up]
        gauges = Gauges(up)
        there = {r.target.address for r in up}
        # A part that is gone does nothing now: its last seconds don't count as a rate.
        now = [one for one in self._since(seen.at - NOW) if one.address in there]
        windows = Windows(
            Totals(now),
            Totals(self._since(seen.at - RECENT)),
            Totals(self._since(seen.at - MINUTES)),
            Totals.since_start(self._last.values()),
        )
        for voter in Totals(growths).by(d.VOTES.name, "voter"):
            self._voted[voter] = seen.at
        self._keep(trends(windows, gauges), seen.at)
        return Frame(
            header=header(seen, gauges),
            alerts=tuple(sorted(seen.alerts, key=_urgent)),
            requests=requests(windows, gauges),
            latencies=latencies(windows),
            voters=voters(windows, gauges, seen.registered, self._voted, seen.at),
            backlog=backlog(windows, gauges, seen),
            clients=clients(windows, gauges),
            parts=parts(seen, _by_address(now), _by_address(self._since(seen.at - RECENT))),
        )

    def _keep(self, values: Mapping[str, float | None], at: float) -> None:
        """The newest point is that of the last look, until its time is over."""
        steps = at - self._stepped >= STEP
        if steps:
            self._stepped = at
        for name, value in values.items():
            trend = self.trends.setdefault(name, deque(maxlen=KEPT))
            if not steps:
                trend.pop()
            trend.append(value)

    def _since(self, at: float) -> list[Growth]:
        return [one for look in self._looks if look.at > at for one in look.growths]


def _by_address(growths: Sequence[Growth]) -> Mapping[str, Sequence[Growth]]:
    found: dict[str, list[Growth]] = {}
    for one in growths:
        found.setdefault(one.address, []).append(one)
    return found


def _urgent(alert: AlertLine) -> tuple[bool, int, float, str]:
    """Firing first, then the worst, then the newest."""
    severity = _SEVERITIES.index(alert.severity) if alert.severity in _SEVERITIES else len(_SEVERITIES)
    return alert.state != "firing", severity, alert.for_seconds, alert.name
