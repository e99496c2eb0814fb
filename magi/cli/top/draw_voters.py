"""The voters, a line each."""

from collections.abc import Sequence

from rich.text import Text

from magi.cli.top.frame import VoterLine
from magi.cli.top.table import Column, heading, table
from magi.cli.top.words import DIM, NOTHING, STYLES, age, count, estimated, mark, per_second, percent, said
from magi.cli.top.words import joined as _joined

COLUMNS = (
    Column("", "left"),
    Column("voter", "left", 9, 10),
    Column("status", "left", 3),
    Column("inst", keep=6),
    Column("in flight", keep=5),
    Column("wait", keep=4, least_wide=4),
    Column("votes/s", keep=8, least_wide=7),
    Column("pass", keep=7, least_wide=5),
    Column("fail", keep=7, least_wide=5),
    Column("abst", keep=3, least_wide=5),
    Column("p50", keep=2, least_wide=7),
    Column("p95", keep=6, least_wide=7),
    Column("missed", keep=7),
    Column("failed", keep=5),
    Column("last vote", keep=2, least_wide=7),
    Column("", "left", 7, 20),
)


def draw_voters(lines: Sequence[VoterLine], width: int, height: int, order: str = "", first: int = 0) -> list[Text]:
    """The section, with its heading: as many as have room, and how many more there are."""
    if height <= 1:
        return []
    if not lines:
        return [heading("Voters", width), said("none is registered, or nobody tells", DIM)][:height]
    active = sum(line.status == "active" for line in lines)
    suspended = sum(line.status == "suspended" for line in lines)
    note = f"{active} active" + (f", {suspended} suspended" if suspended else "")
    note += f", by {order}" if order else ""
    rows = [_row(line) for line in lines]
    return [heading("Voters", width, note), *table(COLUMNS, rows, width, height - 1, first)]


def _row(line: VoterLine) -> list[Text]:
    share = "" if line.votes.recent else DIM
    status = STYLES["warning"] if line.status == "suspended" else DIM
    return [
        mark(line.level),
        said(line.name, "" if line.level == "good" else STYLES[line.level]),
        said(line.status or NOTHING, status),
        said(count(line.instances), STYLES["critical"] if line.instances == 0 and line.status == "active" else ""),
        _in_flight(line),
        said(count(line.waiting), "yellow" if line.waiting else DIM),
        said(per_second(line.per_second).removesuffix("/s"), "bold" if line.per_second else DIM),
        said(percent(line.votes.share("pass")), share),
        said(percent(line.votes.share("fail")), share),
        said(percent(line.votes.share("abstain")), share),
        said(estimated(line.p50), share),
        said(estimated(line.p95), share),
        said(count(line.missing), STYLES["critical"] if line.missing else DIM),
        said(count(line.failed), "yellow" if line.failed else DIM),
        said(_last_vote(line), DIM),
        said(line.why, STYLES[line.level]),
    ]


def _in_flight(line: VoterLine) -> Text:
    if line.capacity is None:
        return said(count(line.in_flight))
    full = line.in_flight is not None and line.capacity > 0 and line.in_flight >= line.capacity
    return _joined(said(count(line.in_flight), "yellow" if full else ""), said(f"/{count(line.capacity)}", DIM))


def _last_vote(line: VoterLine) -> str:
    if line.last_vote is not None:
        return "now" if line.last_vote < 1 else age(line.last_vote)
    return "earlier" if line.ever else NOTHING


ORDERS = ("attention", "name", "votes", "p95", "missed", "waiting")
"""What `s` goes through."""


def in_order(lines: Sequence[VoterLine], order: str) -> list[VoterLine]:
    """Sorted for the eye; as they come, which is by what needs attention, for every other word."""
    match order:
        case "name":
            return sorted(lines, key=lambda line: line.name)
        case "votes":
            return sorted(lines, key=lambda line: -line.per_second)
        case "p95":
            return sorted(lines, key=lambda line: -(line.p95 or 0.0))
        case "missed":
            return sorted(lines, key=lambda line: -(line.missing + line.failed))
        case "waiting":
            return sorted(lines, key=lambda line: -(line.waiting or 0))
        case _:
            return list(lines)
