"""`magi audit verify`: whether what is stored is what was written, and whether each verdict follows from its votes.

`magi audit log` is in `actions`. Exit codes: 0 fine, 1 broken, 2 it could not be checked.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from magi.audit.audits import Audit, audit_history, audit_log
from magi.audit.authority import Registry
from magi.audit.directory_check import check_directory
from magi.audit.exported import ExportSource, open_export
from magi.audit.findings import Findings
from magi.audit.manifest import NotAnExport
from magi.audit.rolling import Head, parse_head
from magi.audit.source import LogSource
from magi.cli import actions
from magi.cli.audit_report import AuditReport, audit_report, show_audit
from magi.cli.context import Context, run_async
from magi.cli.histories import load_history, open_log
from magi.cli.history import Initiator
from magi.cli.local_token import LOCAL
from magi.cli.options import Data, Json
from magi.cli.terminal import progress, reporting, write, write_json
from magi.domain.clock import milliseconds
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.direct import StoredMessage
from magi.eventstore.presence import now_ms

app = typer.Typer(name="audit", help="Prove what happened, and see who changed what.", no_args_is_help=True)
app.command("log")(actions.log)

_EXIT = {"fine": 0, "broken": 1, "unchecked": 2}


@app.callback()
def audit() -> None:
    """Prove what happened, and see who changed what."""


@app.command()
def verify(
    request_id: Annotated[str | None, typer.Argument(metavar="[REQUEST_ID]", help="One request.")] = None,
    every: Annotated[bool, typer.Option("--all", help="The whole log.")] = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="SEQ,HASH",
            help="Only what came after an earlier audit with this head; with --all or --file, look for it on the way.",
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", help="An export, without any server.")] = None,
    initiator: Initiator = LOCAL,
    data: Data = None,
    json: Json = False,
) -> None:
    """Check hashes, versions, causes, who voted, and every verdict. Exits 0 when all is well, 1 when not, else 2."""
    if (request_id is not None) + every + (file is not None) + (since is not None and not every and not file) != 1:
        raise typer.BadParameter("expected one of REQUEST_ID, --all, --from SEQ,HASH and --file EXPORT")
    try:
        head = parse_head(since) if since else None
    except ValueError as error:
        raise typer.BadParameter(f"--from: {error}") from error
    sha256 = ""
    if file is not None:
        what = str(file)
        done, sha256 = run_async(_verify_file(file, head))
    elif request_id is not None:
        what, done = f"request {request_id}", run_async(_verify_one(Context.load(data), request_id, initiator))
    else:
        what = "the log" if every else f"the log after {head.sequence if head else 0}"
        done = run_async(_verify_log(Context.load(data), head, every))
    report = audit_report(what, done, sha256)
    with reporting():
        if json:
            write_json(_json(report))
        else:
            write(*show_audit(report, done.findings))
    raise typer.Exit(_EXIT[done.outcome])


def _json(report: AuditReport) -> str:
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()


async def read_directory(bus: Bus) -> tuple[list[StoredMessage], int]:
    """What the directory holds, a few thousand messages in years, and its last sequence. Raises StoreUnavailable."""
    source = LogSource(bus, subjects.DIRECTORY, subjects.DIRECTORY_PREFIX)
    await source.start()
    last = await source.last_sequence()
    return [message async for batch in source.batches(1, last) for message in batch], last


async def _registry(bus: Bus, findings: Findings) -> Registry:
    messages, last = await read_directory(bus)
    return check_directory(messages, findings, last)


async def _verify_one(ctx: Context, request_id: str, initiator: str) -> Audit:
    findings = Findings()
    async with ctx.bus("auditor") as bus:
        messages = await load_history(await open_log(bus), request_id, initiator)
        return audit_history(messages, await _registry(bus, findings), findings, now_ms())


async def _verify_log(ctx: Context, since: Head | None, every: bool) -> Audit:
    findings = Findings()
    async with ctx.bus("auditor") as bus:
        registry = await _registry(bus, findings)
        source = await open_log(bus)
        start = 0 if every or since is None else since.sequence
        with progress("verifying", await source.last_sequence() - start) as advance:
            return await audit_log(
                source,
                registry,
                findings,
                now_ms(),
                scope="whole" if every or since is None else "tail",
                since=since,
                on_read=advance,
            )


async def _verify_file(file: Path, since: Head | None) -> tuple[Audit, str]:
    findings = Findings()
    try:
        export = open_export(file, findings)
        whole = export.manifest is not None and export.manifest.scope == "whole"
        last = max((message.sequence for message in export.directory), default=0)
        registry = check_directory(export.directory, findings, last if whole else None)
        if since and not whole:
            raise NotAnExport("--from goes with an export of the whole log only")
        with progress("verifying", export.messages) as advance:
            done = await audit_log(
                ExportSource(export),
                registry,
                findings,
                milliseconds(export.header.created_at),
                scope="whole" if whole else "selection",
                since=since,
                on_read=advance,
            )
        return done, export.sha256
    except (NotAnExport, OSError, ValueError) as error:
        raise NotAnExport(f"{file}: {error}") from error
