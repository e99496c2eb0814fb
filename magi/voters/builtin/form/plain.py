"""Code and data that stand in an answer without a fence."""

import re

from magi.voters.builtin.fences import Block

_CODE_LINE = re.compile(
    r"""^\s*(?:
      (?:def|class|import|from|return|if|elif|else|for|while|try|except|finally|with|raise|async|await|yield|pass|break
        |const|let|var|function|export|public|private|protected|static|void|int|float|double|char|bool|string|struct
        |func|fn|package|use|pub|impl|match|print|println|echo|fi|done|then|do|case|end|puts|require|using|namespace
        |SELECT|INSERT|UPDATE|DELETE|CREATE|FROM|WHERE|JOIN|ORDER|GROUP|VALUES|ALTER|DROP)\b.*[:;{}()=\[\],]
     |[\w.\[\]'"]+\s*(?:[-+*/%|&]|:)?=(?!=)\s*\S
     |[\w.:]+\(.*\)\s*[;,{:]?\s*$
     |</?[A-Za-z!][^>]*>?
     |(?://|/\*|\*/|\#include|\#!|@\w|<\?php|--\s)
     |[\])}]+[;,)]*\s*$
     |.*[;{]\s*$
     |\$\w+
    )""",
    re.X,
)
_PROSE_LINE = re.compile(
    r"^\s*(?:[-*•]\s+|\d+[.)]\s+|#+\s+)?[A-Z\"'“(]?[a-zA-Z'’,]+(?:\s+[\w'’\"“”(),:/-]+){3,}.*[.:?!]?\s*$"
)
_SYMBOLS = re.compile(r"[{}();=<>\[\]]")
MIN_DENSITY = 0.7


def looks_like_code(text: str) -> bool:
    """Whether at least one line of the text reads as code. One pass."""
    return any(_is_code(line) for line in text.split("\n"))


def find(prose: str) -> Block | None:
    """The stretch of an unfenced text that is code, when most of its lines are; None otherwise.

    A sentence that leads in and paragraphs that follow are left off. The lines in between must nearly all be code, or
    be indented under code: a stretch with prose in its middle is no one piece of code, and can't be judged as one.
    """
    lines = prose.split("\n")
    kinds = _kinds(lines)
    code_at = [row for row, kind in enumerate(kinds) if kind == "code"]
    if not code_at:
        return None
    first, last = code_at[0], code_at[-1]
    while last + 1 < len(lines) and lines[last + 1][:1] in (" ", "\t") and lines[last + 1].strip():
        last += 1
    inside = [kind for kind, line in zip(kinds[first : last + 1], lines[first : last + 1], strict=True) if line.strip()]
    if "prose" in inside:
        return None
    density = sum(kind == "code" for kind in inside) / len(inside)
    if density < MIN_DENSITY or (len(inside) == 1 and len(lines) > 3):
        return None
    return Block("", "\n".join(lines[first : last + 1]), first + 1)


def _kinds(lines: list[str]) -> list[str]:
    kinds: list[str] = []
    last = ""
    for line in lines:
        kind = _kind(line)
        if kind == "other" and last == "code" and line[:1] in (" ", "\t"):
            kind = "code"  # indented under code
        if kind != "blank":
            last = kind
        kinds.append(kind)
    return kinds


def _kind(line: str) -> str:
    if not line.strip():
        return "blank"
    if _is_code(line):
        return "code"
    return "prose" if line[:1] not in (" ", "\t") and _PROSE_LINE.match(line) else "other"


def _is_code(line: str) -> bool:
    if len(line) > 1000:
        return False
    if (
        _PROSE_LINE.match(line)
        and len(_SYMBOLS.findall(line)) <= 2
        and not line.rstrip().endswith((";", "{", "}", "):"))
    ):
        return False
    return bool(_CODE_LINE.match(line)) or (line[:4] in ("    ", "\t") and bool(_SYMBOLS.search(line)))
