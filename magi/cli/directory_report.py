"""How voters and initiators are listed: rows of data, as aligned columns for people, as JSON for programs. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from rich.cells import cell_len
from rich.text import Text

from magi.cli.safe import printable_line
from magi.domain.directory import Directory

if TYPE_CHECKING:
    from magi.eventstore.presence import Instance

STYLES = {"active": "green", "suspended": "yellow", "revoked": "red"}


class InitiatorRow(Struct, frozen=True):
    initiator_id: str
    status: str
    tokens: tuple[str, ...]
    """The ids of the valid ones: what `revoke --token` takes."""
    registered_at: str
    description: str
    last_used: str = ""
    """When one of them was, RFC 3339, to about five minutes; empty: never, or too long ago to be known."""


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
    in_flight: int = 0
    """Tasks that its instances say they have open."""
    p95_ms: int | None = None
    """Of the slowest instance that has judged something lately; see `magi.eventstore.recent`."""
    success_rate: float | None = None
    """Votes over votes and failures, 0 to 1, of all instances lately; None without any."""


def initiator_rows(directory: Directory, uses: Mapping[str, str] = {}, now: int = 0) -> list[InitiatorRow]:
    """Every initiator, by name; `uses` says when each token was used last, `now` is milliseconds since 1970."""
    rows = []
    for name, found in sorted(directory.initiators.items()):
        tokens = tuple(sorted(token for token, kept in found.tokens.items() if not kept.has_expired(now)))
        used = max((uses[token] for token in found.tokens if token in uses), default="")
        rows.append(InitiatorRow(name, found.status, tokens, found.registered_at, found.description, used))
    return rows


def voter_rows(directory: Directory, alive: "Iterable[Instance]", queues: Mapping[str, Queue]) -> list[VoterRow]:
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
                in_flight=sum(instance.in_flight for instance in running),
                p95_ms=max((instance.p95_ms for instance in running if instance.succeeded), default=None),
                success_rate=rate_of(running),
            )
        )
    return rows


def rate_of(instances: "Iterable[Instance]") -> float | None:
    """Votes over votes and failures of some instances, 0 to 1; None without any."""
    counted = [(instance.succeeded, instance.failed) for instance in instances]
    succeeded, failed = sum(s for s, _ in counted), sum(f for _, f in counted)
    return succeeded / (succeeded + failed) if succeeded + failed > 0 else None


def show_initiators(rows: Sequence[InitiatorRow]) -> Text:
    """A line each, in columns."""
    headings = ("initiator", "status", "tokens", "registered", "last used", "description")
    lines = [
        (r.initiator_id, r.status, " ".join(r.tokens) or "-", r.registered_at, r.last_used or "-", r.description)
        for r in rows
    ]
    return columns(headings, lines)


def show_voters(rows: Sequence[VoterRow]) -> Text:
    """A line each, in columns."""
    headings = (
        *("voter", "kind", "group", "status", "since", "instances", "capacity"),
        *("in flight", "waiting", "p95", "success", "description"),
    )
    lines = [
        (
            r.voter_id,
            r.kind,
            r.group,
            r.status,
            r.since,
            str(r.instances),
            str(r.capacity),
            str(r.in_flight),
            _number(r.waiting),
            shown_ms(r.p95_ms),
            shown_rate(r.success_rate),
            r.description + (f" ({r.reason})" if r.reason else ""),
        )
        for r in rows
    ]
    return columns(headings, lines)


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)


def shown_ms(ms: int | None) -> str:
    if ms is None:
        return "-"
    return f"{ms} ms" if ms < 10_000 else f"{ms / 1000:.0f} s"


def shown_rate(rate: float | None) -> str:
    """Never 100 % when something failed."""
    return "-" if rate is None else f"{int(rate * 1000) / 10:g} %"


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


def to_json(rows: Sequence[Struct] | Struct) -> str:
    """A JSON array of objects with the rows' fields, or the object of a single one."""
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode()
