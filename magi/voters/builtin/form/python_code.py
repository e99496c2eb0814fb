"""Does Python parse: the interpreter's own parser, with tree-sitter as a second opinion on syntax newer than it.

Runs inside the parsing process only (`form/process.py`): deeply nested source can exhaust the C stack.
"""

import ast
import re
import warnings

from magi.voters.builtin.form import grammars
from magi.voters.builtin.form.flaw import Flaw, excerpt

# Magic commands of notebooks and shells around Python; their lines are no Python and no mistake either.
_MAGIC = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)
# A signature shown by itself, for the reader to implement.
_HEADER_ALONE = re.compile(r"(?:\s|#[^\n]*\n|@[^\n]*\n)*(?:async +)?(?:def|class) [^\n]*:\s*(?:#[^\n]*)?\s*\Z")

_HINTS = (
    ("Missing parentheses in call to", "this is Python 2; write it as a function call"),
    ("expected an indented block", "indent the body, or write `pass`"),
    ("unindent does not match", "use one indentation throughout the block"),
    ("unexpected indent", "remove the extra indentation"),
    ("inconsistent use of tabs", "use spaces only"),
    ("expected ':'", "add the colon"),
    ("was never closed", "close the bracket"),
    ("unterminated", "close the string"),
    ("Maybe you meant '=='", "use `==` to compare"),
    ("perhaps you forgot a comma", "add the comma or the operator that is missing there"),
)


def check(code: str) -> Flaw | None:
    """The first flaw of `code` as Python 3, or None."""
    source = _MAGIC.sub(r"\1pass", code) if _MAGIC.search(code) else code
    error = _parse(source)
    if error is None:
        return None
    line, column, message = error
    newer = message.startswith("f-string") or re.match(r"\s*(?:type\s+\w+|(?:def|class)\s+\w+\[)", excerpt(code, line))
    if newer and grammars.check("python", source) is None:
        return None  # a later Python than this one reads it
    if message.startswith("expected an indented block") and _HEADER_ALONE.match(source):
        return Flaw(line, column, "a signature without its body", "", "doubtful")
    quoted = excerpt(code, line)
    at = f" at `{quoted}`" if quoted else ""
    fix = next((hint for part, hint in _HINTS if part in message), "correct the syntax there")
    return Flaw(line, column, f"{message}{at}", fix)


def _parse(source: str) -> tuple[int, int, str] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "invalid escape sequence" is a warning, not a flaw
        try:
            ast.parse(source)
        except SyntaxError as error:
            return error.lineno or 1, max(1, error.offset or 1), error.msg
        except ValueError as error:  # a NUL in the source
            return 1, 1, str(error)
    return None
