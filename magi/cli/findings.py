"""What `magi doctor` found: rows of data, and how they are shown. Pure."""

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct
from rich.text import Text

from magi.cli.safe import printable_line

Status = Literal["ok", "warning", "error"]
_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


class Finding(Struct, frozen=True):
    """One thing that was looked at."""

    check: str
    """What was looked at, in a word or two."""
    status: Status
    """`warning`: it works, but look at it. `error`: something doesn't work, or promises less than it must."""
    found: str
    advice: str = ""
    """What to do about it; empty when all is well."""


def ok(check: str, found: str) -> Finding:
    return Finding(check, "ok", found)


def warning(check: str, found: str, advice: str) -> Finding:
    return Finding(check, "warning", found, advice)


def error(check: str, found: str, advice: str) -> Finding:
    return Finding(check, "error", found, advice)


def show_findings(findings: Sequence[Finding]) -> Text:
    """A line each, and what to do below it; a summary at the end."""
    width = max((len(f.check) for f in findings), default=0)
    lines: list[Text] = []
    for f in findings:
        lines.append(
            Text.assemble((f"{f.status:<7}", _STYLES[f.status]), f"  {f.check:<{width}}  {printable_line(f.found)}")
        )
        if f.advice:
            lines.append(Text.assemble(f"{'':<7}  {'':<{width}}  ", ("→ " + printable_line(f.advice), "italic")))
    lines.append(Text(summary(findings), "bold"))
    return Text("\n").join(lines)


def summary(findings: Sequence[Finding]) -> str:
    errors = sum(f.status == "error" for f in findings)
    warnings = sum(f.status == "warning" for f in findings)
    if not errors and not warnings:
        return "All is well."
    return f"{_counted(errors, 'error')}, {_counted(warnings, 'warning')}."


def _counted(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def findings_json(findings: Sequence[Finding]) -> str:
    """A JSON array of objects with the fields of `Finding`."""
    return msgspec.json.format(msgspec.json.encode(findings), indent=2).decode()
