"""Durations and sizes as people write them in files and settings: ``"2m"``, ``"24h"``, ``"64MiB"``."""

import re
from decimal import Decimal

_NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+) ?(B|KiB|MiB|GiB|TiB)")


def parse_duration(text: str) -> int:
    """Nanoseconds of ``"4s"``, ``"1m30s"``, ``"24h"`` … (units ns us ms s m h d). Raises ValueError."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"expected a duration such as '4s', '2m' or '24h', got {text!r}")
    return sum(int(Decimal(number) * _NANOSECONDS[unit]) for number, unit in parts)


def format_duration(nanoseconds: int) -> str:
    """The shortest text that `parse_duration` reads back as the same: ``"25h"``, not ``"90000s"``."""
    if nanoseconds == 0:
        return "0s"
    # Days are read but not written: "24h" says what "1d" does, and compares with "25h" at a glance.
    for unit in ("h", "m", "s", "ms", "us"):
        if nanoseconds % _NANOSECONDS[unit] == 0:
            return f"{nanoseconds // _NANOSECONDS[unit]}{unit}"
    return f"{nanoseconds}ns"


def parse_size(text: str) -> int:
    """Bytes of ``"512KiB"``, ``"64MiB"`` … (units B KiB MiB GiB TiB). Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"expected a size such as '512KiB' or '64MiB', got {text!r}")
    return int(match[1]) * _BYTES[match[2]]


def format_size(size: int) -> str:
    """The shortest exact text of `size` bytes: ``"64MiB"``, or ``"1000B"``."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"
