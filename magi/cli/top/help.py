"""What `?` shows: the keys, and what the figures are."""

from rich.text import Text

from magi.cli.top.table import cut, folded, heading
from magi.cli.top.words import MARKS, joined, said

KEYS = (
    ("q  Ctrl-C", "quit"),
    ("p", "hold the screen still; it goes on counting"),
    ("tab  ← →  1…6", "the other views; Esc: the overview"),
    ("↑ ↓  PgUp PgDn", "scroll the voters, or what the view lists"),
    ("s  S", "sort the voters by another column"),
    ("w", "write what is shown to a picture, magi-top-….svg, here"),
    ("?", "this, and back with any key"),
)
FIGURES = (
    ("rates", "a second, over the last ten seconds"),
    ("p50 p95 p99", "~: estimated from histograms, of the last minute; dim: since the start, as nothing was of late"),
    ("pass fail abst", "shares of a voter's votes, likewise"),
    ("missed failed", "deadlines without its vote, tasks it couldn't judge: in 5 minutes"),
    ("own share", "what a request cost of MAGI's own time, without the voters'"),
    ("sparklines", "a column for five seconds, from nought up; · nothing measured"),
    (
        "marks",
        f"{MARKS['good']} well   {MARKS['warning']} look at it   {MARKS['critical']} now   {MARKS['unknown']} unknown",
    ),
    ("alerts", "of magi-rules.yml, over what was seen since top was started"),
)
_INDENT = 18


def draw_help(width: int, height: int) -> list[Text]:
    """At most `height` lines."""
    lines = [heading("Keys", width), *(line for row in KEYS for line in _row(*row, width))]
    lines += [heading("Figures", width), *(line for row in FIGURES for line in _row(*row, width))]
    return [cut(line, width) for line in lines[:height]]


def _row(name: str, what: str, width: int) -> list[Text]:
    first, *rest = folded(what, width, _INDENT)
    return [joined(said(f"  {name:<{_INDENT - 2}}", "bold"), said(first.plain[_INDENT:])), *rest]
