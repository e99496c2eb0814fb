"""The first line, what is wrong with the whole, and the alerts."""

from collections.abc import Sequence

from rich.text import Text

from magi.cli.top.frame import AlertLine, Frame, Header, Level
from magi.cli.top.table import Column, cut, folded, heading, padded, table
from magi.cli.top.words import DIM, MARKS, STYLES, age, joined, mark, said, size

_LEVEL: dict[str, Level] = {"critical": "critical", "warning": "warning"}
LONGEST_VERSION = 16
LOW_DISK = 0.1
"""Free of it: as the alert MagiDiskNearlyFull."""


def draw_header(header: Header, width: int, paused: str = "") -> Text:
    """One line: what it is, for how long, on what; the time at its right end."""
    version = cut(said("/".join(header.versions)), LONGEST_VERSION).plain
    title = said(f" MAGI {version} ".replace("  ", " "), "bold reverse")
    free = header.disk_free / header.disk_size if header.disk_free is not None and header.disk_size else None
    disk_style = STYLES["critical"] if free is not None and free < LOW_DISK else ""
    limit = f" of {size(header.storage_limit)}" if header.storage_limit and width >= 140 else ""
    pieces = [
        joined(mark(header.nats.level), f" NATS {header.nats.says}"),
        joined(mark(header.postgres.level), f" Postgres {header.postgres.says}"),
        *([said(f"up {age(header.up_seconds)}")] if header.up_seconds is not None else []),
        *([said(f"streams {size(header.storage_bytes)}{limit}")] if header.storage_bytes is not None else []),
        *([said(f"disk {size(header.disk_free)} free", disk_style)] if header.disk_free is not None else []),
    ]
    clock = header.at[:10] + " " + header.at[11:19] + "Z" if width >= 118 else header.at[11:19] + "Z"
    right = joined(said(f" {paused} ", "bold black on yellow") if paused else "", " ", said(clock, DIM))
    gap = "   " if width >= 100 else "  "
    while pieces:
        left = joined(title, *pieces, by=gap)
        if left.cell_len + right.cell_len <= width:
            break
        pieces.pop()
    else:
        left = title
    return cut(joined(padded(left, width - right.cell_len), right), width)


def draw_problem(header: Header, width: int) -> list[Text]:
    """Why there is nothing to be seen, on a line; nothing when there is."""
    return [cut(joined(mark("warning"), " ", said(header.problem, STYLES["warning"])), width)] if header.problem else []


def draw_alerts(frame: Frame, width: int, height: int) -> list[Text]:
    """A line each; one that says so when there are none."""
    if not frame.alerts:
        return [_no_alerts(frame)][:height]
    lines = alert_lines(frame.alerts, width)
    if len(lines) <= height:
        return lines
    more = f" … {len(lines) - height + 1} more alerts (6 shows all)"
    return [*lines[: height - 1], cut(said(more, DIM), width)] if height > 0 else []


def _no_alerts(frame: Frame) -> Text:
    """Not in green while something is down: rules wait before they fire."""
    levels = [frame.header.nats.level, frame.header.postgres.level, *(part.level for part in frame.parts)]
    if not frame.parts or "critical" in levels:
        return said(f"{MARKS['unknown']} no alert fires yet", DIM)
    return joined(mark("good"), said(" no alerts", DIM))


def alert_lines(alerts: Sequence[AlertLine], width: int) -> list[Text]:
    """In columns, without titles: name, state, since when, and what."""
    columns = (
        Column("", "left"),
        Column("", "left", 9, 12),
        Column("", "left", 5),
        Column("", "right", 8, least_wide=6),
        Column("", "left", 7, 12),
    )
    rows = [
        (
            mark(_level(alert)),
            said(alert.name, STYLES[_level(alert)]),
            said(alert.state, "" if alert.state == "firing" else DIM),
            said(age(alert.for_seconds)),
            said(alert.summary),
        )
        for alert in alerts
    ]
    return table(columns, rows, width, len(rows) + 1)[1:]


def _level(alert: AlertLine) -> Level:
    if alert.state != "firing":
        return "notice"
    return _LEVEL.get(alert.severity, "notice")


def alerts_view(frame: Frame, width: int, height: int, first: int) -> list[Text]:
    """All of them, each with its labels."""
    firing = sum(alert.state == "firing" for alert in frame.alerts)
    title = heading("Alerts", width, f"{firing} firing, {len(frame.alerts) - firing} pending")
    if not frame.alerts:
        return [title, *draw_alerts(frame, width, 1)]
    lines = [line for alert in frame.alerts for line in _whole(alert, width)]
    first = max(0, min(first, len(lines) - (height - 1)))
    return [title, *lines[first : first + max(0, height - 1)]]


def _whole(alert: AlertLine, width: int) -> list[Text]:
    """All that is known of an alert: its summary is folded, and not cut."""
    level = _level(alert)
    state = "" if alert.state == "firing" else DIM
    labels = " ".join(f"{name}={value}" for name, value in alert.labels.items() if name != "job")
    head = joined(
        *(mark(level), " ", said(alert.name, STYLES[level]), "  ", said(alert.state, state)),
        *(said(f" since {age(alert.for_seconds)}  "), said(f"{alert.severity}  {labels}", DIM)),
    )
    return [cut(head, width), *folded(alert.summary, width, 4)]
