"""Does an answer end where it should: no open fence, no sentence that breaks off."""

import re

from magi.voters.builtin.fences import Document
from magi.voters.builtin.text import words

_MARKED = re.compile(
    r"(?:\[\s*(?:truncated|continued|cut off|output truncated|to be continued|\d+ (?:more )?(?:lines|characters"
    r"|tokens) (?:omitted|truncated))\s*\]"
    r"|<(?:truncated|max_tokens)>|\(\s*(?:continued|truncated|cut off)[^)\n]{0,40}\)|(?:…"
    r"|\.\.\.)\s*\(?(?:continued|truncated)\)?|\bfinish_reason\W{1,4}length\b)\s*\Z",
    re.IGNORECASE,
)
_DANGLING = words(
    """
    a an the and or nor of to in on at by for with from into onto upon about than that which who whom whose
    where when while because if although though unless until since as is are was were be been being am has have
    had do does did will would shall should can could may might must its their his her our your my this these
    those such very more most some any every each either neither both between among through during before after
    without within against toward towards including
    """
)
_ENDS = '.!?:;…"”’»)]}>*_`~|。！？）」』।؟♪♥'
_EXCUSED = re.compile(
    r"\b(?:poem|poetry|haiku|limerick|song|lyrics?|rap|sonnet|verse|acrostic|rhym\w*|slogan|tagline|title"
    r"|headline|list|name|tweet|hashtag|caption|keywords?|complete the|continue the|fill in|fragment|table|chart"
    r"|recipe"
    r"|sentence starters?|prepositions?|conjunctions?|articles?|prompt|subject line|haikus|words?|phrase|quote)s?\b",
    re.IGNORECASE,
)
_ITEM = re.compile(r"^\s*(?:[-*•+]|\d{1,3}[.)]|[a-zA-Z][.)]|#{1,6}|\||>|[A-Z][\w ]{0,30}:)\s*")
MIN_WORDS = 12
"""In a last paragraph: shorter ones are headings, signatures, captions."""


def cut_off(document: Document, query: str) -> str | None:
    """How an answer is seen to break off, as part of a sentence; None when it ends well or nobody can tell."""
    if (
        document.blocks
        and not document.blocks[-1].closed
        and not any(b.info in ("markdown", "md") for b in document.blocks)
    ):
        block = document.blocks[-1]
        return f"the code block opened at line {block.line - 1} is never closed"
    text = document.prose.rstrip()
    last_block = max((b.line + b.code.count("\n") for b in document.blocks), default=0)
    if not text or (last_block > text.count("\n") + 1):
        return None
    if found := _MARKED.search(text[-200:]):
        return f"it ends with “{found[0].strip()}”"
    return _mid_sentence(text, query)


def _mid_sentence(text: str, query: str) -> str | None:
    paragraph = text[-2_000:].split("\n")[-1].strip()
    listed = _ITEM.match(paragraph)
    words = paragraph.split()
    if not words or paragraph[-1] in _ENDS or not _is_prose(text):
        return None
    if words[-1].startswith(("#", "@", "http", "www.", "/")):
        return None
    tail = " ".join(words[-6:])
    last = words[-1].strip("*_'\"“”‘’").lower()
    excused = bool(_EXCUSED.search(query))
    if paragraph[-1] == "," and len(words) >= 6 and not excused:
        return f"it ends with a comma: “…{tail}”"
    if last in _DANGLING and len(words) >= 6 and last.isascii() and not excused and not paragraph.endswith("?"):
        return f"it ends in the middle of a sentence: “…{tail}”"
    if re.fullmatch(r"\w+-", words[-1]) and len(words) >= 6:
        return f"it ends in the middle of a word: “…{tail}”"
    if listed or excused or len(words) < MIN_WORDS:
        return None
    sentences = len(re.findall(r"[.!?](?=\s+[A-Z\"“])", paragraph))
    # Sentences that end properly, then one that doesn't: the way a limit on length cuts.
    if sentences >= 2 and paragraph[-1].isalnum() and len(re.split(r"[.!?]\s+", paragraph)[-1].split()) >= 3:
        return f"its last sentence has no end: “…{tail}”"
    return None


def _is_prose(text: str) -> bool:
    """Latin script with sentences in it: of other scripts the marks of an end are not all known here."""
    sample = text[-2_000:]
    letters = [c for c in sample if c.isalpha()]
    return bool(letters) and sum(c < "\u0250" for c in letters) / len(letters) > 0.9
