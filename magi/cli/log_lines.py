"""How one event of a log becomes one line: JSON for programs, columns for a terminal, and neither can be forged.

What is logged holds ids that others chose, and errors that others raised. So every string is made harmless, a line is
short enough to be written in one piece, and of an exception only what can't quote what was submitted is kept.

`trace`, a `traceparent`, becomes `trace_id` here: what is not written is not parsed either.
"""

import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from magi.cli.kinds_of_errors import is_one_of
from magi.cli.safe import printable, printable_json, printable_line
from magi.telemetry.trace_context import trace_id

LONGEST: Final = 4000
"""Bytes of a line, about: what is written to a pipe in one piece (PIPE_BUF is 4,096), so that the lines of several
processes in one pipe don't mix."""
_SHORT = 300
"""Characters that are left of a value where a line is too long; of a traceback ten times as many, its end."""
TELLING = frozenset(
    {
        "magi.eventstore.bus.BusError",
        "magi.eventstore.bus.Rejected",
        "magi.eventstore.history.StoreError",
        "nats.errors.Error",
        "builtins.TimeoutError",
        "asyncio.exceptions.InvalidStateError",
    }
)
"""Errors of ours and of NATS: what they say is about the machine."""
_BUGS = frozenset({AttributeError, NameError, UnboundLocalError, ImportError, ModuleNotFoundError, IndexError})
"""Errors of Python that say a name or nothing: what a mistake of ours looks like. `KeyError` and `ValueError` quote."""
_LEVELS = {"exception": "error", "warn": "warning", "fatal": "critical"}

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def json_lines(part: str) -> Processor:
    """Renders an event as a JSON object on one line. Members that are empty are left out."""
    about = {"part": part} if part else {}

    def render(_: WrappedLogger, method: str, event: EventDict) -> str:
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        line: dict[str, Any] = {"timestamp": now[:-6] + "Z", "level": _LEVELS.get(method, method)}
        line["event"] = event.pop("event")
        line |= about
        if "exc_info" in event:
            line["exception"] = _traceback(event.pop("exc_info"))
        if trace := event.pop("trace", ""):
            line["trace_id"] = trace_id(trace)
        for name, value in event.items():
            if value is not None and value != "":
                line[name] = value
        text = _json(line)
        return text if len(text) <= LONGEST else _json({name: _shortened(name, v) for name, v in line.items()})

    return render


def _json(line: dict[str, Any]) -> str:
    try:
        text = _encode(line).decode()
    except UnicodeEncodeError:  # a lone surrogate
        text = _encode({name: _encodable(value) for name, value in line.items()}).decode()
    # What could steer a terminal that shows the file. Its own control characters JSON escapes itself.
    return text if text.isascii() and "\x7f" not in text else printable_json(text)


def _encodable(value: object) -> object:
    return value if isinstance(value, int | float) else printable_line(value if isinstance(value, str) else repr(value))


def _shortened(name: str, value: object) -> object:
    if name == "exception":
        return "… " + str(value)[-10 * _SHORT :] if len(str(value)) > 10 * _SHORT else value
    if isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else _encode(value).decode()
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


def console_lines(part: str, *, colors: bool) -> list[Processor]:
    """Render an event in columns, for people at a terminal."""

    def harmless(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
        found: EventDict = {"timestamp": datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"}
        found["level"] = _LEVELS.get(method, method)
        if part:
            found["part"] = part
        if trace := event.pop("trace", ""):
            found["trace_id"] = trace_id(trace)
        for name, value in event.items():
            if name == "exc_info":
                found["exception"] = printable(_traceback(value))
            elif value is not None and value != "":
                found[name] = _shown(value)
        return found

    return [harmless, structlog.dev.ConsoleRenderer(colors=colors)]


def _shown(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    text = printable_line(value if isinstance(value, str) else repr(value))
    # structlog puts quotes around what holds a blank; any other white space would pass for the end of a value, too.
    return text if text.isascii() else "".join(" " if character.isspace() else character for character in text)


def _traceback(given: object) -> str:
    """Where an exception came from, and those that led to it: the source's lines, no values."""
    error = given if isinstance(given, BaseException) else sys.exception()
    return "\n".join(_told(error)) if error else ""


def _told(error: BaseException, depth: int = 8) -> Iterator[str]:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and depth:
        yield from _told(before, depth - 1)
        yield "which led to:"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), limit=-20).format()).rstrip()
    yield what_it_says(error)
    if isinstance(error, BaseExceptionGroup) and depth:
        for inner in error.exceptions:
            yield from _told(inner, depth - 1)


def what_it_says(error: BaseException) -> str:
    """An error in a line: its type, and its message unless that could quote what was submitted."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(error, OSError) and error.strerror and kind.__module__ == "builtins":
        return f"{name}: {error.strerror}"
    if kind in _BUGS or (is_one_of(error, TELLING) and kind.__module__.startswith(("magi.", "nats.", "builtins"))):
        return f"{name}: {error}" if str(error) else name
    return f"{name} (what it says is left out)" if str(error) else name
