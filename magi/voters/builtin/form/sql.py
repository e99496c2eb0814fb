"""Does SQL parse, in any of the common dialects. Runs inside the parsing process only (`form/process.py`)."""

import logging
import re

import sqlglot
from sqlglot.errors import ParseError, TokenError

from magi.voters.builtin.form.flaw import Flaw, excerpt

DIALECTS = ("", "postgres", "mysql", "sqlite", "tsql", "oracle", "bigquery")
"""Tried in this order; one that accepts the text is enough. "" is the parser's own superset."""

MAX_CHARACTERS = 32_768
"""The parser is written in Python: 32 KiB of statements take about 0.3 s."""

# Bodies of procedures and client commands are not in the parser's grammar.
_OUTSIDE = re.compile(
    r"(?im)^\s*(?:DELIMITER\b|DECLARE\b|BEGIN\b(?!\s*(?:;|TRANSACTION|WORK))|\\\w|GO\s*$|LOOP\b)"
    r"|\b(?:FUNCTION|PROCEDURE|TRIGGER|LANGUAGE\s+plpgsql)\b|\$\$"
)

logging.getLogger("sqlglot").setLevel(logging.ERROR)


def check(code: str) -> Flaw | None:
    """The first flaw that every dialect agrees on, or None."""
    if len(code) > MAX_CHARACTERS or _OUTSIDE.search(code):
        return Flaw(1, 1, "procedural or very long SQL is not checked", severity="doubtful")
    first: Flaw | None = None
    for dialect in DIALECTS:
        flaw = _attempt(code, dialect)
        if flaw is None:
            return None
        first = first or flaw
    return first


def _attempt(code: str, dialect: str) -> Flaw | None:
    try:
        sqlglot.parse(code, dialect=dialect or None)
    except ParseError as error:
        details = error.errors[0] if error.errors else {}
        line, column = int(details.get("line") or 1), int(details.get("col") or 1)
        what = str(details.get("description") or "this does not parse").rstrip(".")
        what = re.sub(r"<class '[\w.]*?(\w+)'>", lambda found: found[1].upper(), what)
        at = excerpt(code, line)
        return Flaw(line, column, f"{what}, near `{at}`" if at else what, "correct the statement there")
    except TokenError as error:
        what = str(error).splitlines()[0][:120]
        return Flaw(max(1, len(code.splitlines())), 1, what, "close the string or comment")
    return None
