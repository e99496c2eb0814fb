"""Is JSON valid, by RFC 8259, with a hint at the mistake behind the parser's message."""

import json
import re
from typing import Never

from magi.voters.builtin.form.flaw import Flaw, excerpt


def check(text: str) -> Flaw | None:
    """The first flaw, or None. NaN, Infinity and keys given twice count as flaws: readers differ on them."""
    try:
        json.loads(text, parse_constant=_refuse, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        what, fix = _explain(text, error)
        at = excerpt(text, error.lineno)
        return Flaw(error.lineno, error.colno, f"{what}, at `{at}`" if at else what, fix)
    except RecursionError:
        return Flaw(1, 1, "nested too deeply for most readers", "flatten it")
    except ValueError as error:
        name = str(error)
        line = next((n for n, row in enumerate(text.splitlines(), 1) if name.split("`")[1] in row), 1)
        return Flaw(line, 1, name, "use a value that JSON has" if "constant" in name else "keep one of them")
    return None


def _refuse(constant: str) -> Never:
    raise ValueError(f"the constant `{constant}` is not JSON")


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f'the key `"{key[:60]}"` is given twice')
            seen.add(key)
    return found


def _explain(text: str, error: json.JSONDecodeError) -> tuple[str, str]:
    rest = text[error.pos : error.pos + 40]
    before = text[max(0, error.pos - 200) : error.pos].rstrip()
    if not rest.strip():
        return "the text ends before the JSON does", "complete it"
    if "trailing comma" in error.msg or (rest.lstrip()[:1] in ("}", "]") and before.endswith(",")):
        return "a trailing comma", "remove the comma before the closing bracket"
    if rest.lstrip().startswith(("//", "/*", "#")):
        return "a comment, which JSON does not have", "remove it"
    if rest.lstrip()[:1] in ("'", "‘", "’", "“", "”"):
        return "a string in other quotes than double quotes", 'use "…"'
    if constant := re.match(r"\s*(True|False|None|undefined)\b", rest):
        proper = {"True": "true", "False": "false"}.get(constant[1], "null")
        return f"`{constant[1]}` is not JSON", f"write `{proper}`"
    if "property name" in error.msg and re.match(r"\s*[A-Za-z_]", rest):
        return "a key without quotes", "put keys in double quotes"
    if "',' delimiter" in error.msg:
        return "a comma is missing between two members", "add the comma"
    if error.msg == "Extra data":
        return "more text after the end of the JSON", "answer with one JSON value and nothing after it"
    return error.msg[0].lower() + error.msg[1:], "correct it there"
