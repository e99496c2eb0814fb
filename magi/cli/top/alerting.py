"""What is pending and firing: as `magi serve` has evaluated it, else the rules over what top itself has scraped."""

from collections.abc import Iterable, Sequence

from magi.alerts.alert import Alert, Scrape
from magi.alerts.evaluation import Evaluator
from magi.alerts.rules import load_rules
from magi.alerts.state_file import evaluating, read_state
from magi.cli.context import Context
from magi.cli.top.frame import AlertLine
from magi.cli.top.scraped import Reading

EVERY = 5.0
"""Seconds between two evaluations: the rules look back over minutes, and each costs some milliseconds."""
LATE = 30.0
"""Seconds past the next evaluation after which nobody seems to evaluate any more."""


class Alerting:
    def __init__(self) -> None:
        """Raises RulesError."""
        self._evaluator = Evaluator(load_rules())
        self._next = float("-inf")
        self._ahead: float | None = None
        self._alerts: tuple[AlertLine, ...] = ()

    def observe(self, readings: Sequence[Reading], at: float, wall: float) -> tuple[AlertLine, ...]:
        """What stands now: at `wall` in seconds since 1970, and `at` on a clock that never goes back."""
        if at < self._next:
            return self._alerts
        self._next = at + EVERY
        if self._ahead is None:
            self._ahead = wall - at
        now = at + self._ahead  # a clock that is put back would be the past, and refused
        scrapes = [Scrape(r.target.part, r.target.address, r.text if r.up else None) for r in readings]
        self._alerts = _lines(self._evaluator.observe(scrapes, now), now)
        return self._alerts


def evaluated(ctx: Context, wall: float) -> tuple[AlertLine, ...] | None:
    """What `magi alerts` shows of the data directory; None when nobody evaluates there."""
    state = read_state(ctx.data / "run")
    if state is None or wall - state.at > ctx.settings.alerts.every_seconds + LATE or not evaluating(state):
        return None
    return _lines(state.alerts, wall)


def _lines(alerts: Iterable[Alert], now: float) -> tuple[AlertLine, ...]:
    return tuple(
        AlertLine(a.name, a.state, a.severity, max(0.0, now - a.since), dict(a.labels), a.summary) for a in alerts
    )
