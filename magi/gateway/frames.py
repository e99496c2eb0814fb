"""What the messages of Initiators and of voters have in common: how a frame is taken apart with care. Pure."""

import json
import re
from collections.abc import Container
from typing import Any

import msgspec
from msgspec import Struct

from magi.domain.errors import InvalidMessage
from magi.gateway.errors import InvalidJson, UnsupportedType


class Authenticate(Struct, frozen=True, tag="authenticate"):
    token: str


class Ping(Struct, frozen=True, tag="ping"):
    pass


class Peek(Struct):
    """What every frame may hold, whatever else it does."""

    type: Any = None
    request_id: Any = None
    task_id: Any = None


MAX_DEPTH = 32
_MESSAGE = 300
"""The most characters of an error's message."""
_decode_peek = msgspec.json.Decoder(Peek).decode
_decode_any = msgspec.json.Decoder().decode
_BRACKET = re.compile(r"[\[\]{}]")
_AT = re.compile(r"^(.*) - at `\$\.?(.*)`$")
_MISSING = re.compile(r"missing required field `(\w+)`")


def peek(text: str) -> Peek:
    """What a frame is about. Raises InvalidJson."""
    try:
        found = _decode_peek(text)
    except RecursionError:
        raise InvalidJson(f"nested deeper than {MAX_DEPTH}") from None
    except msgspec.ValidationError:
        raise InvalidJson("expected an object") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidJson(f"not JSON: {error}") from None
    outside = ""
    if text.count("[") + text.count("{") > MAX_DEPTH:
        outside = _outside_strings(text)
        if _depth(outside) > MAX_DEPTH:
            raise InvalidJson(f"nested deeper than {MAX_DEPTH}")
    _refuse_duplicates(text, outside)
    return found


def check_type(kind: object, known: Container[str]) -> None:
    """Raises InvalidMessage, UnsupportedType when `kind` is none of the `known` types."""
    if not isinstance(kind, str):
        raise InvalidMessage("type: expected a string" if kind is not None else "type: missing")
    if kind not in known:
        raise UnsupportedType(f"type: {_shown(kind)} is not supported")


def field_first(problem: str) -> str:
    """msgspec's message with the field's name in front."""
    if found := _AT.match(problem):
        return f"{found[2] or 'message'}: {found[1][0].lower()}{found[1][1:]}"
    if found := _MISSING.search(problem):
        return f"{found[1]}: missing"
    return problem


def refuse_nul(value: Any, field: str = "") -> None:
    """NUL is a poison: Postgres can't store it. Raises InvalidMessage that names the field."""
    match value:
        case str() if "\0" in value:
            raise InvalidMessage(f"{field}: expected no NUL")
        case dict():
            for key, inner in value.items():
                refuse_nul(key, field or key)
                refuse_nul(inner, f"{field}.{key}" if field else key)
        case list() | tuple():
            for number, inner in enumerate(value):
                refuse_nul(inner, f"{field}[{number}]")


def short(message: str) -> str:
    """An error's message as it is sent: it may quote what came in."""
    return message if len(message) <= _MESSAGE else message[: _MESSAGE - 1] + "…"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")


def _depth(outside: str) -> int:
    """How deep arrays and objects are nested in valid JSON, given what of it is outside of strings."""
    depth = deepest = 0
    for bracket in _BRACKET.findall(outside):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _outside_strings(text: str) -> str:
    """What of valid JSON is in no string. Takes linear time for any text."""
    if "\\" in text:
        # From the left, two by two: what is left of a row of backslashes is one before a quote, or none.
        text = text.replace("\\\\", "").replace('\\"', "")
    return "".join(text.split('"')[::2])


def _refuse_duplicates(text: str, outside: str) -> None:
    """Raises InvalidJson when an object in valid JSON holds a key twice: another parser may take the first for what
    counts, and show something else than what is judged. `outside` is what of it is in no string, or empty.

    Decoders keep the last and don't tell. So members are counted, as they were decoded and by their colons in the text:
    4 µs for a message of 400 bytes (decoding it takes 3 besides), 0.1 ms for one of 100 KiB (0.15 to 0.5 besides).
    """
    try:
        members = _members(_decode_any(text))
    except (msgspec.DecodeError, ValueError):  # a number larger than any: where it matters its field is refused
        members = -1
    if members != text.count(":") and members != (outside or _outside_strings(text)).count(":"):
        json.loads(text, object_pairs_hook=_unique, parse_int=str, parse_float=str)


def _members(value: Any) -> int:
    """How many members all objects in `value` have."""
    count, inner = (len(value), value.values()) if type(value) is dict else (0, value)
    for item in inner:
        if type(item) is dict or type(item) is list:
            count += _members(item)
    return count


def _unique(members: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in members:
        if key in seen:
            raise InvalidJson(f"the key {_shown(key)} is there twice")
        seen.add(key)


PONG = b'{"type":"pong"}'
