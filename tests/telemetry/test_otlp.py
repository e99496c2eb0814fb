"""`magi.telemetry.otlp`, beside a real collector, and beside none."""

import asyncio
import contextlib

import pytest
import structlog

from magi.telemetry import otlp, stages, tracing
from magi.telemetry.otlp import OtlpRecorder
from magi.telemetry.trace_context import new_trace_id
from tests.ports import lasting_port
from tests.telemetry.collector import collecting
from tests.waiting import until

REQUEST = "agent.3f2b1c58-0a4e-5d13-9a0b-1b2c3d4e5f60"
GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def recorder(url: str, **options: object) -> OtlpRecorder:
    return OtlpRecorder(f"{url}/v1/traces", "magi-test", version="1", instance="a", **options)  # type: ignore[arg-type]


def spans(to: OtlpRecorder, number: int) -> None:
    tracing.record_with(to)
    try:
        for _ in range(number):
            tracing.stage(stages.PROCESS_TASK, GIVEN, REQUEST, "r", "magi.tasks.casper", link=GIVEN).end()
    finally:
        tracing.record_with(None)


async def closed(it: OtlpRecorder, seconds: float = 30.0) -> bool:
    return await asyncio.to_thread(it.close, seconds)


async def test_a_span_comes_to_the_collector_as_it_was() -> None:
    async with collecting() as collector:
        it = recorder(collector.url, headers={"Authorization": "Bearer k"}, attributes={"deployment": "test"})
        tracing.record_with(it)
        try:
            with contextlib.suppress(KeyError), tracing.begin(REQUEST, "r", GIVEN) as request:
                request.child(stages.SEND_SUBMISSION, "magi.inbox.0.submission.agent").end()
                raise KeyError("what was submitted")
        finally:
            tracing.record_with(None)
        assert await closed(it)
    sent, request_ = collector.spans
    assert (request_.name, request_.kind, request_.failed, request_.parent) == ("request", "server", True, "")
    assert request_.attributes["error.type"] == "KeyError"
    assert request_.links == (GIVEN[3:52],)
    assert (sent.kind, sent.failed, sent.parent) == ("producer", False, request_.span_id)
    assert sent.attributes["messaging.destination.name"] == "magi.inbox.0.submission.agent"
    assert request_.began <= sent.began <= sent.ended <= request_.ended
    assert request_.resource == {
        "deployment": "test",
        "service.name": "magi-test",
        "service.version": "1",
        "service.instance.id": "a",
    }
    assert collector.headers[0]["authorization"] == "Bearer k"
    assert b"what was submitted" not in b"".join(collector.bodies)
    assert it.spans == {"exported": 2, "failed": 0, "dropped": 0}


async def test_a_collector_that_is_gone_costs_spans_only_and_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "POST_SECONDS", 0.2)
    monkeypatch.setattr(otlp, "EVERY_MS", 20.0)
    port = lasting_port()
    with structlog.testing.capture_logs() as logs:
        it = recorder(f"http://127.0.0.1:{port}")
        for failed in (1, 2):
            spans(it, 1)

            async def given_up(number: int = failed) -> bool:
                return it.spans["failed"] == number

            await until(given_up, "a span was given up", 30)
        async with collecting(port) as collector:

            async def exported() -> bool:
                if not it.waiting:
                    spans(it, 1)
                return it.spans["exported"] > 0

            await until(exported, "a span was sent", 30)
            assert await closed(it)
    assert collector.spans
    assert [line["event"] for line in logs][:2] == ["tracing_collector_lost", "tracing_collector_back"]


async def test_what_does_not_fit_is_dropped_and_whoever_ends_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "QUEUE", 600)
    monkeypatch.setattr(otlp, "POST_SECONDS", 60.0)
    async with collecting() as collector:
        collector.answers.clear()
        it = recorder(collector.url)
        spans(it, 600)
        await asyncio.wait_for(collector.asked.wait(), 30)
        spans(it, 600)
        assert it.spans["dropped"] == 600
        assert not await closed(it, 0.1)
        assert it.waiting == 600
        collector.answers.set()

        async def sent() -> bool:
            return it.spans["exported"] == 600

        await until(sent, "what waited was sent after all", 30)


@pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
async def test_it_samples_the_share_that_is_asked_for(ratio: float) -> None:
    it, another = (recorder("http://127.0.0.1:9", ratio=ratio) for _ in range(2))
    ids = [new_trace_id() for _ in range(4000)]
    share = sum(map(it.samples, ids)) / len(ids)
    assert share == pytest.approx(ratio, abs=0.05)
    assert [it.samples(one) for one in ids] == [another.samples(one) for one in ids]
    await closed(it)
    await closed(another)
