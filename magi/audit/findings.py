"""What an audit finds: one thing that is wrong at one place, and how bad it is."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

Severity = Literal["broken", "unchecked", "note"]
"""`broken`: it can't be what was written. `unchecked`: it can't be told here. `note`: allowed, and worth knowing."""

Kind = Literal[
    "hole",
    "cut_off",
    "changed_since",
    "unreadable",
    "misplaced",
    "version",
    "chain",
    "event_id",
    "cause",
    "history",
    "not_on_panel",
    "unauthorized",
    "verdict",
    "manifest",
    "strategy_missing",
    "suspended",
    "initiator_revoked",
    "overdue",
    "clock",
]

_SEVERITY: dict[Kind, Severity] = {
    "strategy_missing": "unchecked",
    "suspended": "note",
    "initiator_revoked": "note",
    "overdue": "note",
    "clock": "note",
}

MOST = 1000
"""Findings kept of one audit. A log that is broken in more places is not understood by reading more of them."""


class Problem(Struct, frozen=True):
    """What a check says about the event that it was given."""

    kind: Kind
    message: str


class Finding(Struct, frozen=True):
    """A problem and where it is. The message may quote the event: it is untrusted text."""

    kind: Kind
    severity: Severity
    stream: str
    sequence: int
    """Of the message in the stream, with all its events; 0 when it is about no single one."""
    aggregate: str
    """Empty when it is about no single one."""
    version: int
    """Of the event; 0 when it is about no single one."""
    message: str


def severity_of(kind: Kind) -> Severity:
    return _SEVERITY.get(kind, "broken")


class Findings:
    """All that an audit found: the first `MOST` of them, and how many there were of each kind."""

    def __init__(self) -> None:
        self.first: list[Finding] = []
        self.counts: Counter[Kind] = Counter()

    def add(
        self, stream: str, sequence: int, aggregate: str, version: int, problems: Iterable[Problem]
    ) -> list[Finding]:
        """Take in what was found at one place, and return it."""
        found = [
            Finding(p.kind, severity_of(p.kind), stream, sequence, aggregate, version, p.message) for p in problems
        ]
        for finding in found:
            self.counts[finding.kind] += 1
            if len(self.first) < MOST:
                self.first.append(finding)
        return found

    def count(self, severity: Severity) -> int:
        return sum(n for kind, n in self.counts.items() if severity_of(kind) == severity)
