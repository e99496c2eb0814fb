"""What `magi streams` does and shows: asks the servers, and renders the answer for people or as JSON."""

from collections.abc import Iterable, Sequence

import msgspec
from nats.aio.client import Client
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from magi.eventstore.declarations import StreamDeclaration
from magi.eventstore.differences import Difference
from magi.eventstore.durability import sync_differences
from magi.eventstore.streams import Applied, apply, diff


async def run_apply(nc: Client, declarations: Iterable[StreamDeclaration]) -> list[Applied]:
    """Make the live streams what is declared. Raises StreamsError."""
    return await apply(nc, declarations)


async def run_diff(
    nc: Client, declarations: Iterable[StreamDeclaration], monitor_url: str, sync_interval: str
) -> list[Difference]:
    """Every difference, of the streams and of the server's sync interval. Raises StreamsError, DeclarationError."""
    return [*await diff(nc, declarations), *await sync_differences(monitor_url, sync_interval)]


async def run_check(
    nc: Client, declarations: Iterable[StreamDeclaration], monitor_url: str, sync_interval: str
) -> list[Difference]:
    """The differences that every part refuses to start on. Raises StreamsError, DeclarationError."""
    return [d for d in await run_diff(nc, declarations, monitor_url, sync_interval) if d.weaker]


def show_applied(applied: Sequence[Applied]) -> RenderableType:
    """A line a stream, and under it a line for each field that changed."""
    lines: list[Text] = []
    for one in applied:
        lines.append(Text.assemble((one.stream, "bold"), f" {one.action}"))
        if one.action == "updated":
            lines += [Text(f"  {change.field}: {change.live} → {change.declared}") for change in one.changes]
    return Group(*lines)


_SHORT = 60
"""Characters of values that are told in a line; of longer ones only the field's name is."""


def told(applied: Sequence[Applied]) -> str:
    """What was done, in a line; empty when nothing was."""
    return "; ".join(_told(one) for one in applied if one.action != "unchanged")


def _told(one: Applied) -> str:
    changes = ", ".join(
        f"{c.field} {c.live} → {c.declared}" if len(c.live + c.declared) <= _SHORT else c.field for c in one.changes
    )
    return f"{one.stream} {one.action}" + (f": {changes}" if one.action == "updated" else "")


def show_differences(differences: Sequence[Difference]) -> RenderableType:
    """A table with a row for each difference, the weaker ones in red."""
    if not differences:
        return Text("The live streams are as declared.")
    table = Table("stream", "field", "declared", "live", "weaker", highlight=False)
    for column in table.columns:
        column.overflow = "fold"  # a subject or an address that is cut short helps nobody
    for d in differences:
        # Text, since markup would eat what is in brackets.
        cells = [Text(cell) for cell in (d.stream, d.field, d.declared, d.live, "yes" if d.weaker else "no")]
        table.add_row(*cells, style="red" if d.weaker else None)
    return table


def show_check(weaker: Sequence[Difference]) -> RenderableType:
    """The weaker differences and what to do about them."""
    if not weaker:
        return Text("The live streams promise at least what is declared.")
    advice = "No part of MAGI starts on these. `magi streams apply` mends the streams; nats-server's own settings are "
    return Group(show_differences(weaker), Text(advice + "in its configuration file."))


def to_json(rows: Sequence[Applied] | Sequence[Difference]) -> str:
    """A JSON array of objects with the fields of `Applied` or `Difference`."""
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()
