"""What `magi initiators show` says of one Initiator: registration, quotas, tokens, and its history. Pure."""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from rich.text import Text

from magi.cli.directory_report import columns
from magi.cli.safe import printable_line
from magi.cli.token_report import TokenRow, show_tokens, token_rows
from magi.domain.directory import DirectoryEvent
from magi.domain.initiator import (
    AS_DEFAULT,
    NO_QUOTA,
    Initiator,
    InitiatorChanged,
    InitiatorRegistered,
    InitiatorRevoked,
    Quotas,
    TokenExpires,
    TokenIssued,
    TokenRevoked,
)

QUOTAS = Quotas.__struct_fields__


class InitiatorHistoryRow(Struct, frozen=True):
    """One event of an Initiator."""

    at: str
    event: str
    """Its type."""
    what: str
    """In words."""
    by: str
    why: str


class InitiatorCard(Struct, frozen=True):
    initiator_id: str
    status: str
    registered_at: str
    description: str
    quotas: Quotas
    """Of its own; None: as the gateways' settings say, 0: none."""
    tokens: tuple[TokenRow, ...]
    history: tuple[InitiatorHistoryRow, ...]


def initiator_card(
    initiator: Initiator, events: Iterable[DirectoryEvent], uses: Mapping[str, str], now: int
) -> InitiatorCard:
    """`events` are its own, in order; `uses` says when each token was used last, by its id."""
    return InitiatorCard(
        initiator.initiator_id,
        initiator.status,
        initiator.registered_at,
        initiator.description,
        initiator.quotas,
        token_rows(initiator.tokens, uses, now),
        tuple(
            InitiatorHistoryRow(
                event.at,
                str(event.__struct_config__.tag),
                what_happened(event),
                getattr(event, "by", ""),
                getattr(event, "reason", ""),
            )
            for event in events
        ),
    )


def what_happened(event: DirectoryEvent) -> str:
    """An event of an Initiator in a few words."""
    match event:
        case InitiatorRegistered():
            return "registered"
        case InitiatorChanged(description=description):
            given = [(name, getattr(event, name)) for name in QUOTAS]
            words = [f"{_words(name)} {_quota(value)}" for name, value in given if value is not None]
            return "changed: " + ", ".join(
                [*words, *([f"description {description}"] if description is not None else [])]
            )
        case TokenIssued(token_id=token, scopes=scopes, expires=expires):
            return f"token {token} issued: {' '.join(scopes)}, {f'until {expires}' if expires else 'for ever'}"
        case TokenExpires(token_id=token, expires=expires):
            return f"token {token} expires {expires}"
        case TokenRevoked(token_id=token):
            return f"token {token} revoked"
        case InitiatorRevoked():
            return "revoked for ever"
        case _:
            return str(event.__struct_config__.tag)


def show_initiator(card: InitiatorCard) -> list[Text]:
    """Paragraphs for people."""
    facts = [
        ("status", card.status),
        ("registered", card.registered_at),
        ("description", card.description),
        *((_words(name), _quota(getattr(card.quotas, name))) for name in QUOTAS),
    ]
    width = max(len(name) for name, _ in facts) + 2
    title = Text(f"Initiator {card.initiator_id}", "bold")
    lines = [Text(f"  {name:<{width}}{printable_line(value)}") for name, value in facts if value]
    history = columns(("when", "what", "by", "why"), [(h.at, h.what, h.by, h.why) for h in card.history])
    return [
        Text("\n").join([title, *lines]),
        show_tokens(card.tokens),
        Text("\n").join([Text("History", "bold"), history]),
    ]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _quota(value: float | None) -> str:
    if value is None or value == AS_DEFAULT:
        return "as the settings say"
    return "no quota" if value == NO_QUOTA else f"{value:g}"
