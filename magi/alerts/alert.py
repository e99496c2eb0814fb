"""What goes in, the scrapes of targets, and what comes out, an alert: data only."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

State = Literal["pending", "firing"]
"""`pending`: its condition holds, and not yet for as long as the rule wants."""


class Target(Struct, frozen=True):
    """An operations port that is scraped."""

    part: str
    address: str
    """``host:port``"""
    job: str = "magi"


class Scrape(Struct, frozen=True):
    """What one target answered at one time."""

    part: str
    address: str
    """``host:port``; the label `instance` of its samples."""
    text: str | None
    """In Prometheus' text format; None when it didn't answer: then its `up` is 0."""
    job: str = "magi"


class Alert(Struct, frozen=True, kw_only=True):
    """One alert as it stands: a rule and the labels of one sample of its result."""

    name: str
    state: State
    severity: str
    """`critical`, `warning`, or whatever else the rule's label `severity` says."""
    since: float
    """Unix time since when the condition holds without a break."""
    firing_since: float | None = None
    """Unix time since when it fires; None while it is pending."""
    value: float
    """The sample's, at the last evaluation at which the condition held. It may be NaN or infinite."""
    labels: Mapping[str, str]
    """With the rule's own, without `alertname` and `severity`."""
    summary: str
    """The rule's annotation of that name, with what it has in braces filled in; else the rule's name."""
    annotations: Mapping[str, str] = {}
    """All of them, filled in."""

    @property
    def runbook(self) -> str:
        """Where the page is that says what to do; empty when the rule names none."""
        return self.annotations.get("runbook_url", "")

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Which alert it is, whenever it is asked."""
        return self.name, tuple(sorted({"severity": self.severity, **self.labels}.items()))
