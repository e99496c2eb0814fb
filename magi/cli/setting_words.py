"""What a setting expects, and what it was given, in a person's words. Pure; no secret is quoted."""

import re
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec.inspect import BoolType, FloatType, IntType, ListType, LiteralType, Metadata, StrType, VarTupleType

from magi.cli.postgres_access import shown

_LONGEST = 80
_SECRET = re.compile(r"\s*(whsec_|magi_[a-z]_|S[UAOCNX][A-Z2-7]{50}|-----BEGIN)")


def expected(kind: Any) -> str:
    """What a value of this type has to be: "a whole number from 1 to 5"."""
    if get_origin(kind) is Literal:  # in our order, which msgspec doesn't keep
        return _one_of(get_args(kind))
    return _expected(msgspec.inspect.type_info(kind))


def _one_of(values: Sequence[object]) -> str:
    return ", ".join(map(str, values[:-1])) + f" or {values[-1]}"


def _expected(kind: Any) -> str:
    match kind:
        case Metadata(type=inner):
            return str((kind.extra_json_schema or {}).get("description") or _expected(inner))
        case BoolType():
            return "true or false"
        case IntType():
            return "a whole number" + _range(kind)
        case FloatType():
            return "a number" + _range(kind)
        case LiteralType(values=values):
            return _one_of(values)
        case VarTupleType(item_type=item) | ListType(item_type=item):
            what = _expected(item)
            return "a list of texts" if what == "text" else f"a list, each of it {what}"
        case StrType():
            return "text"
        case _:
            return "something else"


def _range(kind: IntType | FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {_number(kind.ge)} to {_number(kind.le)}"
    least = f" of {_number(kind.ge)} or more" if kind.ge is not None else ""
    least = f" above {_number(kind.gt)}" if kind.gt is not None else least
    return least + (f", at most {_number(kind.le)}" if kind.le is not None else "")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def given(name: str, value: Any) -> str:
    """What a setting was given, as a message may show it: in quotes, cut where it is long, without passwords."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        if is_secret(value):
            return "what looks like a secret itself, which is not shown"
        text = repr(shown(value)) if name.endswith(("url", "endpoint")) else repr(value)
    elif isinstance(value, dict):
        text = "a table"
    else:
        text = f"[{', '.join(given(name, one) for one in value)}]" if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def is_secret(text: str) -> bool:
    """Whether somebody wrote the secret where the file with it is wanted."""
    return _SECRET.match(text) is not None
