"""How `magi alerts` shows what fires."""

import math

import msgspec
from rich.text import Text

from magi.alerts.alert import Alert
from magi.alerts.notices import written
from magi.alerts.state_file import AlertsState
from magi.alerts.template import humanize_duration, number
from magi.cli.safe import printable

_COLOURS = {"critical": "bold red", "warning": "yellow"}


def table(state: AlertsState, now: float) -> Text:
    """A line an alert, and where to read what to do about it."""
    text = Text()
    for alert in state.alerts:
        colour = _COLOURS.get(alert.severity, "cyan") if alert.state == "firing" else "dim"
        since = humanize_duration(float(int(max(0.0, now - alert.since))))
        text.append(f"{alert.severity if alert.state == 'firing' else alert.state:<9}", colour)
        text.append(f" {alert.name:<22} {since:>14}  {plain(alert.value):>8}  {printable(alert.summary)}\n")
        if alert.state == "firing" and alert.runbook:
            text.append(f"{'':10}what to do: {printable(alert.runbook)}\n", "dim")
    for target in state.targets:
        if not target.up:
            text.append(f"not scraped: the {target.part or 'part'} at {target.address}\n", "yellow")
    for rule, why in state.failing.items():
        text.append(f"can't be evaluated: {printable(rule)}: {printable(why)}\n", "yellow")
    if not state.alerts:
        text.append("no alert fires, and none is pending\n", "green")
    up = sum(target.up for target in state.targets)
    text.append(f"evaluated {max(0.0, now - state.at):.0f} s ago over {up} of {len(state.targets)} parts", "dim")
    return text


def plain(value: float) -> str:
    """``0.331``, ``12.35``, ``12,346``: without the letters of powers of ten, for m are minutes in the next column."""
    if not 1e-4 <= abs(value) < 1e15:
        return number(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def as_json(state: AlertsState) -> str:
    """For programs."""
    return msgspec.json.format(
        msgspec.json.encode(
            {
                "at": written(state.at),
                "alerts": [_as_json(alert) for alert in state.alerts],
                "targets": state.targets,
                "failing": state.failing,
            }
        )
    ).decode()


def not_yet_json() -> str:
    """The same before the first evaluation: `at` is null, and no target is known."""
    nothing: dict[str, object] = {"at": None, "alerts": [], "targets": [], "failing": {}}
    return msgspec.json.format(msgspec.json.encode(nothing)).decode()


def _as_json(alert: Alert) -> dict[str, object]:
    return {
        "name": alert.name,
        "state": alert.state,
        "severity": alert.severity,
        "since": written(alert.since),
        "value": alert.value if math.isfinite(alert.value) else None,
        "labels": dict(alert.labels),
        "summary": alert.summary,
        "runbook": alert.runbook,
    }
