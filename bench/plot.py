"""The measurement as a picture: a row a contender, panels for rate, latency and processor time, on log scales."""

import math
from html import escape

from msgspec import Struct

from bench.report import Figures, Report

NAMES = {
    "floor": ("the floor", "nats-py, no logic"),
    "magi": ("MAGI", "NATS JetStream"),
    "eventsourcing": ("eventsourcing", "Postgres"),
    "faststream": ("FastStream", "NATS JetStream"),
    "celery": ("Celery", "Redis"),
    "dbos": ("DBOS", "Postgres"),
}
COLOURS = ("#9ecae1", "#4292c6", "#08306b")
"""Fewest to most in flight."""
INK, FAINT, BAND = "#24292f", "#d8dee4", "#eef6ff"
LEFT, PANEL, GAP, TOP, ROW, STEP = 140, 250, 56, 92, 62, 17


class Panel(Struct):
    """A log axis from `low` to `high`, both powers of ten, beginning at pixel `x`."""

    title: str
    unit: str
    x: float
    low: float
    high: float

    def at(self, value: float) -> float:
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.x + share * PANEL


def draw(report: Report) -> str:
    """An SVG of its own: fonts are the reader's, the background is white."""
    names = [about.name for about in report.contenders]
    height = TOP + ROW * len(names) + 30
    width = LEFT + 3 * PANEL + 3 * GAP
    rate = _panel(0, "requests a second", "more is better", [f.median.per_second for f in report.figures])
    latency = _panel(
        1, "latency, ms: p50 ●   p99 |", "less is better", [x for f in report.figures for x in _latency(f)]
    )
    cpu = _panel(2, "CPU-ms a request", "less is better", [sum(f.median.cpu_ms.values()) for f in report.figures])
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *_legend(report),
    ]
    if "magi" in names:
        out.append(f'<rect x="0" y="{TOP + ROW * names.index("magi")}" width="{width}" height="{ROW}" fill="{BAND}"/>')
    for panel in (rate, latency, cpu):
        out += _axis(panel, TOP, TOP + ROW * len(names))
    for row, name in enumerate(names):
        y = TOP + ROW * row
        out += _row_name(name, y)
        for index, level in enumerate(report.levels):
            figures, colour = report.of(name, level), COLOURS[index % len(COLOURS)]
            line = y + ROW / 2 + (index - (len(report.levels) - 1) / 2) * STEP
            out += _dot(rate, figures.median.per_second, line, colour)
            out += _range(latency, *_latency(figures), line, colour)
            out += _dot(cpu, sum(figures.median.cpu_ms.values()), line, colour)
    return "\n".join([*out, "</svg>"]) + "\n"


def _latency(figures: Figures) -> tuple[float, float]:
    return figures.median.p50_ms, figures.median.p99_ms


def _panel(number: int, title: str, unit: str, values: list[float]) -> Panel:
    values = [value for value in values if value > 0] or [1.0]
    low, high = 10 ** math.floor(math.log10(min(values) * 0.9)), 10 ** math.ceil(math.log10(max(values) * 1.3))
    return Panel(title, unit, LEFT + GAP / 4 + number * (PANEL + GAP), low, high)


def _axis(panel: Panel, top: float, bottom: float) -> list[str]:
    out = [
        f'<text x="{panel.x:.0f}" y="{top - 34}" fill="{INK}" font-weight="600">{escape(panel.title)}</text>',
        f'<text x="{panel.x + PANEL:.0f}" y="{top - 34}" fill="#6e7781" text-anchor="end" font-size="11">'
        f"{escape(panel.unit)}</text>",
    ]
    power = panel.low
    while power <= panel.high * 1.001:
        x = panel.at(power)
        out.append(f'<line x1="{x:.1f}" y1="{top - 8}" x2="{x:.1f}" y2="{bottom}" stroke="{FAINT}"/>')
        for y in (top - 13, bottom + 16):
            out.append(f'<text x="{x:.1f}" y="{y}" fill="#57606a" text-anchor="middle">{power:,.10g}</text>')
        power *= 10
    return out


def _row_name(name: str, y: float) -> list[str]:
    title, under = NAMES[name]
    weight = "700" if name == "magi" else "600"
    return [
        f'<line x1="0" y1="{y}" x2="100%" y2="{y}" stroke="{FAINT}"/>',
        f'<text x="{LEFT - 8}" y="{y + ROW / 2 - 2}" text-anchor="end" font-size="14" font-weight="{weight}"'
        f' fill="{INK}">{escape(title)}</text>',
        f'<text x="{LEFT - 8}" y="{y + ROW / 2 + 15}" text-anchor="end" fill="#57606a">{escape(under)}</text>',
    ]


def _dot(panel: Panel, value: float, y: float, colour: str) -> list[str]:
    """On a thin stem, for on a log scale a length means nothing; the number behind it."""
    x = panel.at(value)
    return [
        f'<line x1="{panel.x:.1f}" y1="{y}" x2="{x:.1f}" y2="{y}" stroke="{colour}" stroke-width="1.5"/>',
        f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="{colour}"/>',
        _number(x + 10, y, _digits(value), "start"),
    ]


def _range(panel: Panel, p50: float, p99: float, y: float, colour: str) -> list[str]:
    """A dot and a stop, and both numbers where there is room for them."""
    left, right = panel.at(p50), panel.at(p99)
    text = f"{_digits(p50)} – {_digits(p99)}"
    behind = right + 8 + 6.4 * len(text) < panel.x + PANEL + GAP / 2
    return [
        f'<line x1="{left:.1f}" y1="{y}" x2="{right:.1f}" y2="{y}" stroke="{colour}" stroke-width="3"/>',
        f'<line x1="{right:.1f}" y1="{y - 5}" x2="{right:.1f}" y2="{y + 5}" stroke="{colour}" stroke-width="2.5"/>',
        f'<circle cx="{left:.1f}" cy="{y}" r="5" fill="{colour}"/>',
        _number(right + 8, y, text, "start") if behind else _number(left - 10, y, text, "end"),
    ]


def _number(x: float, y: float, text: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="{anchor}" font-size="11" fill="{INK}" stroke="#ffffff"'
        f' stroke-width="2.5" paint-order="stroke">{text}</text>'
    )


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.2g}" if value < 1 else f"{value:.1f}"


def _legend(report: Report) -> list[str]:
    x, out = LEFT + GAP / 4, []
    for index, level in enumerate(report.levels):
        colour = COLOURS[index % len(COLOURS)]
        out.append(f'<rect x="{x:.0f}" y="17" width="14" height="12" rx="2" fill="{colour}"/>')
        out.append(f'<text x="{x + 20:.0f}" y="27" fill="{INK}">{level} in flight</text>')
        x += 110
    out.append(
        f'<text x="{LEFT + 3 * PANEL + 2.25 * GAP:.0f}" y="27" text-anchor="end" fill="#57606a">log scales; '
        "three voters, each request eight events told to its client; loopback</text>"
    )
    return out
