"""A whole screen of a frame: which sections, how large, and what is left out where there is no room. Pure."""

from collections.abc import Sequence

from rich.text import Text

from magi.cli.top.draw_backlog import backlog_view, draw_backlog
from magi.cli.top.draw_header import alerts_view, draw_alerts, draw_header, draw_problem
from magi.cli.top.draw_parts import draw_parts, draw_parts_briefly
from magi.cli.top.draw_requests import Trends, draw_latencies, draw_requests, requests_view
from magi.cli.top.draw_voters import draw_voters, in_order
from magi.cli.top.frame import Frame
from magi.cli.top.help import draw_help
from magi.cli.top.table import beside, cut, padded
from magi.cli.top.view import VIEWS, View
from magi.cli.top.words import DIM, joined, said

WIDE = 110
"""Columns from which on two sections stand side by side."""
GAP = 3
SMALLEST = (40, 8)
"""Below it there is nothing to be read."""


def draw(frame: Frame, trends: Trends, view: View, width: int, height: int) -> list[Text]:
    """Exactly `height` lines, none wider than `width`."""
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return _filled([cut(said("too small for magi top"), width)], height)
    paused = "PAUSED" if view.paused else ""
    above = [draw_header(frame.header, width, paused), *draw_problem(frame.header, width)]
    room = height - len(above) - 1
    body = draw_help(width, room) if view.helps else _body(frame, trends, view, width, room)
    return [*_filled([*above, *body[:room]], height - 1), _footer(view, width)]


def _filled(lines: list[Text], height: int) -> list[Text]:
    return [*lines, *(said("") for _ in range(height - len(lines)))][:height]


def _body(frame: Frame, trends: Trends, view: View, width: int, height: int) -> list[Text]:
    match view.name:
        case "requests":
            return requests_view(frame.requests, frame.latencies, trends, width, height)
        case "voters":
            return draw_voters(in_order(frame.voters, view.order), width, height, view.order, view.first)
        case "backlog":
            return backlog_view(frame.backlog, frame.clients, width, height, view.first)
        case "parts":
            return draw_parts(frame.parts, width, height, view.first)
        case "alerts":
            return alerts_view(frame, width, height, view.first)
        case _ if width >= WIDE:
            return _wide(frame, trends, view, width, height)
        case _:
            return _narrow(frame, trends, view, width, height)


def _voters(frame: Frame, view: View, width: int, height: int) -> list[Text]:
    return draw_voters(in_order(frame.voters, view.order), width, height, view.order, view.first)


def _wide(frame: Frame, trends: Trends, view: View, width: int, height: int) -> list[Text]:
    """Two times two sections side by side, and the voters, which may be many, below them."""
    left = (width - GAP) // 2
    widths = (left, width - GAP - left)
    alerts = draw_alerts(frame, width, max(1, height // 5))
    # What there is of latencies is more than of requests: it gets a third of the screen.
    top = min(2 + len(frame.latencies), max(7, height // 3 + 1))
    bottom = _lower(frame) if height >= 24 else 0
    above = beside(
        draw_requests(frame.requests, trends, widths[0], top),
        draw_latencies(frame.latencies, trends, widths[1], top),
        widths,
        GAP,
    )
    below = beside(
        draw_backlog(frame.backlog, frame.clients, widths[0], bottom),
        draw_parts(frame.parts, widths[1], bottom),
        widths,
        GAP,
    )
    if not below:
        below = [draw_parts_briefly(frame.parts, width)]
    between = height - len(alerts) - len(above) - len(below)
    return [*alerts, *above, *below, *_voters(frame, view, width, between)]


def _narrow(frame: Frame, trends: Trends, view: View, width: int, height: int) -> list[Text]:
    """One below the other; without room, the latencies go first, then the backlog."""
    alerts = draw_alerts(frame, width, max(1, height // 7))
    left = height - len(alerts)
    requests = draw_requests(frame.requests, trends, width, 7 if left >= 16 else 4)
    latencies = draw_latencies(frame.latencies, trends, width, _latency_lines(left))
    parts = [draw_parts_briefly(frame.parts, width)]
    wanted = min(len(frame.voters), 3) + 2
    spare = left - len(requests) - len(latencies) - len(parts) - wanted
    lower = draw_backlog(frame.backlog, frame.clients, width, _backlog_lines(spare, len(frame.voters)))
    if spare - len(lower) >= len(frame.parts) + 6:
        parts = draw_parts(frame.parts, width, len(frame.parts) + 2)
    between = left - len(requests) - len(latencies) - len(lower) - len(parts)
    return [*alerts, *requests, *latencies, *lower, *parts, *_voters(frame, view, width, between)]


def _backlog_lines(spare: int, voters: int) -> int:
    """Of the lines that three voters leave: the other voters come before what can be done without."""
    whole = spare >= 12 or spare - max(0, voters - 3) >= 6
    return 6 if whole else 4 if spare >= 4 else 0


def _latency_lines(height: int) -> int:
    """Heading and titles among them."""
    return 13 if height >= 44 else 5 if height >= 30 else 4 if height >= 20 else 0


def _footer(view: View, width: int) -> Text:
    tabs = []
    for number, name in enumerate(VIEWS, 1):
        style = "reverse" if name == view.name and not view.helps else ""
        tabs.append(joined(said(str(number), DIM), said(f" {name} " if style else f" {name}", style)))
    keys = said("  s sort  p pause  ? help  q quit", DIM)
    views = joined(*tabs, by="  ")
    if views.cell_len + keys.cell_len > width:
        views = joined(said("1-6", DIM), " ", said(f" {view.name} ", "reverse"))
    return joined(padded(cut(views, width - keys.cell_len), width - keys.cell_len), keys)


def natural_height(frame: Frame, width: int) -> int:
    """Of an overview in which all voters and alerts have their line."""
    around = 2 + bool(frame.header.problem) + max(1, len(frame.alerts))
    sections = 7 + 13 + 6 + len(frame.parts) + 2  # requests, latencies, backlog and parts, one below the other
    if width >= WIDE:
        sections = 2 + len(frame.latencies) + _lower(frame)
    return max(around + sections + 2 + max(1, len(frame.voters)), 5 * len(frame.alerts), 30)


def _lower(frame: Frame) -> int:
    return max(6, 2 + len(frame.parts))


def without_blank_ends(lines: Sequence[Text]) -> list[Text]:
    """For what is printed once: of the lines, and of the screen."""
    found = [line.copy() for line in lines]
    for line in found:
        line.rstrip()
    while found and not found[-1].plain.strip():
        found.pop()
    return found
