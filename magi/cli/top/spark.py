"""Sparklines: what a figure was at the last looks, a column each."""

import math
from collections.abc import Sequence

from rich.text import Text

from magi.cli.top.words import DIM, said

BARS = "▁▂▃▄▅▆▇█"


def spark(values: Sequence[float | None], width: int, style: str = "cyan") -> Text:
    """The last `width` values, the newest at the right, from nought to the greatest of them.

    A dot where there was nothing to measure, and a blank before anybody looked.
    """
    width = max(0, width)
    shown = list(values)[-width:] if width else []
    top = greatest(shown)
    line = said(" " * (width - len(shown)))
    for value in shown:
        if value is None or not math.isfinite(value):
            line.append("·", DIM)
        else:
            line.append(BARS[_step(value, top)], style)
    return line


def greatest(values: Sequence[float | None]) -> float:
    """0 of none."""
    return max((value for value in values if value is not None and math.isfinite(value)), default=0.0)


def _step(value: float, top: float) -> int:
    if top <= 0 or value <= 0:
        return 0
    return min(len(BARS) - 1, max(1, math.ceil(value / top * len(BARS)) - 1))
