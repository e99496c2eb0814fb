"""Figures and names as the screen shows them: few digits, and nothing that could steer a terminal."""

import math

from rich.text import Text

from magi.cli.safe import printable_line
from magi.cli.sizes import rough_size
from magi.cli.top.frame import Level

NOTHING = "–"
"""Where nobody tells a figure."""
STYLES: dict[Level, str] = {
    "good": "green",
    "unknown": "bright_black",
    "notice": "cyan",
    "warning": "yellow",
    "critical": "bold red",
}
DIM = "bright_black"
MARKS: dict[Level, str] = {"good": "●", "unknown": "○", "notice": "●", "warning": "▲", "critical": "✖"}
"""Shapes beside the colours: not everybody sees those, and not every terminal has them."""


def said(text: str, style: str = "") -> Text:
    """Any text on one line. All that this screen shows goes through here."""
    return Text(printable_line(text), style, no_wrap=True, end="")


def joined(*pieces: Text | str, by: str = "") -> Text:
    """Pieces one after the other."""
    return Text(by, end="", no_wrap=True).join([said(p) if isinstance(p, str) else p for p in pieces])


def mark(level: Level) -> Text:
    return said(MARKS[level], STYLES[level])


def count(value: float | None) -> str:
    """``0``, ``999``, ``1,234``, ``12.3k``, ``1.2M``."""
    if value is None:
        return NOTHING
    if value < 10_000:
        return f"{value:,.0f}"
    for unit in ("k", "M"):
        value /= 1000
        if value < 1000:
            return f"{value:.1f}{unit}" if value < 100 else f"{value:.0f}{unit}"
    return f"{value / 1000:.1f}G"


def per_second(value: float | None) -> str:
    """``0/s``, ``0.05/s``, ``3.4/s``, ``412/s``."""
    if value is None:
        return NOTHING
    if value == 0 or value >= 9.95:
        return f"{count(value)}/s"
    return f"{value:.1f}/s" if value >= 0.095 else f"{value:.2f}/s" if value >= 0.005 else "<0.01/s"


def seconds(value: float | None) -> str:
    """A duration that is measured: ``0.4 ms``, ``12 ms``, ``1.2 s``, ``45 s``, ``2m05s``."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value < 0.00995:
        return f"{value * 1000:.1f} ms" if value else "0 ms"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 9.95 else age(value)


def estimated(value: float | None) -> str:
    """A duration that was estimated, as a quantile is from the buckets of a histogram: ``~12 ms``."""
    shown = seconds(value)
    return shown if shown == NOTHING else f"~{shown}"


def age(value: float | None) -> str:
    """How long something is ago or lasts: ``45 s``, ``2m05s``, ``3h04m``, ``2d03h``."""
    if value is None:
        return NOTHING
    whole = max(0, int(value))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes == 0:
        return f"{whole} s"
    if hours == 0:
        return f"{minutes}m{whole % 60:02d}s"
    return f"{hours}h{minutes % 60:02d}m" if days == 0 else f"{days}d{hours % 24:02d}h"


def percent(share: float | None) -> str:
    """Whole, but never 0 % of something and never 100 % of less than all."""
    if share is None:
        return NOTHING
    if 0 < share < 0.01:
        return "<1 %"
    return ">99 %" if 0.99 < share < 1 else f"{share * 100:.0f} %"


def size(value: float | None) -> str:
    return NOTHING if value is None else rough_size(round(value))
