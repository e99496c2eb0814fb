"""How panel templates are listed and shown. Pure."""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from rich.text import Text

from magi.cli.directory_report import columns
from magi.cli.safe import printable_line
from magi.cli.voter_report import HistoryRow
from magi.domain.directory import Directory, DirectoryEvent
from magi.domain.errors import Refused
from magi.domain.panel import choose_panel
from magi.domain.template import PanelDefined


class PanelRow(Struct, frozen=True):
    panel_id: str
    members: tuple[str, ...]
    default: bool
    """Whether it is that of requests that name neither voters nor a panel."""
    since: str
    description: str


class PanelCard(Struct, frozen=True):
    panel_id: str
    members: tuple[str, ...]
    """Empty: it was removed."""
    description: str
    since: str
    now: tuple[str, ...]
    """Who would be on it now, if nobody had a task open; empty: it can't be formed."""
    problem: str
    """Why it can't be formed."""
    history: tuple[HistoryRow, ...]


def panel_rows(directory: Directory, default: str) -> list[PanelRow]:
    """Every template that there is, by name. `default` is the setting."""
    return [
        PanelRow(name, found.members, name == default, found.since, found.description)
        for name, found in sorted(directory.templates.items())
        if found.members
    ]


def panel_card(name: str, directory: Directory, events: Iterable[DirectoryEvent]) -> PanelCard:
    """`events` are those of this template, in order; the directory knows it."""
    template = directory.templates[name]
    now: tuple[str, ...] = ()
    problem = ""
    if template.members:
        try:
            now = choose_panel((), directory.snapshot({}, 0), name)
        except Refused as error:
            problem = error.message
    history = tuple(_history_row(event) for event in events)
    return PanelCard(name, template.members, template.description, template.since, now, problem, history)


def _history_row(event: DirectoryEvent) -> HistoryRow:
    by, why = getattr(event, "by", ""), getattr(event, "reason", "")
    return HistoryRow(event.at, str(event.__struct_config__.tag), what_happened(event), by, why)


def what_happened(event: DirectoryEvent) -> str:
    """An event of a panel in a few words."""
    return f"defined: {', '.join(event.members)}" if isinstance(event, PanelDefined) else "removed"


def show_panels(rows: Sequence[PanelRow]) -> Text:
    """A line each, in columns."""
    lines = [(r.panel_id, "yes" if r.default else "", ", ".join(r.members), r.since, r.description) for r in rows]
    return columns(("panel", "default", "members", "since", "description"), lines)


def show_panel(card: PanelCard) -> list[Text]:
    """Paragraphs for people."""
    facts = [
        ("members", ", ".join(card.members) or "none: it is removed"),
        ("description", card.description),
        ("since", card.since),
        ("now", ", ".join(card.now) or card.problem),
    ]
    lines = [Text(f"  {name:<13}{printable_line(value)}") for name, value in facts if value]
    history = columns(("when", "what", "by", "why"), [(h.at, h.what, h.by, h.why) for h in card.history])
    title = Text(f"Panel {card.panel_id}", "bold")
    return [Text("\n").join([title, *lines]), Text("\n").join([Text("History", "bold"), history])]
