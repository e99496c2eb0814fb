"""Options that choose requests of the log, and what they come to."""

from typing import Annotated

import typer

from magi.cli.times import parse_time
from magi.eventstore.presence import now_ms

Since = Annotated[
    str | None, typer.Option("--since", help="Received then or later: a time, a date (UTC), or such as 2h (ago).")
]
Until = Annotated[str | None, typer.Option("--until", help="Received before then.")]


def time_of(option: str, text: str | None) -> int | None:
    """Milliseconds since 1970; None when the option isn't given. Raises BadParameter."""
    if text is None:
        return None
    try:
        return parse_time(text, now_ms())
    except ValueError as error:
        raise typer.BadParameter(f"{option}: {error}") from error
