"""Values as Postgres takes them: text without NUL, array literals, JSON, lines of COPY."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

NUL = "\x00"
REPLACEMENT = "\ufffd"
"""Stands for a NUL, which Postgres can't store. The log has the original; a text must not stop the projection."""

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_encode = msgspec.json.Encoder().encode


def clean(text: str) -> str:
    """`text` as Postgres can hold it."""
    return text.replace(NUL, REPLACEMENT) if NUL in text else text


def clean_json(value: Any) -> str:
    """`value` as JSON that `jsonb` takes."""
    text = _encode(value).decode()
    if "\\u0000" not in text:
        return text
    return _encode(_without_nul(value)).decode()


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key): _without_nul(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nul(inner) for inner in value]
    return value


def array(names: Iterable[str]) -> str:
    """A literal of ``text[]``."""
    quoted = ('"' + clean(name).replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return "{" + ",".join(quoted) + "}"


def copy_line(values: Sequence[object]) -> str:
    r"""A row in the text format of COPY: tabs between, ``\N`` for None, a newline behind."""
    line = "\t".join([r"\N" if value is None else str(value) for value in values])
    # Looked at as a whole: nearly no row has anything to escape, and a look at each field cost more than all the rest.
    plain = line.count("\t") == len(values) - 1 and line.count("\\") == values.count(None)
    if not plain or "\n" in line or "\r" in line:
        line = "\t".join([r"\N" if value is None else str(value).translate(_ESCAPES) for value in values])
    return line + "\n"
