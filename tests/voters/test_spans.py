"""The trace goes on to those who are called: HTTP services and models' servers."""

from collections.abc import Iterator

import pytest

from magi.telemetry import stages
from magi.voters.agent import CannotJudge
from tests.telemetry.spans import Spans
from tests.voters.llm import judging as llm
from tests.voters.llm.model import says
from tests.voters.tasks import a_task
from tests.voters.test_http_push import PASS, judging
from tests.webhooks.service import answers, status

JUDGING = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Iterator[Spans]:
    spans = Spans()
    with spans.recording():
        yield spans


async def test_a_service_gets_the_trace_as_a_header_and_the_call_is_a_span(spans: Spans) -> None:
    async with judging(answers(PASS)) as (judge, service):
        await judge.judge(a_task(traceparent=JUDGING))
    (call,) = spans.named(stages.CALL.name)
    assert service.seen[0].headers["traceparent"] == call.traceparent
    assert (call.context.trace_id, call.parent) == (JUDGING[3:35], JUDGING[36:52])
    assert call.attributes["http.response.status_code"] == 200


async def test_a_call_that_fails_says_so_in_one_word(spans: Spans) -> None:
    async with judging(answers(status(400, "the SECRET answer"))) as (judge, _):
        with pytest.raises(CannotJudge):
            await judge.judge(a_task(traceparent=JUDGING))
    assert [span.error for span in spans.ended] == ["CannotJudge"]


async def test_a_model_gets_the_trace_as_a_header_and_the_call_is_a_span(spans: Spans) -> None:
    async with llm.judging(answers(says())) as (judge, service):
        await judge.judge(a_task(traceparent=JUDGING))
    (call,) = spans.ended
    (seen,) = service.seen
    assert seen.headers["traceparent"] == call.traceparent
    assert seen.headers["authorization"] == f"Bearer {llm.KEY}"


async def test_without_a_recorder_the_trace_is_passed_on_and_without_a_trace_there_is_none() -> None:
    async with judging(answers(PASS)) as (judge, service):
        await judge.judge(a_task(traceparent=JUDGING))
        await judge.judge(a_task())
    assert [seen.headers.get("traceparent") for seen in service.seen] == [JUDGING, None]
