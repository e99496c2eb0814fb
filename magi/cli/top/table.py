"""Tables and headings that fit: what is too much is left out, column by column and line by line."""

import textwrap
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from rich.text import Text

from magi.cli.top.words import DIM, joined, said

GAP = 2
"""Blanks between two columns."""


class Column(Struct, frozen=True):
    title: str
    align: Literal["left", "right"] = "right"
    keep: int = 9
    """The lowest are left out first where the line is too short."""
    least: int = 0
    """Columns of the terminal to which it may be cut. 0: none of it may."""
    least_wide: int = 0
    """At least so wide, so that figures that change don't move the columns."""


def heading(title: str, width: int, note: str = "") -> Text:
    """A section's title, with a line to the end of it."""
    said_note = f" {note} " if note else ""
    rest = width - len(title) - len(said_note) - 4
    if rest < 0:
        return cut(joined(said("─ ", DIM), said(title, "bold")), width)
    return joined(
        said("─ ", DIM), said(title, "bold"), said(" " + "─" * rest, DIM), said(said_note, DIM), said("─", DIM)
    )


def cut(text: Text, width: int) -> Text:
    """At most `width` wide; with ``…`` where something is missing."""
    short = text.copy()
    short.truncate(max(0, width), overflow="ellipsis")
    return short


def folded(text: str, width: int, indent: int) -> list[Text]:
    """As many lines as it needs, each indented."""
    lines = textwrap.wrap(said(text).plain, max(8, width - indent))
    return [cut(said(" " * indent + line), width) for line in lines]


def padded(text: Text, width: int) -> Text:
    """Exactly `width` wide."""
    short = cut(text, width)
    short.pad_right(width - short.cell_len)
    return short


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int, height: int, first: int = 0
) -> list[Text]:
    """At most `height` lines, titles included, of at most `width`; of the rows those from `first` on.

    Where rows are left out, the last line says how many.
    """
    if height <= 0:
        return []
    shown, more = _shown(rows, height - 1, first)
    kept = [i for i, c in enumerate(columns) if c.title or any(row[i].plain for row in rows)]
    natural = [
        max(len(c.title), c.least_wide, *(row[i].cell_len for row in rows)) if rows else len(c.title)
        for i, c in enumerate(columns)
    ]
    while len(kept) > 1 and _wide(columns, natural, kept) > width:
        kept.remove(min(kept, key=lambda i: (columns[i].keep, -i)))
    widths = _cut_to(columns, natural, kept, width)
    titles = [said(column.title, DIM) for column in columns]
    lines = [cut(_line(columns, widths, kept, cells), width) for cells in [titles, *shown]]
    return [*lines, cut(said(more, DIM), width)] if more else lines


def _shown(rows: Sequence[Sequence[Text]], height: int, first: int) -> tuple[Sequence[Sequence[Text]], str]:
    first = max(0, min(first, len(rows) - height)) if len(rows) > height else 0
    if len(rows) <= height:
        return rows, ""
    shown = rows[first : first + max(0, height - 1)]
    before, after = first, len(rows) - first - len(shown)
    above = f"{before} above, " if before else ""
    return shown, f"… {above}{after} more" if after else f"… {before} above"


def _wide(columns: Sequence[Column], widths: Sequence[int], kept: Sequence[int]) -> int:
    """How wide they are when those that may be cut are."""
    return sum(min(widths[i], columns[i].least or widths[i]) for i in kept) + GAP * (len(kept) - 1)


def _cut_to(columns: Sequence[Column], widths: Sequence[int], kept: Sequence[int], width: int) -> list[int]:
    found = list(widths)
    over = sum(found[i] for i in kept) + GAP * (len(kept) - 1) - width
    for i in reversed(kept):
        if over > 0 and columns[i].least:
            less = min(over, max(0, found[i] - columns[i].least))
            found[i] -= less
            over -= less
    return found


def _line(columns: Sequence[Column], widths: Sequence[int], kept: Sequence[int], cells: Sequence[Text]) -> Text:
    found = []
    for i in kept:
        cell = cut(cells[i], widths[i])
        blank = widths[i] - cell.cell_len
        if columns[i].align == "right":
            cell.pad_left(blank)
        else:
            cell.pad_right(blank)
        found.append(cell)
    return joined(*found, by=" " * GAP)


def beside(left: Sequence[Text], right: Sequence[Text], widths: tuple[int, int], gap: int) -> list[Text]:
    """Two blocks of lines side by side, each as wide as is said."""
    height = max(len(left), len(right))
    empty = said("")
    return [
        joined(
            padded(left[i] if i < len(left) else empty, widths[0]),
            " " * gap,
            cut(right[i] if i < len(right) else empty, widths[1]),
        )
        for i in range(height)
    ]
