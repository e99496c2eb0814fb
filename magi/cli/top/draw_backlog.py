"""What waits, what the gateways are connected to, and how far the views are."""

from rich.text import Text

from magi.cli.top.frame import Backlog, Clients, Level, Partition
from magi.cli.top.table import Column, cut, heading, table
from magi.cli.top.words import DIM, NOTHING, STYLES, age, count, joined, mark, percent, said, seconds, size

_LABEL = 12
LATE = 3.0
"""Seconds behind the log: less is the way of things, as views are written in batches."""
NEARLY_FULL = 0.8
"""Of a stream's limit: as the alert MagiStreamNearlyFull."""


def draw_backlog(backlog: Backlog, clients: Clients, width: int, height: int) -> list[Text]:
    """The section, with its heading: a line each for inbox, tasks, views and clients."""
    if height <= 1:
        return []
    lines = [_inbox(backlog), _tasks(backlog), _views(backlog), _clients(clients), _streams(backlog)]
    return [heading("Backlog", width), *(cut(line, width) for line in lines)][:height]


def _label(text: str) -> Text:
    return said(f"{text:<{_LABEL}}", DIM)


def _waits(value: int | None) -> Text:
    return said(f"{count(value)} wait", "yellow" if value else "")


def _inbox(backlog: Backlog) -> Text:
    owned = sum(bool(partition.owner) for partition in backlog.partitions)
    every = len(backlog.partitions)
    if not every:
        return joined(_label("inbox"), said(NOTHING))
    owners = {partition.owner for partition in backlog.partitions if partition.owner}
    whose = next(iter(owners)) if len(owners) == 1 else f"{len(owners)} owners"
    partitions = said(f"{owned}/{every} partitions owned", STYLES["critical"] if owned < every else "")
    return joined(_label("inbox"), _waits(backlog.untaken), "  ", partitions, said(f"  {whose}", DIM))


def _tasks(backlog: Backlog) -> Text:
    oldest = backlog.tasks_oldest_seconds
    pieces = [_label("tasks"), _waits(backlog.tasks_untaken), said(f"  {count(backlog.tasks_at_work)} at work")]
    pieces += [said("  oldest ", DIM), said(seconds(oldest))] if oldest else []
    pieces += [said(f"  {count(backlog.redelivered)} came again", "yellow")] if backlog.redelivered else []
    return joined(*pieces)


def _views(backlog: Backlog) -> Text:
    """The projections: each with what is wrong with it, else how far behind."""
    pieces = []
    for one in backlog.projections:
        late = one.behind_seconds is not None and one.behind_seconds >= LATE
        behind = f"{count(one.lag)} behind, {age(one.behind_seconds)}" if late else "up to date"
        says = behind if one.says == "running" else one.says
        pieces.append(joined(mark(one.level), said(f" {one.name} ", DIM), said(says, _style(one.level))))
    return joined(_label("views"), joined(*pieces, by="  ") if pieces else said(NOTHING))


def _style(level: Level) -> str:
    return "" if level == "good" else STYLES[level]


def _clients(clients: Clients) -> Text:
    pieces = [_label("clients"), said(f"{count(clients.initiators)} Initiators  {count(clients.voters)} voters")]
    if clients.queued_bytes:
        pieces.append(said(f"  {size(clients.queued_bytes)} queued"))
    if clients.cut_off:
        pieces.append(said(f"  {count(clients.cut_off)} cut off in 5 min", "yellow"))
    if clients.live_holes:
        pieces.append(said(f"  {count(clients.live_holes)} live holes", "yellow"))
    return joined(*pieces)


def _streams(backlog: Backlog) -> Text:
    pieces = []
    for stream in backlog.streams:
        bad = stream.missing or (stream.used or 0) > NEARLY_FULL
        used = f" {percent(stream.used)}" if stream.used is not None and stream.used >= 0.01 else ""
        lost = f" {count(stream.missing)} missing" if stream.missing else ""
        short = stream.name.removeprefix("MAGI_").lower()
        style = STYLES["critical"] if bad else ""
        pieces.append(joined(said(f"{short} ", DIM), said(f"{count(stream.messages)}{used}{lost}", style)))
    return joined(_label("streams"), joined(*pieces, by="  ") if pieces else said(NOTHING))


def backlog_view(backlog: Backlog, clients: Clients, width: int, height: int, first: int) -> list[Text]:
    """All of it: the section, a table of the streams, and one of the partitions, which can be scrolled."""
    lines = draw_backlog(backlog, clients, width, height)
    columns = (
        Column("stream", "left", 9, 8),
        *(Column("messages"), Column("bytes", least_wide=8), Column("of limit", keep=7), Column("oldest", keep=6)),
        Column("missing"),
    )
    rows = [
        (
            said(s.name),
            said(count(s.messages)),
            said(size(s.bytes)),
            said(percent(s.used), STYLES["critical"] if (s.used or 0) > NEARLY_FULL else ""),
            said(seconds(s.oldest_seconds)),
            said(count(s.missing), STYLES["critical"] if s.missing else DIM),
        )
        for s in backlog.streams
    ]
    lines += [heading("Streams", width), *table(columns, rows, width, len(rows) + 1)]
    room = height - len(lines) - 1
    if room < 2:
        return lines[:height]
    inbox = (
        *(Column("partition"), Column("owner", "left", 9, 8), Column("waiting", least_wide=8)),
        Column("put off", least_wide=8),
    )
    partitions = [_partition(partition) for partition in backlog.partitions]
    return [*lines, heading("Inbox", width), *table(inbox, partitions, width, room, first)]


def _partition(partition: Partition) -> list[Text]:
    return [
        said(partition.number),
        said(partition.owner or "nobody", "" if partition.owner else STYLES["critical"]),
        said(count(partition.untaken), "yellow" if partition.untaken else DIM),
        said(count(partition.put_off)),
    ]
