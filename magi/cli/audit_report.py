"""How `magi audit verify` shows what it found: for people, or as JSON. Pure."""

from collections.abc import Sequence

from msgspec import Struct
from rich.text import Text

from magi.audit.audits import Audit, Outcome
from magi.audit.findings import Finding, Findings, Severity
from magi.cli.safe import printable_line

SHOWN = 50
"""Findings that are shown to people; JSON has the first thousand."""
_STYLES: dict[Severity, str] = {"broken": "bold red", "unchecked": "yellow", "note": "cyan"}
_OUTCOMES: dict[Outcome, tuple[str, str]] = {
    "fine": ("Fine: what is stored is what was written, and every verdict follows from its votes.", "bold green"),
    "broken": ("BROKEN: what is stored is not what was written.", "bold red"),
    "unchecked": ("Nothing is broken that could be checked here, but not everything could.", "bold yellow"),
}


class AuditReport(Struct, frozen=True):
    """An audit, for programs."""

    outcome: Outcome
    what: str
    """What was audited."""
    events: int
    first_sequence: int
    last_sequence: int
    requests: int
    votes: int
    verdicts: dict[str, int]
    open: int
    head: str
    """``SEQ,HASH`` for the next ``magi audit verify --from``; empty when some requests were read, not a log."""
    counts: dict[str, int]
    """Findings by their kind."""
    findings: list[Finding]
    """The first of them."""
    sha256: str
    """Of an export's content; empty when it was no export that was audited."""


def audit_report(what: str, audit: Audit, sha256: str = "") -> AuditReport:
    read = audit.read
    return AuditReport(
        outcome=audit.outcome,
        what=what,
        events=read.events,
        first_sequence=read.first,
        last_sequence=read.last,
        requests=read.requests,
        votes=read.votes,
        verdicts=read.verdicts,
        open=read.open,
        head="" if audit.scope == "selection" else str(audit.head),
        counts={str(kind): count for kind, count in sorted(audit.findings.counts.items())},
        findings=audit.findings.first,
        sha256=sha256,
    )


def show_audit(report: AuditReport, findings: Findings) -> list[Text | str]:
    """What was read, what was found, and the head to remember."""
    verdicts = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(report.verdicts.items()))
    what = printable_line(report.what)
    lines: list[Text | str] = [f"{what}: no events"]
    if report.events:
        lines = [
            f"{what}: {counted(report.events, 'event')},"
            f" sequences {report.first_sequence:,} to {report.last_sequence:,}",
            f"{counted(report.requests, 'request')} ({verdicts or 'none decided'}, {report.open:,} open),"
            f" {counted(report.votes, 'vote')}",
        ]
    if report.findings:
        lines += ["", *show_findings(report.findings)]
        total = sum(report.counts.values())
        if total > SHOWN:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in report.counts.items())
            lines.append(f"… {total:,} findings in all: {kinds}")
    text, style = _OUTCOMES[report.outcome]
    broken, notes = findings.count("broken"), findings.count("note")
    tail = f" {counted(broken, 'finding')}." if broken else f" {counted(notes, 'note')}." if notes else ""
    lines += ["", Text.assemble((text, style), tail)]
    if report.sha256:
        lines.append(f"sha256 of its content, to be compared with what was kept elsewhere: {report.sha256}")
    if report.head and report.outcome != "broken":
        lines += ["", "The log's head, for the next `magi audit verify --from SEQ,HASH`; keep it outside of MAGI:"]
        lines.append(Text(report.head, "bold"))
    return lines


def counted(number: int, noun: str) -> str:
    """Such as ``1 vote``, ``2 votes``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def show_findings(findings: Sequence[Finding]) -> list[Text]:
    """A line each: how bad, where, and what."""
    lines = []
    for one in findings[:SHOWN]:
        where = one.stream + (f" {one.sequence}" if one.sequence else "")
        if one.aggregate:
            where += f", {one.aggregate}" + (f" version {one.version}" if one.version else "")
        line = Text.assemble((f"{one.severity:<9}", _STYLES[one.severity]), f" {one.kind}: ")
        line.append(f"{printable_line(where)}: {printable_line(one.message)}")
        lines.append(line)
    return lines
