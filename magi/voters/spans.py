"""A voter's spans: the judging of a task, and the calls that a judge makes for it."""

from collections.abc import Mapping

from magi.domain.ids import VoterId
from magi.domain.messages import Task
from magi.telemetry import stages, tracing
from magi.telemetry.tracing import Span


def judging(voter: VoterId, task: Task, subject: str) -> Span:
    """All that a voter does about a task, which came on `subject`."""
    trace = task.traceparent or ""
    span = tracing.stage(stages.PROCESS_TASK, trace, _request(task), task.request_id, subject, link=trace)
    span.note("magi.voter_id", voter)
    span.note("magi.attempt", task.attempt)
    return span


def calling(task: Task) -> Span:
    """A call by HTTP for a task that is being judged: its `traceparent` is that of the judging."""
    span = tracing.within(stages.CALL, task.traceparent or "", _request(task), task.request_id)
    span.note("http.request.method", "POST")
    return span


def traced(span: Span) -> Mapping[str, str]:
    """The headers that tell whoever is called of the trace."""
    return {"traceparent": span.traceparent} if span.traceparent else {}


def _request(task: Task) -> str:
    """The aggregate's id, with which a task's id begins."""
    return task.task_id.rpartition(".")[0]
