"""Histories as they are stored: one event a line, each with its envelope and the hash of the line before it."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from magi.domain.event import Event
from magi.domain.ids import AggregateId


def lines_of(aggregate: AggregateId, events: Sequence[Event], causes: Sequence[int], trace: str = "") -> list[bytes]:
    """The stored bytes of a whole history; `causes` has the inbox sequence that led to each event."""
    lines: list[bytes] = []
    for event, cause in zip(events, causes, strict=True):
        version = len(lines) + 1
        stored = msgspec.structs.replace(
            event,
            originator_id=aggregate,
            originator_version=version,
            id=f"5f3a9c0d71e24b86-{cause * 16 + version:x}",
            cause=cause,
            trace=trace,
            prev=digest(lines[-1]) if lines else "",
        )
        lines.append(msgspec.json.encode(stored))
    return lines


def digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def broken_links(lines: Iterable[bytes]) -> list[int]:
    """The versions of the events whose `prev` is not the hash of the line before them."""
    before, broken = "", []
    for version, line in enumerate(lines, start=1):
        if msgspec.json.decode(line).get("prev", "") != before:
            broken.append(version)
        before = digest(line)
    return broken


def read(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def record(path: Path, lines: Iterable[bytes]) -> None:
    """Write a new golden history. Raises FileExistsError rather than change one."""
    with path.open("xb") as file:
        file.writelines(line + b"\n" for line in lines)
    with (path.parent / "SHA256SUMS").open("a") as sums:
        sums.write(f"{digest(path.read_bytes())}  {path.name}\n")
