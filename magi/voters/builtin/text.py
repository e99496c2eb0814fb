"""Small things that all three voters need for their reasons."""

from collections.abc import Sequence

MAX_REASON = 1_500
"""Characters. The wire allows 4,096; a person reads the first few sentences."""
MAX_LISTED = 5
"""Findings told in one reason; the rest are counted."""


def words(text: str) -> frozenset[str]:
    """A set of words from a text that lists them."""
    return frozenset(text.split())


def line_of(text: str, offset: int) -> int:
    """The line, from 1, that holds the character at `offset`."""
    return text.count("\n", 0, offset) + 1


def mask(secret: str) -> str:
    """Enough of a secret to find it, too little to use it: at most 4 characters, or a third, and its length."""
    shown = min(4, len(secret) // 3)
    return f"{secret[:shown]}… ({len(secret)} characters)"


def told(findings: Sequence[str]) -> str:
    """One reason out of many: the first few findings, each a sentence, and how many more there are."""
    listed = list(dict.fromkeys(findings))
    more = f" And {len(listed) - MAX_LISTED} more." if len(listed) > MAX_LISTED else ""
    return clip(" ".join(f"{finding}." for finding in listed[:MAX_LISTED]) + more)


def clip(text: str, limit: int = MAX_REASON) -> str:
    """The text on one line, without characters that would disturb a terminal or a log, at most `limit` long."""
    flat = "".join(char if char.isprintable() else " " for char in text[: 4 * limit])
    flat = " ".join(flat.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
