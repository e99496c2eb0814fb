"""Exports read back: a file held against its manifest, and its messages as a source for an audit."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from magi.audit.events import digest, parts
from magi.audit.findings import Findings, Problem
from magi.audit.manifest import (
    Header,
    Manifest,
    NotAnExport,
    read_header,
    read_manifest,
    read_message,
)
from magi.audit.rolling import Head
from magi.eventstore import subjects
from magi.eventstore.direct import StoredMessage

LONGEST = 4 << 20
"""Bytes of a line: a stored message has at most 1 MiB, in base 64 a third more."""
_BATCH = 500
EXPORT = "export"
"""Stands for the stream in findings about the file itself."""


class Export(Struct, frozen=True):
    """What a file says it is, and its part of the directory."""

    path: Path
    header: Header
    manifest: Manifest | None
    """None when the file ends before it."""
    directory: list[StoredMessage]
    messages: int
    """Of the requests, without those of the directory."""
    last_sequence: int
    sha256: str
    """Of every byte before its manifest, as they are now."""


def open_export(path: Path, findings: Findings) -> Export:
    """Read a file once and hold it against its manifest; what is wrong with it is added to `findings`.

    Raises NotAnExport, OSError.
    """
    sha, head, manifest, problems = hashlib.sha256(), Head(), None, list[Problem]()
    messages = events = 0
    directory: list[StoredMessage] = []
    with path.open("rb") as file:
        lines = _lines(file)
        first = next(lines, b"")
        header = read_header(first)
        sha.update(first)
        for number, line in enumerate(lines, 2):
            if manifest:
                problems.append(Problem("manifest", f"line {number}: something follows the manifest"))
                break
            manifest = read_manifest(line)
            if manifest:
                continue
            sha.update(line)
            try:
                stream, message = read_message(line)
            except ValueError as error:
                problems.append(Problem("manifest", f"line {number}: {error}"))
                continue
            if stream == subjects.DIRECTORY:
                directory.append(message)
            else:
                messages += 1
                events += len(parts(message.data))
                head = head.then(message.sequence, digest(message.data))
    if manifest is None:
        problems.append(Problem("manifest", "the file was cut off: it has no manifest at its end"))
    else:
        of_directory = sum(len(parts(message.data)) for message in directory)
        problems += _compare(manifest, sha.hexdigest(), events, of_directory, head)
    findings.add(EXPORT, 0, "", 0, problems)
    return Export(path, header, manifest, directory, messages, head.sequence, sha.hexdigest())


def _compare(manifest: Manifest, sha256: str, events: int, directory: int, head: Head) -> Iterator[Problem]:
    if manifest.sha256 != sha256:
        yield Problem("manifest", "the file is not what was exported: its hash is another than its manifest's")
    for what, there, said in (
        ("events", events, manifest.events),
        ("events of the directory", directory, manifest.directory_events),
    ):
        if there != said:
            yield Problem("manifest", f"{there} {what}, and {said} in the manifest")
    if str(head) != manifest.head:
        yield Problem("manifest", "the rolling hash of its messages is another than its manifest's")


class ExportSource:
    """The requests' messages of an export, as a `Source`. Lines that are no messages are gone past."""

    stream = subjects.LOG
    prefix = subjects.LOG_PREFIX

    def __init__(self, export: Export) -> None:
        self._export = export

    async def last_sequence(self) -> int:
        return self._export.last_sequence

    async def batches(self, start: int, stop: int) -> AsyncIterator[list[StoredMessage]]:
        """See `Source.batches`; in the order of the file."""
        batch: list[StoredMessage] = []
        for message in self._messages():
            batch.append(message)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    async def history(self, aggregate: str) -> list[StoredMessage]:
        """See `Source.history`. Reads the whole file: only a broken one makes an audit ask for this often."""
        subject = f"{subjects.LOG_PREFIX}{aggregate}"
        return [message for message in self._messages() if message.subject == subject]

    async def histories(self, aggregates: Iterable[str]) -> dict[str, list[StoredMessage]]:
        return {aggregate: await self.history(aggregate) for aggregate in set(aggregates)}

    def _messages(self) -> Iterator[StoredMessage]:
        with self._export.path.open("rb") as file:
            lines = _lines(file)
            next(lines, None)
            for line in lines:
                try:
                    stream, message = read_message(line)
                except ValueError:
                    continue
                if stream != subjects.DIRECTORY:
                    yield message


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Raises NotAnExport when one is too long to be one of ours."""
    while line := file.readline(LONGEST):
        if len(line) == LONGEST:
            raise NotAnExport(f"a line has more than {LONGEST} bytes")
        yield line
