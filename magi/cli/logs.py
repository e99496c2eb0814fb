"""How logs are written: structured, to stderr, readable on a terminal and JSON elsewhere, from a level on.

What each line is made of is in `log_lines`; which lines a request leaves is declared in `magi.telemetry.steps`.
"""

import logging
import os
import signal
import sys
from typing import Any, Final, TextIO

import msgspec
import structlog

from magi.cli.log_lines import console_lines, json_lines
from magi.cli.settings import LogSection, SettingsError
from magi.telemetry import detail

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_METHODS = ("debug", "info", "warning", "warn", "error", "exception", "critical", "fatal", "msg", "log")
_PLAIN = ("psycopg.pool", "nats", "py.warnings")
"""Loggers of libraries whose messages are about connections and the like. Of others only the pattern is kept: what is
filled into it may have been submitted."""

log = structlog.get_logger(__name__)


class _Out:
    """Writes a line in one piece. A log that can't be written, on a full disk or to a pipe that nobody reads any more,
    stops nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._raw = getattr(stream, "buffer", None)

    def msg(self, line: str) -> None:
        try:
            if self._raw is None:
                self._stream.write(line + "\n")
                self._stream.flush()
            else:
                self._raw.write(line.encode("utf-8", "backslashreplace") + b"\n")
                self._raw.flush()
        except (OSError, ValueError, RuntimeError):  # the last: a signal's own line (`settle`) in the midst of another
            pass

    log = debug = info = warn = warning = error = critical = fatal = exception = msg


class _Library(logging.Handler):
    """Takes the libraries' own lines into ours."""

    def emit(self, record: logging.LogRecord) -> None:
        plain = record.name.startswith(_PLAIN)
        try:
            text = record.getMessage() if plain else str(record.msg).partition("\n")[0]
        except (TypeError, ValueError, KeyError):  # it doesn't fit its pattern: whoever logs is not stopped by that
            text = str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        level = "error" if record.levelno >= logging.ERROR else "warning"
        more = {"exc_info": error} if error else {}
        getattr(log, level)("library", logger=record.name, message=text, **more)


PARTS: Final = ("gateway", "orchestrator", "voters", "projector", "serve", "alerts")
"""Whose level can be set alone."""


def level_of(settings: LogSection, part: str) -> str:
    """The level of a part. Raises SettingsError."""
    level: str = settings.level
    for one in settings.parts:
        name, equals, wanted = one.partition("=")
        if not equals or wanted.strip() not in _LEVELS:
            expected = f"PART=LEVEL, and as a level one of {', '.join(_LEVELS)}"
            raise SettingsError(f"log.parts: expected {expected}; got {one[:80]!r}")
        if name.strip() not in PARTS:
            raise SettingsError(f"log.parts: expected one of {', '.join(PARTS)} before =; got {one[:80]!r}")
        if name.strip() == part:
            level = wanted.strip()
    return level


def configure(settings: LogSection, part: str = "") -> None:
    """Set logging up for this process; every line says which `part` it comes from. Raises SettingsError."""
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    level = _LEVELS[level_of(settings, part)]
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    structlog.configure(
        processors=[json_lines(part)] if as_json else console_lines(part, colors=colors),
        wrapper_class=_logger(level),
        logger_factory=_Factory(_Out(sys.stderr)),
        cache_logger_on_first_use=False,
    )
    # The libraries' own loggers: only what is wrong, and nothing of the traffic.
    logging.basicConfig(handlers=[_Library()], level=logging.WARNING)
    logging.captureWarnings(True)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)


def configure_command(settings: LogSection) -> None:
    """For a command that a person runs and that ends by itself: only what is wrong is told, unless the level is set to
    `debug`. Raises SettingsError."""
    quiet: Any = settings.level if settings.level in ("debug", "error") else "warning"
    configure(msgspec.structs.replace(settings, level=quiet))


def settle(settings: LogSection, part: str) -> None:
    """To be called once by a part that runs: from here on its logging stays as it is, which makes a line that isn't
    written cost a third. SIGUSR1 turns debugging on, and off again."""
    kind: Any = structlog.get_config()["wrapper_class"]
    structlog.configure(cache_logger_on_first_use=True)
    usual = _LEVELS[level_of(settings, part)]
    now = usual

    def turn(*_: object) -> None:
        nonlocal now
        now = logging.DEBUG if now != logging.DEBUG else max(usual, logging.INFO)
        _set_level(kind, now)
        log.warning("log_level_changed", now=logging.getLevelName(now).lower())

    signal.signal(signal.SIGUSR1, turn)


def crashed(error: Exception) -> bool:
    """What ends a part that runs goes into its log, as all else does. Returns whether this process is one."""
    if not structlog.get_config()["cache_logger_on_first_use"]:
        return False
    log.error("part_crashed", exc_info=error)
    return True


class _Factory:
    """Every logger writes to the same place."""

    def __init__(self, out: _Out) -> None:
        self._out = out

    def __call__(self, *_: object) -> _Out:
        return self._out


def _logger(level: int) -> type[structlog.typing.FilteringBoundLogger]:
    """structlog's, as a class of its own: loggers that were made keep their class, and get another level by it."""
    kind = type("Logger", (structlog.make_filtering_bound_logger(logging.DEBUG),), {})
    _set_level(kind, level)
    return kind


def _set_level(kind: type[Any], level: int) -> None:
    of_level = structlog.make_filtering_bound_logger(level)
    for method in _METHODS:
        setattr(kind, method, getattr(of_level, method))
    detail.want(level <= logging.DEBUG)
