"""Requests and latencies: figures, and what they were in the last minutes."""

from collections.abc import Mapping, Sequence

from rich.text import Text

from magi.cli.top.frame import Latency, Requests, Shares
from magi.cli.top.spark import greatest, spark
from magi.cli.top.table import Column, cut, heading, table
from magi.cli.top.words import DIM, NOTHING, STYLES, count, estimated, joined, per_second, percent, said, seconds

Trends = Mapping[str, Sequence[float | None]]
_LABEL = 12
_FIGURE = 9
SCALED = 66
"""Columns from which on a sparkline has its greatest value beside it."""
WORDS = {"pass": "green", "fail": "red"}


def draw_requests(requests: Requests, trends: Trends, width: int, height: int) -> list[Text]:
    """The section, with its heading."""
    room = max(0, width - _LABEL - _FIGURE - 2)
    none = NOTHING if requests.open is None else "none yet"
    lines = [
        heading("Requests", width),
        _rate("received", requests.received, trends.get("received", ()), room),
        _rate("decided", requests.decided, trends.get("decided", ()), room),
        joined(_label("open"), *_open(requests)),
        joined(_label("verdicts"), _shares(requests.verdicts, ("pass", "fail"), none)),
        joined(_label("decided by"), _shares(requests.decided_by, ("votes", "early", "deadline"), none)),
        joined(_label("errors"), _errors(requests.errors)),
    ]
    return [cut(line, width) for line in lines[:height]]


def _label(text: str) -> Text:
    return said(f"{text:<{_LABEL}}", DIM)


def _rate(label: str, value: float | None, trend: Sequence[float | None], room: int) -> Text:
    return joined(_label(label), said(f"{per_second(value):>{_FIGURE}}", "bold"), "  ", spark(trend, room))


def _open(requests: Requests) -> list[Text]:
    pieces = [said(f"{count(requests.open):>{_FIGURE}}", "bold")]
    if requests.oldest_seconds:
        pieces += [said("  oldest ", DIM), said(seconds(requests.oldest_seconds))]
    if requests.overdue:
        pieces += [said(f"  {count(requests.overdue)} overdue", STYLES["critical"])]
    return pieces


def _shares(shares: Shares, order: Sequence[str], none: str) -> Text:
    """What is usual first; dim where it is not of the last minute."""
    names = [name for name in order if name in shares.counts] + [name for name in shares.counts if name not in order]
    if not names:
        return said(none, DIM)
    pieces: list[Text] = []
    for name in names:
        pieces += [said("  " if pieces else "", DIM), said(f"{name} ", DIM)]
        pieces.append(said(percent(shares.share(name)), WORDS.get(name, "") if shares.recent else DIM))
    return joined(*pieces) if shares.recent else joined(*pieces, said("  since the start", DIM))


def _errors(errors: Mapping[str, float]) -> Text:
    if not any(errors.values()):
        return said("none in 5 min", DIM)
    return joined(*(joined(said(f"{code} ", DIM), said(count(n), "yellow")) for code, n in errors.items()), by="  ")


def draw_latencies(latencies: Sequence[Latency], trends: Trends, width: int, height: int) -> list[Text]:
    """The section, with its heading: p50 and p99 of the last minute, and the p99 of each of the last looks. All
    are estimates, from the buckets of histograms."""
    if height <= 1:
        return []
    columns = (
        Column("", "left"),
        Column("p50", least_wide=8),
        Column("p99", least_wide=8),
        Column("", "left", 5),
        *([Column("at most", keep=4, least_wide=8)] if width >= SCALED else []),
    )
    name = max((len(latency.name) for latency in latencies), default=0)
    room = max(0, width - name - 8 * (len(columns) - 2) - 2 * (len(columns) - 1))
    rows = []
    for latency in latencies[: height - 2]:
        shown = list(trends.get(latency.trend, ()))[-room:] if room else []
        style = "" if latency.recent else DIM
        rows.append(
            (
                said(latency.name, DIM),
                said(estimated(latency.p50), style),
                said(estimated(latency.p99), "bold" if latency.recent else DIM),
                spark(shown, room, "magenta"),
                said(estimated(greatest(shown)) if greatest(shown) else "", DIM),
            )[: len(columns)]
        )
    note = "last minute" if any(latency.recent for latency in latencies) else "since the start"
    return [heading("Latency", width, note), *table(columns, rows, width, height - 1)]


def requests_view(
    requests: Requests, latencies: Sequence[Latency], trends: Trends, width: int, height: int
) -> list[Text]:
    """Both, all of it."""
    above = draw_requests(requests, trends, width, height)
    return [*above, *draw_latencies(latencies, trends, width, height - len(above))]
