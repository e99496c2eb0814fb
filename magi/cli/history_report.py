"""How `magi history` shows a request: a timeline for people, as wide as there is room. Pure."""

import textwrap
from collections.abc import Sequence

from msgspec import Struct
from rich.text import Text

from magi.audit.history_rules import event_name
from magi.cli.safe import printable_line
from magi.cli.submit_report import COLOURS
from magi.cli.times import duration
from magi.domain.clock import milliseconds
from magi.domain.strategies import Rule
from magi.domain.voting_request import (
    Adjudicated,
    Received,
    RequestEvent,
    VoterProgress,
    VoterResult,
    VotingRequest,
)
from magi.telemetry.trace_context import trace_id

_EXCERPT = 160
_VOTER = 24
_CLOCK, _TIME = 12, 24
"""Columns that a time takes: of the clock, and with the day and the zone as it is stored."""
_FIXED = 44
"""Columns of what stands between the time and the reason, besides the voter."""
_LEAST, _ENOUGH = 25, 32
"""Columns for reasons: with fewer they get lines of their own, with enough the times are whole."""


class Unreadable(Struct, frozen=True):
    """Stored bytes that are no event."""

    version: int
    """Where it stands in the history."""
    problem: str


class Layout(Struct, frozen=True):
    """Which columns there are, and how wide they are."""

    width: int | None
    """Of the terminal; None: lines are as long as they are."""
    voter: int
    started: int
    """When the request was received, in milliseconds since 1970."""

    @property
    def time(self) -> int:
        """Columns for the time; 0: there is room for short lines only."""
        if self.width is None or self.width - self.voter - _FIXED - _TIME >= _ENOUGH:
            return _TIME
        return _CLOCK if self.width - self.voter - _FIXED - _CLOCK >= _LEAST else 0


def layout(panel: Sequence[str], started: int, width: int | None) -> Layout:
    names = [len(printable_line(voter)) for voter in panel]
    return Layout(width, min(_VOTER, max([5, *names])), started)


def head_lines(received: Received, width: int | None) -> list[Text]:
    """What the request is: who asked what, who judges it, and by which rule."""
    content = received.content
    facts = [
        ("request", f"{received.request_id} of {received.initiator_id}"),
        ("query", excerpt(content.user_query)),
        ("answer", excerpt(content.agent_answer)),
        ("panel", ", ".join(received.voters)),
        ("rule", f"{rule_text(received.rule)}{', decided as early as possible' * (received.decide == 'early')}"),
        ("deadline", f"{received.deadline} (after {duration(received.timeout_ms)})"),
        *((("trace", trace),) if (trace := trace_id(received.trace)) else ()),
    ]
    return [line for name, value in facts for line in _fact(name, printable_line(value), width)]


def _fact(name: str, value: str, width: int | None) -> list[Text]:
    first, *rest = _wrapped(value, None if width is None else width - 10)
    return [Text.assemble((f"{name:<10}", "bold"), first), *(Text(f"{'':<10}{line}") for line in rest)]


def excerpt(text: str) -> str:
    """The beginning of a text, and how much there is of it."""
    start = text[:_EXCERPT]
    return start if len(text) <= _EXCERPT else f"{start}… ({len(text):,} characters)"


def rule_text(rule: Rule) -> str:
    given = ", ".join(f"{key}={value}" for key, value in rule.parameters.items() if value is not None)
    return f"{rule.strategy} ({given})" if given else rule.strategy


def title_line(layout: Layout) -> Text:
    """The headings of the columns."""
    if not layout.time:
        return Text("seq  since       event", "bold")
    time = "time".ljust(layout.time)
    return Text(f"seq  {time}  since       event           {'voter':<{layout.voter}}  vote     reason", "bold")


def event_lines(event: RequestEvent | Unreadable, layout: Layout) -> list[Text]:
    """The lines of one event: one, or more where the reason has to be folded."""
    if isinstance(event, Unreadable):
        return [Text(f"{event.version:>3}  {printable_line(event.problem)}", "bold red")]
    voter, vote, reason = _told(event)
    since = f"+{duration(milliseconds(event.at) - layout.started)}"
    start = Text(f"{event.originator_version:>3}  ")
    if not layout.time:
        start.append(f"{since:<10}  {event_name(event)} ")
        start.append_text(Text.assemble(printable_line(voter), " " if voter and vote else "", _vote(vote)))
        return [start, *(Text(f"     {line}") for line in _wrapped(reason, (layout.width or 0) - 5) if line)]
    at = printable_line(event.at if layout.time == _TIME else event.at[11:23])
    start.append(f"{at:<{layout.time}}  ", "dim")
    start.append(f"{since:<10}  {event_name(event):<14}  {_clipped(printable_line(voter), layout.voter)}  ")
    start.append_text(_vote(vote))
    start.append(" " * (9 - len(vote)))
    indent = start.cell_len
    first, *rest = _wrapped(reason, None if layout.width is None else layout.width - indent)
    start.append(first)
    start.rstrip()
    return [start, *(Text(" " * indent + line) for line in rest)]


def _told(event: RequestEvent) -> tuple[str, str, str]:
    """The voter, the vote and the reason that an event tells of."""
    match event:
        case Received():
            return "", "", ""
        case VoterProgress():
            return event.voter_id, "", printable_line(event.status)
        case VoterResult():
            sure = "" if event.confidence is None else f"({event.confidence:.2f}) "
            return event.voter_id, event.vote, sure + printable_line(event.reason or "")
        case Adjudicated():
            tally = ", ".join(f"{count} {kind}" for kind, count in event.tally.items() if count)
            why = f"{event.outcome_reason}, decided by {event.decided_by}: {tally}"
            return "", event.final_vote, printable_line(why)


def _vote(vote: str) -> Text:
    return Text(vote, COLOURS.get(vote, ""))


def _clipped(text: str, width: int) -> str:
    return f"{text[: width - 1]}…" if len(text) > width else text.ljust(width)


def _wrapped(text: str, width: int | None) -> list[str]:
    """At least one line; a word that is too long is cut."""
    if width is None or len(text) <= width:
        return [text]
    return textwrap.wrap(text, max(width, 10), break_on_hyphens=False) or [""]


def state_lines(state: VotingRequest, width: int | None) -> list[Text]:
    """Where the request stands after these events."""
    if state.received is None:
        return [Text("nothing was stored of it")]
    if state.verdict:
        verdict = state.verdict
        text = Text.assemble(("verdict   ", "bold"), (verdict.final_vote, f"bold {COLOURS[verdict.final_vote]}"))
        text.append(f" ({printable_line(verdict.outcome_reason)}, decided by {verdict.decided_by})")
        return [text]
    said = ", ".join(f"{voter} {result.vote}" for voter, result in state.votes.items()) or "nobody has voted"
    waits = ", ".join(state.outstanding) or "nobody: the verdict is due"
    return [
        line
        for name, value in (("votes", said), ("open", f"waiting for {waits}"))
        for line in _fact(name, printable_line(value), width)
    ]
