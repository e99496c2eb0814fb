"""What `magi voters show` says of one voter: registration, health, instances, and its history. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from rich.text import Text

from magi.cli.directory_report import columns, rate_of, shown_ms, shown_rate
from magi.cli.safe import printable_line
from magi.cli.token_report import TokenRow, show_tokens, token_rows
from magi.domain.directory import DirectoryEvent
from magi.domain.voter import (
    Voter,
    VoterChanged,
    VoterKept,
    VoterKeyChanged,
    VoterOnProbation,
    VoterRegistered,
    VoterReinstated,
    VoterRevoked,
    VoterSuspended,
    VoterTokenExpires,
    VoterTokenIssued,
    VoterTokenRevoked,
)
from magi.eventstore.presence import Instance


class HistoryRow(Struct, frozen=True):
    """One event of a voter."""

    at: str
    event: str
    """Its type."""
    what: str
    """In words."""
    by: str
    why: str


class VoterCard(Struct, frozen=True):
    voter_id: str
    kind: str
    description: str
    group: str
    weight: float
    capacity: int
    """Of one instance."""
    max_attempts: int
    settings: dict[str, Any]
    status: str
    since: str
    reason: str
    until: str
    """When a suspended voter is tried again; empty: when somebody reinstates it."""
    ejections: int
    """How often in a row it was suspended for not answering."""
    tried: bool
    """Whether it is tried with probes, while it is suspended."""
    public_key: str
    tokens: tuple[TokenRow, ...]
    instances: tuple[Instance, ...]
    history: tuple[HistoryRow, ...]


def voter_card(
    voter: Voter,
    instances: Iterable[Instance],
    events: Iterable[DirectoryEvent],
    uses: Mapping[str, str] = {},
    now: int = 0,
) -> VoterCard:
    """`instances` are those of this voter that are alive, `events` its own, in order; `uses` says when each token was
    used last, by its id."""
    return VoterCard(
        voter_id=voter.voter_id,
        kind=voter.kind,
        description=voter.description,
        group=voter.group,
        weight=voter.weight,
        capacity=voter.capacity,
        max_attempts=voter.max_attempts,
        settings=voter.settings,
        status=voter.status,
        since=voter.since,
        reason=voter.reason,
        until=voter.until,
        ejections=voter.ejections,
        tried=voter.tried,
        public_key=voter.public_key,
        tokens=token_rows(voter.tokens, uses, now),
        instances=tuple(instances),
        history=tuple(_history_row(event) for event in events),
    )


def _history_row(event: DirectoryEvent) -> HistoryRow:
    by, why = getattr(event, "by", ""), getattr(event, "reason", "")
    return HistoryRow(event.at, str(event.__struct_config__.tag), what_happened(event), by, why)


def what_happened(event: DirectoryEvent) -> str:
    """An event of a voter in a few words."""
    match event:
        case VoterRegistered():
            return f"registered: {_named(event, ('kind', 'group', 'weight', 'capacity', 'max_attempts'))}"
        case VoterChanged():
            return (
                f"changed: {_named(event, ('description', 'group', 'weight', 'capacity', 'max_attempts', 'settings'))}"
            )
        case VoterKeyChanged(public_key=key):
            return f"key changed to {key}"
        case VoterTokenIssued(token_id=token):
            return f"token {token} issued"
        case VoterTokenExpires(token_id=token, expires=expires):
            return f"token {token} expires {expires}"
        case VoterTokenRevoked(token_id=token):
            return f"token {token} revoked"
        case VoterSuspended(until=until) if until:
            return f"suspended until {until}"
        case VoterSuspended():
            return "suspended until it is reinstated"
        case VoterOnProbation():
            return "tried with probes"
        case VoterKept():
            return "kept in service, though it doesn't answer"
        case VoterReinstated():
            return "reinstated"
        case VoterRevoked():
            return "revoked for ever"
        case _:
            return str(event.__struct_config__.tag)


def _named(event: DirectoryEvent, fields: Sequence[str]) -> str:
    given = [(name, getattr(event, name)) for name in fields if getattr(event, name) is not None]
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in given)


def _value(value: object) -> str:
    if isinstance(value, dict):
        return msgspec.json.encode(value).decode()
    return f"{value:g}" if isinstance(value, float) else str(value)


def show_card(card: VoterCard) -> list[Text]:
    """Paragraphs for people."""
    facts = [
        ("kind", card.kind),
        ("description", card.description),
        ("group", card.group),
        ("weight", f"{card.weight:g}"),
        ("capacity", f"{card.capacity} tasks an instance"),
        ("attempts", str(card.max_attempts)),
        *((name, _value(value)) for name, value in card.settings.items()),
        ("key", card.public_key),
        ("status", f"{card.status} since {card.since}" + (f": {card.reason}" if card.reason else "")),
        ("health", health(card)),
    ]
    width = max(len(name) for name, _ in facts) + 2
    title = Text(f"Voter {card.voter_id}", "bold")
    lines = [Text(f"  {printable_line(name):<{width}}{printable_line(value)}") for name, value in facts if value]
    tokens = [show_tokens(card.tokens)] if card.tokens else []
    found = [Text("\n").join([title, *lines]), *tokens, _instances(card.instances)]
    history = columns(("when", "what", "by", "why"), [(h.at, h.what, h.by, h.why) for h in card.history])
    return [*found, Text("\n").join([Text("History", "bold"), history])]


def health(card: VoterCard) -> str:
    """What is known of its answering, in a few words; empty for a voter of which nothing is."""
    if card.status == "revoked":
        return ""
    times = "once" if card.ejections == 1 else f"{card.ejections} times in a row"
    ejected = f"ejected {times}" if card.ejections else "never ejected"
    if card.status == "suspended" and card.until:
        return f"{ejected}; " + ("tried with probes" if card.tried else f"out until {card.until}")
    return ejected


def _instances(instances: Sequence[Instance]) -> Text:
    if not instances:
        return Text("No instance is alive.")
    headings = ("instance", "host", "version", "capacity", "in flight", "p95", "success")
    rows = [
        (
            i.instance,
            i.host or "-",
            i.version or "-",
            str(i.capacity),
            str(i.in_flight),
            shown_ms(i.p95_ms if i.succeeded else None),
            shown_rate(rate_of([i])),
        )
        for i in instances
    ]
    return Text("\n").join([Text("Instances", "bold"), columns(headings, rows)])
