"""A request as one trace: gateway, orchestrator and voters in this process, and a recorder instead of an exporter."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from magi.gateway import session
from magi.telemetry import stages, tracing
from magi.telemetry.trace_context import root_span_id
from magi.telemetry.tracing import RecordedSpan
from tests.gateway.client import Client, request
from tests.gateway.stack import PANEL, Stack, aggregate
from tests.telemetry.spans import Spans
from tests.waiting import until

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Iterator[Spans]:
    spans = Spans()
    with spans.recording():
        yield spans


async def until_ended(spans: Spans, expected: dict[str, int]) -> Counter[str]:
    """Wait until there are so many spans of each name, at least."""

    async def there() -> bool:
        return all(len(spans.named(name)) >= count for name, count in expected.items())

    await until(there, f"{expected} ended", 30)
    return Counter(span.stage.name for span in spans.ended)


def sources(spans: Spans, taking: stages.Stage) -> list[str]:
    """The stages that what is taken by `taking` was sent by; each is linked to."""
    by_id = {span.context.span_id: span.stage.name for span in spans.ended}
    return [by_id[link.span_id] for span in spans.named(taking.name) for link in span.links]


def parents(spans: Spans, stage: stages.Stage) -> set[str]:
    by_id = {span.context.span_id: span.stage.name for span in spans.ended}
    return {by_id[span.parent] for span in spans.named(stage.name)}


async def test_a_request_is_one_trace_with_a_span_for_each_stage(stack: Stack, client: Client, spans: Spans) -> None:
    asked = request("one", user_query="the SECRET question", agent_answer="the SECRET answer", traceparent=GIVEN)
    await client.judged({**asked, "metadata": {"voter_1": "fail", "SECRET": "SECRET"}})
    expected = {
        "request": 1,
        stages.SEND_SUBMISSION.name: 1,
        stages.PROCESS_SUBMISSION.name: 1,
        stages.APPEND.name: 8,
        stages.SEND_TASK.name: 3,
        stages.PROCESS_TASK.name: 3,
        stages.SEND_BALLOT.name: 6,
        stages.PROCESS_BALLOT.name: 6,
        "adjudicate": 1,
        stages.TELL.name: 8,
    }
    assert await until_ended(spans, expected) == expected
    (first,) = spans.named("request")
    assert [str(link) for link in first.links] == [GIVEN]
    assert first.context.span_id == root_span_id(aggregate("one"))
    assert {span.context.trace_id for span in spans.ended} == {first.context.trace_id} != {GIVEN[3:35]}

    # What takes a message is linked to what sent it, and hangs from the request; all else is within what it is for.
    assert sources(spans, stages.PROCESS_SUBMISSION) == [stages.SEND_SUBMISSION.name]
    assert sources(spans, stages.PROCESS_TASK) == [stages.SEND_TASK.name] * 3
    assert sources(spans, stages.PROCESS_BALLOT) == [stages.SEND_BALLOT.name] * 6
    assert sources(spans, stages.TELL) == [stages.APPEND.name] * 8
    for taking in (stages.PROCESS_SUBMISSION, stages.PROCESS_TASK, stages.PROCESS_BALLOT, stages.TELL):
        assert parents(spans, taking) == {"request"}
    assert parents(spans, stages.SEND_SUBMISSION) == {"request"}
    assert parents(spans, stages.SEND_TASK) == {stages.PROCESS_SUBMISSION.name}
    assert parents(spans, stages.SEND_BALLOT) == {stages.PROCESS_TASK.name}
    assert parents(spans, stages.ADJUDICATE) == {stages.PROCESS_BALLOT.name}
    assert parents(spans, stages.APPEND) == {stages.PROCESS_SUBMISSION.name, stages.PROCESS_BALLOT.name, "adjudicate"}

    for span in spans.ended:
        assert not span.error
        assert span.began <= span.ended
        assert span.attributes["magi.request_id"] == "one"
        assert span.attributes["magi.request"] == aggregate("one")
    assert "SECRET" not in json.dumps([span.attributes for span in spans.ended])
    assert "says" not in json.dumps([span.attributes for span in spans.ended]), "no voter's reason"
    history = await stack.stored("one")
    by_id = {span.context.span_id: span for span in spans.ended}
    for recorded in history:
        appended: RecordedSpan = by_id[recorded.event.trace[36:52]]
        assert appended.attributes["magi.event"] == recorded.event.__struct_config__.tag
    assert sorted(str(span.attributes["magi.voter_id"]) for span in spans.named(stages.SEND_TASK.name)) == list(PANEL)


@pytest.mark.parametrize("given", [None, 5, "", "x", GIVEN.upper(), "00-" + "0" * 32 + GIVEN[35:], {"a": ["\u0001"]}])
async def test_a_malformed_traceparent_is_as_none(client: Client, spans: Spans, given: object) -> None:
    events = await client.judged(request("one", traceparent=given, voter_list=["voter_1"]))
    assert events[-1]["type"] == "final_result"
    assert spans.named("request")[0].links == ()


async def test_nobody_records_and_the_log_has_the_trace_all_the_same(stack: Stack, client: Client) -> None:
    await client.judged(request("one", traceparent=GIVEN))
    traces = {recorded.event.trace for recorded in await stack.stored("one")}
    assert len(traces) == 1
    (trace,) = traces
    assert trace[36:] == f"{root_span_id(aggregate('one'))}-00"
    assert trace[3:35] != GIVEN[3:35]


async def test_the_trace_of_an_initiator_that_is_trusted_goes_on(stack: Stack, client: Client, spans: Spans) -> None:
    tracing.trust_initiators(True)
    try:
        await client.judged(request("one", traceparent=GIVEN))
    finally:
        tracing.trust_initiators(False)
    await until_ended(spans, {stages.PROCESS_BALLOT.name: 6, stages.PROCESS_TASK.name: 3})
    assert {span.context.trace_id for span in spans.ended} == {GIVEN[3:35]}
    assert [span.parent for span in spans.named("request")] == [GIVEN[36:52]]


async def test_a_request_that_is_sent_again_has_a_span_that_says_so(client: Client, spans: Spans) -> None:
    await client.judged(request("one"))
    await until_ended(spans, {stages.PROCESS_TASK.name: 3, stages.PROCESS_BALLOT.name: 6})
    spans.ended.clear()
    await client.judged(request("one"))
    await until_ended(spans, {stages.PROCESS_SUBMISSION.name: 1})
    (again,) = spans.named(stages.PROCESS_SUBMISSION.name)
    assert again.attributes["magi.repeated"] is True
    assert spans.named(stages.TELL.name) == [], "what it is told again was told in the trace of the first"


async def test_a_request_that_is_refused_has_a_span_that_says_why(client: Client, spans: Spans) -> None:
    assert (await client.ask(request("one", voter_list=["nobody"])))["code"] == "unknown_voter"
    (span,) = spans.ended
    assert span.attributes["magi.refused"] == "unknown_voter"


@pytest.mark.parametrize("recorded", [False, True])
async def test_our_own_fault_is_told_with_the_trace_of_the_request(
    client: Client, spans: Spans, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    spans.sampling = recorded

    def broken(*_: object) -> None:
        raise RuntimeError("the SECRET question")

    monkeypatch.setattr(session, "choose_panel", broken)
    with capture_logs() as logs:
        answer = await client.ask(request("one"))
    assert answer["code"] == "internal"
    assert "SECRET" not in json.dumps(answer)
    (line,) = (line for line in logs if line["event"] == "internal_error")
    assert line["trace_id"] == answer["trace_id"]
    if recorded:
        (span,) = spans.ended
        assert span.context.trace_id == answer["trace_id"]
        assert span.attributes["magi.refused"] == "internal"
