"""What a parser says about a text that it does not accept."""

from typing import Literal

from msgspec import Struct


class Flaw(Struct, frozen=True):
    """The first place where a text is not well formed. `line` and `column` count from 1 within the text."""

    line: int
    column: int
    what: str
    """What is wrong there, in words a person can act on."""
    fix: str = ""
    """What to do about it; empty when `what` says it."""
    severity: Literal["broken", "doubtful"] = "broken"
    """Doubtful: the parser is known to err on such text, so nothing is held against it."""


def excerpt(text: str, line: int, width: int = 60) -> str:
    """The given line of `text` (from 1), shortened to `width` characters, for quoting in a reason."""
    lines = text.splitlines()
    if not 1 <= line <= len(lines):
        return ""
    shown = lines[line - 1].strip()
    return shown if len(shown) <= width else shown[: width - 1] + "…"
