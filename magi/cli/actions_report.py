"""What operators did, and MAGI by itself, as rows: each event of the directory in a few words. Pure."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct
from rich.text import Text

from magi.cli import initiator_report, panels_report, voter_report
from magi.cli.local import BY
from magi.cli.safe import printable_line
from magi.domain.clock import milliseconds
from magi.domain.directory import DirectoryEvent
from magi.domain.initiator import InitiatorEvent
from magi.domain.operations import OperatorActed
from magi.domain.voter import VoterEvent

_OURS = "magi/"


class Action(Struct, frozen=True):
    """One administrative action."""

    at: str
    """RFC 3339."""
    by: str
    """``user@host``, or the part of MAGI that did it."""
    automatic: bool
    """Nobody asked for it: MAGI did it by itself."""
    about: str
    """``voter.casper``, ``initiator.local``, ``panel.code``, ``operations.streams`` …"""
    change: str
    """The event's type."""
    what: str
    """It in a few words."""
    why: str
    outcome: str
    """`done`, or `refused`: it was asked for and not done."""
    sequence: int
    """Of the directory's stream."""


class Wanted(Struct, frozen=True):
    """Which actions are asked for; what is empty or None asks for nothing."""

    since: int | None = None
    """Milliseconds since 1970; and so is `until`, which is not in it any more."""
    until: int | None = None
    by: str = ""
    """The whole name, or it up to its `@`."""
    about: str = ""
    """The whole name, or what stands behind or before its dot."""

    def __call__(self, action: Action) -> bool:
        at = milliseconds(action.at)
        return (
            (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and self.by in ("", action.by, action.by.partition("@")[0])
            and self.about in ("", action.about, *action.about.split(".", 1))
        )


def action_of(event: DirectoryEvent, sequence: int) -> Action:
    by: str = getattr(event, "by", "")
    change = str(event.__struct_config__.tag)
    outcome = "done"
    if isinstance(event, VoterEvent):
        what = voter_report.what_happened(event)
    elif isinstance(event, InitiatorEvent):
        what = initiator_report.what_happened(event)
    elif isinstance(event, OperatorActed):
        what, outcome = f"{event.action}: {event.what}", event.outcome
    else:
        what = panels_report.what_happened(event)
    return Action(
        at=event.at,
        by=by,
        automatic=by == BY or by.startswith(_OURS),
        about=event.originator_id,
        change=change,
        what=what,
        why=getattr(event, "reason", ""),
        outcome=outcome,
        sequence=sequence,
    )


def show_actions(actions: Iterable[Action]) -> Iterable[Text]:
    """A line each. Columns would have to know them all, and the last is still to come."""
    for one in actions:
        who = f"{one.by} (automatic)" if one.automatic else one.by
        words = [(one.at, "dim"), ("  ", ""), (one.about, "bold"), ("  ", "")]
        if one.outcome == "refused":
            words.append(("refused  ", "red"))
        words += [(one.what, ""), (f"  by {who}", "cyan")]
        if one.why:
            words.append((f"  why: {one.why}", "italic"))
        yield Text.assemble(*[(printable_line(text), style) for text, style in words])


def to_line(action: Action) -> str:
    """The action as a JSON object on one line."""
    return msgspec.json.encode(action).decode()
