"""What is posted of the alerts, and when: one notice for all alerts of a rule, at once when the first of them fires.

A change is told a minute after the notice before at the earliest, what goes on firing again every few hours, and in the
end that nothing fires any more. What nobody took is due again: only what was delivered counts as told.
"""

from collections.abc import Iterable, Mapping, Set
from datetime import UTC, datetime
from typing import Literal

import msgspec
from msgspec import Struct

from magi.alerts.alert import Alert

Key = tuple[str, tuple[tuple[str, str], ...]]

PAUSE = 60.0
"""Seconds between two notices of a rule."""
SHOWN = 50
"""Alerts of a rule that one notice lists: more are counted."""

TOLD_BY_ORCHESTRATORS: Mapping[str, str] = {
    "MagiVoterMissing": "min by (voter) (min_over_time(magi_voter_active[5m])) == 0",
    "MagiVoterFailing": "min by (voter) (min_over_time(magi_voter_active[5m])) == 0",
    "MagiVoterKept": "vector(1)",
}
"""Alerts that aren't posted as long as an expression has a result whose labels are the alert's: the orchestrators have
posted `voter.ejected` or `voter.kept` then, sooner and with the reason. In the log and in `magi alerts` they are."""


class Notice(Struct, frozen=True):
    name: str
    type: Literal["alert.firing", "alert.resolved"]
    at: float
    firing: tuple[Alert, ...]
    resolved: tuple[Alert, ...]
    """Those that fired at the notice before, and don't now."""


class Told(Struct, frozen=True):
    """What was delivered last of a rule."""

    at: float
    firing: tuple[Alert, ...]


class Notices:
    """Knows what was told."""

    def __init__(self, repeat_seconds: float, told: Mapping[str, Told] | None = None) -> None:
        """`repeat_seconds` 0: nothing is repeated. `told` is that of an earlier life."""
        self._repeat = repeat_seconds or float("inf")
        self._told = dict(told or {})
        self._under_way: set[str] = set()

    @property
    def told(self) -> Mapping[str, Told]:
        return self._told

    def due(self, alerts: Iterable[Alert], unposted: Set[Key], at: float) -> list[Notice]:
        """What has to be posted now; each is under way until `ended` says how it went."""
        firing: dict[str, list[Alert]] = {}
        for alert in alerts:
            known = self._told.get(alert.name)
            if alert.state == "firing" and (
                alert.key not in unposted or (known and alert.key in {one.key for one in known.firing})
            ):
                firing.setdefault(alert.name, []).append(alert)
        notices = []
        for name in sorted((firing.keys() | self._told.keys()) - self._under_way):
            if (notice := self._notice(name, firing.get(name, []), at)) is not None:
                self._under_way.add(name)
                notices.append(notice)
        return notices

    def _notice(self, name: str, firing: list[Alert], at: float) -> Notice | None:
        told = self._told.get(name)
        if told is None:
            return Notice(name, "alert.firing", at, tuple(firing), ())
        now = {alert.key for alert in firing}
        resolved = tuple(alert for alert in told.firing if alert.key not in now)
        changed = bool(resolved) or now != {alert.key for alert in told.firing}
        if 0 <= at - told.at < (PAUSE if changed else self._repeat):  # else the clock was set back: nothing is too soon
            return None
        return Notice(name, "alert.firing" if firing else "alert.resolved", at, tuple(firing), resolved)

    def ended(self, notice: Notice, delivered: bool) -> None:
        """It was delivered, or given up."""
        self._under_way.discard(notice.name)
        if not delivered:
            return
        if notice.firing:
            self._told[notice.name] = Told(notice.at, notice.firing)
        else:
            self._told.pop(notice.name, None)


def body(notice: Notice, by: str) -> bytes:
    """What is posted; `by` says which MAGI it is. A value that is no finite number is null."""
    first = (notice.firing or notice.resolved)[0]
    return msgspec.json.encode(
        {
            "type": notice.type,
            "timestamp": written(notice.at),
            "data": {
                "alert": notice.name,
                "severity": first.severity,
                "runbook": first.runbook,
                "by": by,
                "firing": [_shown(alert) for alert in notice.firing[:SHOWN]],
                "resolved": [_shown(alert) for alert in notice.resolved[:SHOWN]],
                "more": max(0, len(notice.firing) - SHOWN) + max(0, len(notice.resolved) - SHOWN),
            },
        }
    )


def _shown(alert: Alert) -> dict[str, object]:
    return {
        "summary": alert.summary,
        "since": written(alert.since),
        "value": alert.value,
        "labels": dict(alert.labels),
    }


def written(at: float) -> str:
    """A Unix time in RFC 3339."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
