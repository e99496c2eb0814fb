"""The fenced blocks of an answer, and the prose around them."""

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token
from msgspec import Struct

MAX_BLOCKS = 64
"""An answer with more blocks is read up to here."""

# Lists and quotes are on because agents put fences inside numbered steps; everything inline is off. 256 KiB of the
# worst text found (an empty fence on every other line) take 0.5 s, of ordinary text 10 ms.
_markdown = MarkdownIt("zero", {"maxNesting": 20}).enable(["fence", "list", "blockquote"])
_markdown.core.ruler.enableOnly(["normalize", "block"])

_FENCE = re.compile(r"```|~~~")


class Block(Struct, frozen=True):
    """One fenced block, or a stretch of code that stands in an answer without a fence."""

    info: str
    """The first word of the info string in lower case, empty when there is none."""
    code: str
    line: int
    """The line of the answer (from 1) on which `code` begins."""
    closed: bool = True
    """False when the answer ends before the block does."""


class Document(Struct, frozen=True):
    """An answer taken apart."""

    blocks: tuple[Block, ...]
    prose: str
    """The answer with its fenced blocks blanked out: the same lines, so that line numbers stay what they are."""


def split(answer: str) -> Document:
    """Takes an answer apart. An unclosed fence runs to the end, as renderers show it."""
    text = answer.replace("\r\n", "\n").replace("\r", "\n")
    if not _FENCE.search(text):
        return Document((), text)
    lines = text.split("\n")
    blocks: list[Block] = []
    for token in _markdown.parse(text):
        if token.type != "fence" or token.map is None:
            continue
        first, end = token.map
        for row in range(first, min(end, len(lines))):
            if len(blocks) < MAX_BLOCKS:
                closing = lines[row]
                lines[row] = ""
        if len(blocks) < MAX_BLOCKS:
            blocks.append(Block(_info(token), token.content, first + 2, _is_fence(closing, token) and end - first > 1))
    return Document(tuple(blocks), "\n".join(lines))


def _info(token: Token) -> str:
    words = token.info.strip().lower().split()
    return words[0].strip("{}.") if words else ""


def _is_fence(line: str, token: Token) -> bool:
    bare = line.strip(" >\t")
    return bare.startswith(token.markup) and not bare.strip(token.markup[0])
