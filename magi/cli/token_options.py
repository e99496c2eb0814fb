"""The options that commands about tokens share, and what they mean."""

from typing import Annotated

import typer

from magi.cli.times import parse_expiry, parse_span
from magi.domain.tokens import check_expiry
from magi.eventstore.presence import now_ms

Expires = Annotated[str, typer.Option(help="When the token expires: in 30d, or at 2027-01-31T12:00:00Z; else never.")]
LONGEST = 366 * 86_400_000
"""Milliseconds."""
Overlap = Annotated[str, typer.Option(help="How long the others are good for still: time to deploy the new one.")]


def expiry(text: str) -> str:
    """RFC 3339, or empty for never. Raises BadParameter, InvalidMessage when that time is over."""
    now = now_ms()
    try:
        return check_expiry(parse_expiry(text, now), now)
    except ValueError as error:
        raise typer.BadParameter(f"--expires: {error}") from None


def span(text: str) -> int:
    """Milliseconds. Raises BadParameter."""
    try:
        found = parse_span(text)
    except ValueError as error:
        raise typer.BadParameter(f"--overlap: {error}") from None
    if found > LONGEST:
        raise typer.BadParameter(f"--overlap: expected at most a year, got {text}")
    return found
