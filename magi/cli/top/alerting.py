"""The rules of magi-rules.yml over what top itself has scraped: what is pending and firing, seen from here."""

from collections.abc import Sequence

from magi.alerts.alert import Scrape
from magi.alerts.evaluation import Evaluator
from magi.alerts.rules import load_rules
from magi.cli.top.frame import AlertLine
from magi.cli.top.scraped import Reading

EVERY = 5.0
"""Seconds between two evaluations: the rules look back over minutes, and each costs some milliseconds."""


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
        self._alerts = tuple(
            AlertLine(a.name, a.state, a.severity, max(0.0, now - a.since), dict(a.labels), a.summary)
            for a in self._evaluator.observe(scrapes, now)
        )
        return self._alerts
