"""The parts, a line each."""

from collections.abc import Sequence

from rich.text import Text

from magi.cli.top.frame import PartLine
from magi.cli.top.table import Column, cut, heading, table
from magi.cli.top.words import DIM, NOTHING, STYLES, age, count, estimated, joined, mark, percent, said, size

COLUMNS = (
    Column("", "left"),
    Column("part", "left", 9, 8),
    Column("pid", keep=6),
    Column("up", keep=5, least_wide=6),
    Column("cpu", keep=7, least_wide=5),
    Column("memory", keep=6, least_wide=8),
    Column("loop lag", keep=5, least_wide=8),
    Column("reconn", keep=4),
    Column("at", "left", 3, 9),
    Column("", "left", 8, 26),
)
LAG = 0.25
"""Seconds: as the alert MagiLoopStalls."""


def draw_parts(lines: Sequence[PartLine], width: int, height: int, first: int = 0) -> list[Text]:
    """The section, with its heading."""
    if height <= 1:
        return []
    if not lines:
        return [heading("Parts", width), said("none is known", DIM)][:height]
    return [heading("Parts", width), *table(COLUMNS, [_row(line) for line in lines], width, height - 1, first)]


def draw_parts_briefly(lines: Sequence[PartLine], width: int) -> Text:
    """All of them on one line, for small screens."""
    pieces = []
    for line in lines:
        cpu = f" {percent(line.cpu)}" if line.cpu is not None else " down" if line.level == "critical" else ""
        name = said(f" {line.part or line.address}", "" if line.level == "good" else STYLES[line.level])
        pieces.append(joined(mark(line.level), name, said(cpu, DIM)))
    return cut(joined(said("parts  ", DIM), *pieces, by="  ") if pieces else said("parts  none is known", DIM), width)


def _row(line: PartLine) -> list[Text]:
    down = line.level != "good"
    return [
        mark(line.level),
        said(line.part or NOTHING, STYLES[line.level] if down else ""),
        said(str(line.pid) if line.pid else NOTHING),
        said(age(line.up_seconds)),
        said(percent(line.cpu)),
        said(size(line.memory_bytes)),
        said(estimated(line.loop_lag), STYLES["warning"] if (line.loop_lag or 0) > LAG else ""),
        said(count(line.reconnects), "yellow" if line.reconnects else DIM),
        said(line.address, DIM),
        said(line.says if down else "", STYLES[line.level]),
    ]
