"""Where in an answer the data is that was asked for."""

import re

from magi.voters.builtin.fences import Block, Document
from magi.voters.builtin.languages import ALIASES

_YAML_LINE = re.compile(r"^\s*(?:- ?\S|-$|[\w\"'./-]{1,80}\s?:(?:\s|$)|#|---|\.\.\.$|\|)")
_TOML_LINE = re.compile(r"^\s*(?:\[{1,2}[\w.\"' -]{1,80}\]{1,2}|[\w.\"'-]{1,80}\s*=\s*\S|#)")


def find(form: str, document: Document) -> Block | None:
    """The stretch of the answer that is meant to be data of this form, or None when there is nothing like it.

    A fenced block that says so comes first, then one that says nothing, then the text itself. Linear in its length.
    """
    for block in document.blocks:
        if ALIASES.get(block.info) == form:
            return block
    for block in document.blocks:
        if not block.info or block.info in ("text", "txt", "plaintext"):
            return block
    if document.blocks:
        return None
    lines = document.prose.split("\n")
    match form:
        case "json":
            return _between(document.prose, "{[", "}]")
        case "xml":
            return _between(document.prose, "<", ">")
        case "yaml":
            return _rows(lines, [bool(_YAML_LINE.match(line)) for line in lines])
        case "toml":
            return _rows(lines, [bool(_TOML_LINE.match(line)) for line in lines])
        case _:
            return _rows(lines, _csv_rows(lines))


def around(block: Block, document: Document) -> int | None:
    """The first line of the answer with text outside the block; None when the block is all there is."""
    inside = range(block.line - 1, block.line - 1 + len(block.code.split("\n")))
    for row, line in enumerate(document.prose.split("\n")):
        if line.strip() and row not in inside:
            return row + 1
    return None


def _between(text: str, openers: str, closers: str) -> Block | None:
    offset = 0
    start = None
    for line in text.split("\n"):
        bare = line.lstrip()
        if bare[:1] and bare[0] in openers:
            start = offset + len(line) - len(bare)
            break
        offset += len(line) + 1
    if start is None:
        positions = [at for at in (text.find(opener) for opener in openers) if at >= 0]
        if not positions or '"' not in text:
            return None
        start = min(positions)
    end = max(text.rfind(closer) for closer in closers) + 1
    if end <= start:
        end = len(text)
    if closers == "}]" and _reads_on(text[end:]):
        end = len(text)  # the last bracket is one of the data's inner ones: the data breaks off
    return Block("", text[start:end], text.count("\n", 0, start) + 1)


def _reads_on(rest: str) -> bool:
    return rest.lstrip()[:1] in (",", '"', ":")


def _rows(lines: list[str], fits: list[bool]) -> Block | None:
    """From the first line that fits to the last one; lines indented under one that fits belong to it."""
    rows = [row for row, fit in enumerate(fits) if fit]
    # "Here is the file:" fits YAML's key, and is not meant as one.
    while rows and lines[rows[0]].rstrip().endswith(":") and len(lines[rows[0]].split()) > 2:
        rows.pop(0)
    if not rows:
        return None
    first, last = rows[0], rows[-1]
    while last + 1 < len(lines) and lines[last + 1][:1] in (" ", "\t"):
        last += 1
    return Block("", "\n".join(lines[first : last + 1]), first + 1)


def _csv_rows(lines: list[str]) -> list[bool]:
    counts = [max(line.count(mark) for mark in ",;\t|") for line in lines]
    prose = [line.rstrip().endswith((":", ".", "!", "?")) and len(line.split()) > 5 for line in lines]
    return [count > 0 and not talk for count, talk in zip(counts, prose, strict=True)]
