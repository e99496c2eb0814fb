"""`magi export`: histories as JSON Lines with a manifest, for `magi audit verify --file`."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from magi.audit.events import parts, request_event
from magi.audit.exporting import ExportWriter
from magi.audit.manifest import Manifest
from magi.audit.source import LogSource
from magi.cli.audit import read_directory
from magi.cli.context import Context, run_async
from magi.cli.histories import load_history, open_log
from magi.cli.history import Initiator
from magi.cli.local_token import LOCAL
from magi.cli.options import Data
from magi.cli.selecting import Since, Until, time_of
from magi.cli.terminal import progress, reporting, write
from magi.domain.clock import milliseconds, rfc3339
from magi.domain.voting_request import Received
from magi.eventstore.bus import Bus
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import CorruptHistory
from magi.eventstore.presence import now_ms


def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write; it must not exist yet.")],
    request_id: Annotated[str | None, typer.Argument(metavar="[REQUEST_ID]", help="One request.")] = None,
    every: Annotated[bool, typer.Option("--all", help="The whole log, and the whole directory.")] = False,
    initiator: Initiator = LOCAL,
    since: Since = None,
    until: Until = None,
    data: Data = None,
) -> None:
    """Write histories, the bytes as they are stored, with what is needed to check them offline."""
    if (request_id is not None) + every + (since is not None or until is not None) != 1:
        raise typer.BadParameter("expected one of REQUEST_ID, --all, and --since or --until")
    first, last = time_of("--since", since), time_of("--until", until)
    ctx = Context.load(data)

    async def run(file: BinaryIO) -> Manifest:
        async with ctx.bus("auditor") as bus:
            source = await open_log(bus)
            if request_id is not None:
                return await _export_one(bus, source, file, request_id, initiator)
            if every:
                return await _export_all(bus, source, file)
            return await _export_range(bus, source, file, first, last)

    with _new_file(out) as file:
        manifest = run_async(run(file))
    with reporting():
        write(
            f"{out}: {manifest.requests:,} requests, {manifest.events:,} events"
            f" (sequences {manifest.first_sequence:,} to {manifest.last_sequence:,})",
            f"sha256 of its content, to be kept elsewhere: {manifest.sha256}",
        )


@contextlib.contextmanager
def _new_file(out: Path) -> Iterator[BinaryIO]:
    """A file that gets its name only once it is complete. It holds what was submitted: only its owner may read it."""
    part = out.with_name(f"{out.name}.part")
    if out.exists():
        raise typer.BadParameter(f"--out: {out} exists already")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise typer.BadParameter(f"--out: {part}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        part.rename(out)
    finally:
        part.unlink(missing_ok=True)


async def _export_one(bus: Bus, source: LogSource, file: BinaryIO, request_id: str, initiator: str) -> Manifest:
    messages = await load_history(source, request_id, initiator)
    writer = ExportWriter(file, rfc3339(now_ms()), f"request {request_id} of {initiator}", "selection")
    for message in messages:
        writer.message(message)
    directory, _ = await read_directory(bus)
    writer.directory(directory)
    return writer.finish()


async def _export_all(bus: Bus, source: LogSource, file: BinaryIO) -> Manifest:
    writer = ExportWriter(file, rfc3339(now_ms()), "the whole log", "whole")
    last = await source.last_sequence()
    with progress("exporting", last) as advance:
        async for batch in source.batches(1, last):
            for message in batch:
                writer.message(message)
            advance(len(batch))
    directory, _ = await read_directory(bus)
    writer.directory(directory)
    return writer.finish()


async def _export_range(bus: Bus, source: LogSource, file: BinaryIO, since: int | None, until: int | None) -> Manifest:
    """Whole histories of the requests received in that time; their ends may lie behind it."""
    times = f"{rfc3339(since) if since is not None else 'the beginning'} to {rfc3339(until) if until else 'now'}"
    writer = ExportWriter(file, rfc3339(now_ms()), f"received from {times}", "selection")
    start = 1 if since is None else await source.sequence_at(since)
    last = await source.last_sequence()
    subjects: set[str] = set()
    with progress("exporting", last - start + 1) as advance:
        async for batch in source.batches(start, last):
            for message in batch:
                if message.subject in subjects or _begins_between(message, since, until):
                    subjects.add(message.subject)
                    writer.message(message)
            advance(len(batch))
    directory, _ = await read_directory(bus)
    writer.directory(directory)
    return writer.finish()


def _begins_between(message: StoredMessage, since: int | None, until: int | None) -> bool:
    """Whether a request begins with it in that time. What can't be read may be one: it is exported too."""
    try:
        events = [request_event(data) for data in parts(message.data)]
    except CorruptHistory:
        return True
    times = [milliseconds(event.at) for event in events if isinstance(event, Received)]
    return any((since is None or at >= since) and (until is None or at < until) for at in times)
