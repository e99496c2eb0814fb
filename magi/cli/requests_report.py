"""How `magi requests list` shows requests: columns for people, JSON for programs. Pure."""

from collections.abc import Sequence

from rich.text import Text

from magi.audit.summaries import Summary
from magi.cli.directory_report import columns
from magi.cli.times import duration
from magi.domain.clock import milliseconds

_HEADINGS = ("received", "initiator", "request", "panel", "votes", "strategy", "verdict", "reason", "after")


def show_requests(found: Sequence[Summary]) -> Text:
    """A line each."""
    if not found:
        return Text("No request matches.")
    return columns(_HEADINGS, [_row(one) for one in found])


def _row(one: Summary) -> Sequence[str]:
    took = ""
    if one.decided_at:
        took = duration(milliseconds(one.decided_at) - milliseconds(one.received_at))
    reason = f"{one.outcome_reason} ({one.decided_by})" if one.decided_by else "-"
    return (
        one.received_at,
        one.initiator_id,
        one.request_id,
        ",".join(one.voters),
        f"{one.votes}/{len(one.voters)}",
        one.strategy,
        one.verdict,
        reason,
        took or "-",
    )
