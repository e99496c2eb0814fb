"""Alerts: what an operator should hear of. A log line, a count, and whoever else wants them; none of it waits."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

import structlog
from msgspec import Struct

log = structlog.get_logger(__name__)

Severity = Literal["info", "warning", "critical"]
Name = Literal["voter.ejected", "voter.kept", "voter.on_probation", "voter.recovered", "voter.ejected_again"]
"""`voter.kept`: it should be ejected, and stays, since there would be too few without it."""

SEVERITY: dict[Name, Severity] = {
    "voter.ejected": "warning",
    "voter.kept": "critical",
    "voter.on_probation": "info",
    "voter.recovered": "info",
    "voter.ejected_again": "warning",
}


class Alert(Struct, frozen=True):
    name: Name
    voter: str
    why: str
    at: str
    """RFC 3339: when the directory's event was decided that it goes with."""
    by: str
    """The orchestrator that raised it."""
    until: str = ""
    """Of an ejection: when the voter is tried again, RFC 3339."""
    ejections: int = 0
    """Of an ejection: the how manieth in a row."""

    @property
    def severity(self) -> Severity:
        return SEVERITY[self.name]


Sink = Callable[[Alert], None]
"""Takes an alert on. It must not wait: who raises it has requests to decide."""


class Alerts:
    """Raises alerts."""

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        self._sinks = tuple(sinks)
        self.raised: Counter[Name] = Counter()
        """How many of each, since the start."""

    def raise_(self, alert: Alert) -> None:
        """Tell everybody. Never raises."""
        self.raised[alert.name] += 1
        say = log.info if alert.severity == "info" else log.warning
        say("alert", name=alert.name, severity=alert.severity, voter=alert.voter, why=alert.why)
        for sink in self._sinks:
            try:
                sink(alert)
            except Exception:  # a sink may be anybody's, and what it raises must not stop the health of voters
                log.exception("alert_sink_failed", name=alert.name)
