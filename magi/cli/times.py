"""Times, places in a history and strategies as people type them, and durations as they read them. Pure."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_origin

import msgspec

from magi.domain.clock import milliseconds, rfc3339
from magi.domain.strategies import registered

if TYPE_CHECKING:
    from magi.audit.state_at import Moment

_AGO = re.compile(r"(\d{1,6})(s|m|h|d|w)\Z")
_FIRST = -62_135_596_800_000
"""The first of January of the year 1, before which there are no dates."""
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def parse_time(text: str, now: int) -> int:
    """A time in milliseconds since 1970: RFC 3339 (without a zone UTC), a date, or so long ago, such as ``2h``, ``7d``.

    Raises ValueError.
    """
    ago = _AGO.match(text.strip())
    if ago:
        return max(_FIRST, now - int(ago[1]) * _UNITS[ago[2]])
    try:
        moment = datetime.fromisoformat(text.strip())
        return milliseconds((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat())
    except (ValueError, OverflowError):
        raise ValueError(
            f"expected a time such as 2026-01-31T12:00:00Z, 2026-01-31 (UTC) or 2h (ago), got {text[:80]!r}"
        ) from None


def parse_span(text: str) -> int:
    """Milliseconds of ``30s``, ``1h``, ``30d`` … Raises ValueError."""
    span = _AGO.match(text.strip())
    if not span:
        raise ValueError(f"expected a time span such as 90s, 1h or 30d, got {text[:80]!r}")
    return int(span[1]) * _UNITS[span[2]]


def parse_expiry(text: str, now: int) -> str:
    """A time to come, RFC 3339, of a span from now on (``30d``) or a time; empty text is never. Raises ValueError."""
    if not text:
        return ""
    try:
        return rfc3339(now + parse_span(text) if _AGO.match(text.strip()) else parse_time(text, now))
    except (ValueError, OverflowError):
        raise ValueError(f"expected a time span such as 30d, or a time to come, got {text[:80]!r}") from None


def parse_moment(text: str, now: int) -> "Moment":
    """A place in a history: a `seq` of it (``3``), one of the log (``log:4711``), or a time. Raises ValueError."""
    from magi.audit.state_at import Moment  # here: it comes with NATS, which a strategy of `magi submit` doesn't need

    if text.isascii() and text.isdigit():
        return Moment("version", int(text[:18]))
    kind, _, number = text.partition(":")
    if kind == "log" and number.isascii() and number.isdigit():
        return Moment("sequence", int(number[:18]))
    return Moment("time", parse_time(text, now))


def parse_strategy(text: str) -> str | Mapping[str, Any]:
    """A strategy: ``veto``, ``threshold:k=2``, ``veto:holders=a+b``, ``weighted:weights.a=2``, or JSON as in a request.

    Raises ValueError. Whether there is such a strategy is not looked at.
    """
    if text.lstrip().startswith("{"):
        try:
            return msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise ValueError(f"strategy: not JSON: {error}") from error
    name, given, parameters = text.partition(":")
    if not given:
        return name
    found: dict[str, Any] = {"name": name}
    for parameter in parameters.split(","):
        key, equals, value = parameter.partition("=")
        if not equals or not key:
            raise ValueError(f"strategy: expected NAME:PARAMETER=VALUE,…, got {parameter[:80]!r}")
        outer, dot, inner = key.strip().partition(".")
        if dot:
            found.setdefault(outer, {})[inner] = _value(value)
        else:
            found[outer] = value.split("+") if _is_list(name, outer) else _value(value)
    return found


def _is_list(strategy: str, parameter: str) -> bool:
    known = registered().get(strategy)
    fields = msgspec.structs.fields(known.parameters) if known else ()
    return any(f.encode_name == parameter and get_origin(f.type) in (tuple, list) for f in fields)


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def duration(ms: int) -> str:
    """Such as ``0.250 s``, ``2m05s``, ``3h04m``, ``2d03h``."""
    if abs(ms) < 60_000:
        return f"{ms / 1000:.3f} s"
    sign, seconds = ("-" if ms < 0 else ""), abs(ms) // 1000
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if hours == 0:
        return f"{sign}{minutes}m{seconds % 60:02d}s"
    if days == 0:
        return f"{sign}{hours}h{minutes % 60:02d}m"
    return f"{sign}{days}d{hours % 24:02d}h"
