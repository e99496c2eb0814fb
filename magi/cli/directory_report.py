"""How voters and initiators are listed: rows of data, as aligned columns for people, as JSON for programs. Pure."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct
from rich.cells import cell_len
from rich.text import Text

from magi.cli.safe import printable_line
from magi.domain.directory import Directory
from magi.eventstore.presence import Instance

STYLES = {"active": "green", "suspended": "yellow", "revoked": "red"}


class InitiatorRow(Struct, frozen=True):
    initiator_id: str
    status: str
    tokens: tuple[str, ...]
    """The ids of the valid ones: what `revoke --token` takes."""
    registered_at: str
    description: str


class Queue(Struct, frozen=True):
    """A voter's tasks, as its consumer counts them."""

    waiting: int
    """Nobody has taken them yet."""
    taken: int
    """An instance has them, and hasn't voted yet."""


class VoterRow(Struct, frozen=True):
    voter_id: str
    kind: str
    group: str
    status: str
    since: str
    """When it got its status, RFC 3339."""
    instances: int
    """Alive at the moment."""
    capacity: int
    """Tasks that they judge at once, together."""
    waiting: int | None
    """Tasks that nobody has taken yet; None when the voter has no consumer."""
    taken: int | None
    reason: str
    """Why it has its status."""
    description: str


def initiator_rows(directory: Directory) -> list[InitiatorRow]:
    """Every initiator, by name."""
    return [
        InitiatorRow(name, found.status, tuple(sorted(found.tokens)), found.registered_at, found.description)
        for name, found in sorted(directory.initiators.items())
    ]


def voter_rows(directory: Directory, alive: Iterable[Instance], queues: Mapping[str, Queue]) -> list[VoterRow]:
    """Every voter, by name; `alive` are the instances of voters, `queues` is by voter."""
    instances: dict[str, list[Instance]] = {}
    for instance in alive:
        instances.setdefault(instance.part.removeprefix("voter."), []).append(instance)
    rows = []
    for name, voter in sorted(directory.voters.items()):
        running, queue = instances.get(name, []), queues.get(name)
        rows.append(
            VoterRow(
                voter_id=name,
                kind=voter.kind,
                group=voter.group,
                status=voter.status,
                since=voter.since,
                instances=len(running),
                capacity=sum(instance.capacity for instance in running),
                waiting=queue.waiting if queue else None,
                taken=queue.taken if queue else None,
                reason=voter.reason,
                description=voter.description,
            )
        )
    return rows


def show_initiators(rows: Sequence[InitiatorRow]) -> Text:
    """A line each, in columns."""
    headings = ("initiator", "status", "tokens", "registered", "description")
    lines = [(r.initiator_id, r.status, " ".join(r.tokens) or "-", r.registered_at, r.description) for r in rows]
    return columns(headings, lines)


def show_voters(rows: Sequence[VoterRow]) -> Text:
    """A line each, in columns."""
    headings = ("voter", "kind", "group", "status", "since", "instances", "capacity", "waiting", "taken", "description")
    lines = [
        (
            r.voter_id,
            r.kind,
            r.group,
            r.status,
            r.since,
            str(r.instances),
            str(r.capacity),
            _number(r.waiting),
            _number(r.taken),
            r.description + (f" ({r.reason})" if r.reason else ""),
        )
        for r in rows
    ]
    return columns(headings, lines)


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)


def columns(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Text:
    """Rows in aligned columns, none cut short or folded: for eyes and for `grep`. A known status gets its colour."""
    cells = [[printable_line(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[i]) for row in [list(headings), *cells]) for i in range(len(headings))]
    lines = [_joined([Text(cell, "bold") for cell in headings], widths)]
    lines += [_joined([Text(cell, STYLES.get(cell, "")) for cell in row], widths) for row in cells]
    return Text("\n").join(lines)


def _joined(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    for cell, width in zip(cells[:-1], widths, strict=False):
        cell.pad_right(width - cell.cell_len)
    return Text("  ").join(cells)


def to_json(rows: Sequence[Struct]) -> str:
    """A JSON array of objects with the rows' fields."""
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()
