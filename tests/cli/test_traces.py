"""`magi.cli.traces`: what a part does about tracing while it runs, and when it ends."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

import magi
from magi.cli import traces
from magi.cli.context import Context
from magi.cli.settings import SettingsError
from magi.cli.traces import traced
from magi.telemetry import declarations as d
from magi.telemetry import otlp, tracing
from magi.telemetry.tracing import Span
from tests.telemetry.collector import collecting
from tests.waiting import until

REQUEST = "agent.3f2b1c58-0a4e-5d13-9a0b-1b2c3d4e5f60"


def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **variables: str) -> Context:
    for name, value in variables.items():
        monkeypatch.setenv(f"MAGI_TRACING_{name}", value)
    return Context.load(tmp_path)


async def test_what_happened_until_the_end_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "FLUSH", 30.0)
    file = tmp_path / "headers"
    file.write_text("X-Key: k\n")
    async with collecting() as collector:
        ctx = context(tmp_path, monkeypatch, ENDPOINT=collector.url, SERVICE="gate", HEADERS_FILE=str(file))
        async with traced(ctx, "gateway") as counted:
            tracing.begin(REQUEST, "r", "").end()
        assert list(counted.metrics()) == [(d.TRACE_SPANS, {"exported": 1, "failed": 0, "dropped": 0})]
    assert [span.service for span in collector.spans] == ["gate-gateway"]
    assert collector.headers[0]["x-key"] == "k"
    assert type(tracing.begin(REQUEST, "r", "")) is Span, "nobody records any more"


async def test_a_collector_that_does_not_answer_keeps_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "FLUSH", 0.05)
    monkeypatch.setattr(otlp, "POST_SECONDS", 60.0)
    async with collecting() as collector:
        collector.answers.clear()
        ctx = context(tmp_path, monkeypatch, ENDPOINT=collector.url)
        with capture_logs() as logs:
            async with traced(ctx, "gateway") as counted:
                tracing.begin(REQUEST, "r", "").end()
        assert {"event": "spans_left", "waiting": 1, "log_level": "warning"} in logs
        collector.answers.set()

        async def sent() -> bool:
            return counted.spans["exported"] == 1

        await until(sent, "the exporter's thread has ended", 30)


@pytest.mark.parametrize("part", ["gateway", "projector"])
async def test_without_an_endpoint_nothing_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    if part == "projector":  # it has no span
        monkeypatch.setenv("MAGI_TRACING_ENDPOINT", "http://127.0.0.1:9")
    async with traced(Context.load(tmp_path), part) as counted:
        assert type(tracing.begin(REQUEST, "r", "")) is Span
        assert [metric for metric, _ in counted.metrics()] == [d.TRACE_SPANS] * (part == "gateway")


async def test_headers_that_can_not_be_read_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = context(tmp_path, monkeypatch, ENDPOINT="http://127.0.0.1:9", HEADERS_FILE=str(tmp_path / "none"))
    with pytest.raises(SettingsError, match=r"tracing.headers_file .*none: No such file"):
        async with traced(ctx, "gateway"):
            pass


def test_only_where_tracing_is_switched_on_is_opentelemetry_imported() -> None:
    heavy = ("import opentelemetry", "from opentelemetry", "from magi.telemetry.otlp", "from magi.telemetry import otl")
    files = Path(magi.__file__).parent.rglob("*.py")
    at_once = [file.name for file in files if any(line.startswith(heavy) for line in file.read_text().splitlines())]
    assert at_once == ["otlp.py"]
