"""The trace of a task that is judged over a WebSocket."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from magi.domain.messages import encode
from magi.telemetry import stages
from magi.telemetry.trace_context import root_span_id
from tests.gateway.voters.office import Office, accepted, error, progress, result
from tests.telemetry.spans import Spans
from tests.waiting import until

SENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OWN = "00-11111111111111111111111111111111-2222222222222222-01"


@pytest.fixture
def spans() -> Iterator[Spans]:
    spans = Spans()
    with spans.recording():
        yield spans


async def give(office: Office) -> str:
    """A task of a trace; returns its request."""
    task = msgspec.structs.replace(office.desk.task(), traceparent=SENT)
    await office.desk.put(encode(task))
    return task.task_id.rpartition(".")[0]


async def test_the_judging_is_a_span_and_what_the_voter_did_is_linked_to(office: Office, spans: Spans) -> None:
    async with office.voter(1) as client:
        request = await give(office)
        task = await client.receive()
        assert await client.ask(progress(task)) == accepted(task, "progress")
        assert await client.ask(result(task, traceparent=OWN)) == accepted(task)

        async def over() -> bool:
            return bool(spans.named(stages.PROCESS_TASK.name))

        await until(over, "the judging has ended", 30)
    (judging,) = spans.named(stages.PROCESS_TASK.name)
    assert task["traceparent"] == judging.traceparent
    assert (judging.context.trace_id, judging.parent) == (SENT[3:35], root_span_id(request))
    assert [str(link) for link in judging.links] == [SENT]
    assert (judging.attributes["magi.voter_id"], judging.attributes["magi.vote"]) == ("ada", "pass")
    sent = spans.named(stages.SEND_BALLOT.name)
    assert [(span.parent, [str(link) for link in span.links]) for span in sent] == [
        (judging.context.span_id, []),
        (judging.context.span_id, [OWN]),
    ]
    assert [ballot.traceparent for ballot in await office.desk.ballots()] == [span.traceparent for span in sent]


@pytest.mark.parametrize("given", [None, 5, "x", {"a": [1]}, OWN.upper()])
async def test_a_malformed_traceparent_is_as_none(office: Office, given: Any) -> None:
    async with office.voter(1) as client:
        await give(office)
        task = await client.receive()
        assert task["traceparent"] == SENT, "nobody records: it is carried on"
        assert await client.ask(progress(task, traceparent=given)) == accepted(task, "progress")
        assert await client.ask(result(task, traceparent=given)) == accepted(task)
    assert [ballot.traceparent for ballot in await office.desk.ballots()] == [SENT, SENT]


async def test_the_same_vote_in_another_span_is_the_same_vote(office: Office) -> None:
    async with office.voter(1) as client:
        await give(office)
        task = await client.receive()
        assert "traceparent" not in result(task)
        for given in (OWN, OWN.replace("22", "33"), "x"):
            assert await client.ask(result(task, traceparent=given)) == accepted(task)
        assert await client.ask(result(task, vote="fail", traceparent=OWN)) == error(
            "already_voted", "task_id: its result is 'pass' already", task
        )
    assert len(await office.desk.results()) == 1


async def test_a_task_of_no_trace_is_of_none(office: Office, spans: Spans) -> None:
    async with office.voter(1) as client:
        await office.desk.give()
        task = await client.receive()
        assert "traceparent" not in task
        assert await client.ask(result(task)) == accepted(task)
    assert spans.ended == []


async def test_a_task_that_is_given_back_did_not_succeed(office: Office, spans: Spans) -> None:
    async with office.voter(1) as client:
        await give(office)
        await client.receive()

    async def over() -> bool:
        return [span.error for span in spans.ended] == ["given_back"]

    await until(over, "the task was given back", 30)
