"""Histories as they are stored: one message a line, each event with its envelope and the hash of the one before it."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from magi.domain.event import Event
from magi.domain.ids import AggregateId
from magi.eventstore.codec import pack, unpack


def lines_of(aggregate: AggregateId, events: Sequence[Event], causes: Sequence[int], trace: str = "") -> list[bytes]:
    """The stored bytes of a whole history, each event in a message of its own; `causes` has the inbox sequence that led
    to each event."""
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


def together(lines: Sequence[bytes], counts: Sequence[int]) -> list[bytes]:
    """The same history in messages that hold so many events each."""
    assert sum(counts) == len(lines)
    messages, start = [], 0
    for count in counts:
        messages.append(pack(lines[start : start + count]))
        start += count
    return messages


def digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def broken_links(events: Iterable[bytes]) -> list[int]:
    """The versions of the events whose `prev` is not the hash of the event before them."""
    before, broken = "", []
    for version, event in enumerate(events, start=1):
        if msgspec.json.decode(event).get("prev", "") != before:
            broken.append(version)
        before = digest(event)
    return broken


def read(path: Path) -> list[bytes]:
    """The messages of a history."""
    return path.read_bytes().splitlines()


def read_events(path: Path) -> list[bytes]:
    """The bytes of each event of a history."""
    return [event for message in read(path) for event in unpack(message)]


def record(path: Path, lines: Iterable[bytes]) -> None:
    """Write a new golden history, a message a line. Raises FileExistsError rather than change one."""
    with path.open("xb") as file:
        file.writelines(line + b"\n" for line in lines)
    with (path.parent / "SHA256SUMS").open("a") as sums:
        sums.write(f"{digest(path.read_bytes())}  {path.name}\n")
