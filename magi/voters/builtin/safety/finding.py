"""What a scan reports."""

from msgspec import Struct


class Finding(Struct, frozen=True):
    """One thing that makes an answer unsafe to hand on. Never holds a whole secret."""

    line: int
    """Of the answer, from 1."""
    what: str
    fix: str
    confidence: float

    def __str__(self) -> str:
        return f"Line {self.line}: {self.what}; {self.fix}"
