"""How the projections' state, differences and rebuilds are shown: functions of data."""

from collections.abc import Iterable
from typing import Any

import msgspec
from rich.text import Text

from magi.cli.safe import printable_line
from magi.projections.halts import Halt
from magi.projections.rebuild import Rebuilt
from magi.projections.skips import Skip
from magi.projections.status import Progress, Status
from magi.projections.verify import MOST, Difference, Verified

_VALUE = 60
"""Characters of a value that are shown to people; --json has all of it."""


def to_json(value: object) -> str:
    """As JSON, on several lines."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def show_status(status: Status) -> list[Text | str]:
    """What a person reads."""
    lines: list[Text | str] = []
    sizes = {size.version: size for size in status.sizes}
    for version in status.versions:
        size = sizes[version.version]
        other = "" if version.layout == status.layout else f", layout {version.layout}"
        content = ", with content" if version.content else ""
        head = f"version {version.version}  {version.state}{other}{content}, {size.bytes / 1e6:,.1f} MB"
        lines.append(Text(head, "bold" if version.state == "live" else ""))
        lines += [_progress(p) for p in status.progress if p.version == version.version]
        lines += [line for halt in status.halts if halt.version == version.version for line in _halt(halt)]
    lines += [_skip(skip) for skip in status.skips]
    if not status.working:
        lines.append(Text("no projector is at work: `magi projector`, or `magi serve`", "yellow"))
    return lines


def _progress(p: Progress) -> Text:
    if p.same_stream is False:
        behind = Text("another stream is there now", "red")
    elif p.behind is None:
        behind = Text("NATS doesn't answer", "yellow")
    else:
        behind = Text(f"{p.behind:,} behind", "" if p.behind < 1000 else "yellow")
    return Text(f"  {p.projection:<9} {p.stream} at {p.position:,}, ") + behind + Text(f", written {p.updated_at}")


def _halt(halt: Halt) -> Iterable[Text]:
    yield Text(f"  {halt.projection:<9} STANDS since {halt.at}: {printable_line(halt.reason)}", "red")
    if halt.kind == "event":
        yield Text(f"            message {halt.sequence} on {printable_line(halt.subject)}")
        yield Text(f"            {printable_line(halt.event)[:500]}")
    if halt.kind in ("event", "hole"):
        yield Text(f"            to pass it over: magi projections skip {halt.sequence} --reason WHY")


def _skip(skip: Skip) -> Text:
    what = f"{skip.sequence}" if skip.sequence == skip.last_sequence else f"{skip.sequence}–{skip.last_sequence}"
    said = f"{skip.projection} {what} by {skip.by}: {skip.reason}"
    return Text(f"skipped   {printable_line(said)}", "yellow")


def show_verified(verified: Verified) -> list[Text | str]:
    """What differs, row by row."""
    at = ", ".join(f"{name} at {position:,}" for name, position in verified.positions.items())
    lines: list[Text | str] = [show_difference(difference) for difference in verified.differences]
    if not lines:
        said = f"version {verified.version}: all {verified.rows:,} rows are what the log says ({at})"
        return [Text(said, "green")]
    count = len(lines)
    rows = "row is" if count == 1 else "rows are"
    tables = [difference.table for difference in verified.differences]
    more = "at least " if any(tables.count(table) >= MOST for table in set(tables)) else ""
    return [*lines, Text(f"version {verified.version}: {more}{count} {rows} not what the log says ({at})", "red")]


def show_difference(difference: Difference) -> Text:
    """A line: which row, and what is in it instead of what."""
    key = " ".join(f"{name}={_value(value)}" for name, value in difference.key.items())
    where = f"{difference.table} {key}: "
    if difference.stored is None:
        return Text(f"{where}missing")
    if difference.folded is None:
        return Text(f"{where}the log leads to no such row")
    changes = (f"{c} is {_value(v)}, expected {_value(difference.folded[c])}" for c, v in difference.stored.items())
    return Text(where + "; ".join(changes))


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = printable_line(text)
    return text if len(text) <= _VALUE else text[:_VALUE] + "…"


def show_rebuilt(rebuilt: Rebuilt) -> list[Text | str]:
    """What was built, and where the views are."""
    lines = show_verified(rebuilt.verified)
    if rebuilt.switched:
        lines.append(Text(f"the views are on version {rebuilt.version}", "green"))
    else:
        lines.append(Text("the views are where they were: `magi projections drop` removes what was built", "red"))
    return lines
