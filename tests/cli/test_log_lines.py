"""`magi.cli.log_lines`: a line is a line whatever is logged, and an exception quotes nobody."""

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from magi.cli import logs
from magi.cli.log_lines import LONGEST
from magi.cli.settings import LogSection, SettingsError
from magi.eventstore.bus import NoAck
from tests.cli.commands import logs_as_they_were

HOSTILE = 'a\r\n{"event":"forged"}\x1b]0;title\x07\x9b31m\u202egnp.exe\u2028b\ud800\x7f"'
Written = Callable[[], list[str]]


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """The lines on stderr since the last call."""
    with logs_as_they_were():
        yield lambda: capsys.readouterr().err.split("\n")[:-1]


def _log() -> Any:
    return structlog.get_logger()


def steers(line: str) -> bool:
    return any(not character.isprintable() for character in line)


def test_hostile_words_make_no_line_and_steer_no_terminal_in_json(written: Written) -> None:
    logs.configure(LogSection(format="json"), "gateway")
    _log().info("some_event", request_id=HOSTILE, panel=(HOSTILE, "b"), nothing="", none=None)
    (line,) = written()
    assert not steers(line)
    said = json.loads(line)
    assert {"timestamp", "level", "event", "part", "request_id", "panel"} == set(said)
    assert (said["event"], said["level"], said["part"]) == ("some_event", "info", "gateway")


def test_nor_in_columns(written: Written) -> None:
    logs.configure(LogSection(format="console"), "gateway")
    _log().info("some_event", request_id=HOSTILE, panel=(HOSTILE, "b"))
    (line,) = written()
    assert not steers(line)
    assert "some_event" in line
    assert "\\x0d" in line
    _log().info("some_event", request_id="x\u00a0verdict=pass")
    assert "request_id='x verdict=pass'" in written()[0]


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_says_where_and_not_what_was_quoted(written: Written, form: Any) -> None:
    logs.configure(LogSection(format=form), "orchestrator")
    try:
        try:
            raise NoAck("JetStream says nothing")
        except NoAck as error:
            secret = "MARKER" + HOSTILE
            raise ExceptionGroup(secret, [ValueError(secret), KeyError(secret)]) from error
    except ExceptionGroup:
        _log().exception("item_failed", request="x.y")
    lines = written()
    text = "\n".join(lines)
    assert "MARKER" not in text.replace('"MARKER" + HOSTILE', "")  # the source's line
    for expected in ("test_log_lines.py", "NoAck: JetStream says nothing", "ValueError (what it says is left out)"):
        assert expected in text
    if form == "json":
        assert [json.loads(line)["level"] for line in lines] == ["error"]
    assert not any(steers(line) for line in lines)


def test_a_long_line_is_cut_where_it_is_long(written: Written) -> None:
    logs.configure(LogSection(format="json"), "gateway")
    _log().info("some_event", request_id="r", long="x" * 100_000, many=["y" * 50] * 1000, count=7)
    (line,) = written()
    said = json.loads(line)
    assert len(line) < LONGEST
    assert (said["request_id"], said["count"], said["long"][-1]) == ("r", 7, "…")


def test_a_trace_is_told_by_its_id(written: Written) -> None:
    logs.configure(LogSection(format="json"), "gateway")
    _log().info("some_event", trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    _log().info("some_event", trace="")
    traced, untraced = map(json.loads, written())
    assert traced["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert not {"trace", "trace_id"} & set(untraced)


def test_a_part_may_have_a_level_of_its_own(written: Written) -> None:
    settings = LogSection(level="warning", parts=("gateway=debug", "voters = error"), format="json")
    levels = [logs.level_of(settings, part) for part in ("gateway", "voters", "orchestrator")]
    assert levels == ["debug", "error", "warning"]
    logs.configure(settings, "orchestrator")
    _log().info("not_written")
    logs.configure(settings, "gateway")
    _log().debug("written")
    assert [json.loads(line)["event"] for line in written()] == ["written"]
    for wrong in ("gateway", "gateway=loud"):
        with pytest.raises(SettingsError, match=r"log\.parts: expected PART=LEVEL"):
            logs.level_of(LogSection(parts=(wrong,)), "gateway")
    with pytest.raises(SettingsError, match=r"log\.parts: expected one of gateway, .* got 'gatway=debug'"):
        logs.level_of(LogSection(parts=("gatway=debug",)), "gateway")


def test_a_log_that_can_not_be_written_stops_nothing() -> None:
    full = Path("/dev/full").open("w")  # noqa: SIM115 - what it holds can't be written when it is closed, either
    with logs_as_they_were(), contextlib.redirect_stderr(full):
        logs.configure(LogSection(format="json"), "gateway")
        _log().info("some_event")
    with contextlib.suppress(OSError):
        full.close()


def test_a_signal_that_logs_in_the_midst_of_a_line_stops_nothing() -> None:
    class Interrupted(io.RawIOBase):
        signals = 1

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            if self.signals:
                self.signals -= 1
                out.msg("of the signal")
            return len(data)

    out = logs._Out(io.TextIOWrapper(io.BufferedWriter(Interrupted())))
    out.msg("of the part")


def test_a_library_that_logs_what_does_not_fit_goes_on(written: Written) -> None:
    logs.configure(LogSection(format="json"), "gateway")
    logs._Library().emit(logging.LogRecord("nats.client", logging.ERROR, "", 1, "in %d tries", ("no",), None))
    assert json.loads(written()[0])["message"] == "in %d tries"
