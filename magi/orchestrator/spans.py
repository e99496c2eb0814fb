"""The orchestrator's spans: what each says of the message, the event or the verdict that it is about."""

from types import TracebackType
from typing import Self

from magi.domain.ids import AggregateId
from magi.domain.messages import ResultBallot, Submission
from magi.domain.voting_request import Adjudicated, RequestEvent, VotingRequest
from magi.eventstore.subjects import LOG_PREFIX
from magi.orchestrator.inbox import Item
from magi.telemetry import stages, tracing
from magi.telemetry.tracing import Span


def handling(item: Item, state: VotingRequest) -> Span:
    """All that an item leads to, `state` being that of its request before.

    A ballot belongs to the trace that its request was received in: what it brings along itself is a link, since it
    comes from a voter.
    """
    message, received = item.message, state.received
    if not tracing.recording():
        return Span(message.trace if isinstance(message, Submission) else received.trace if received else "")
    if isinstance(message, Submission):
        destination = f"magi.inbox.{item.partition}.submission.{item.sender}"
        trace = message.trace
        span = tracing.stage(
            stages.PROCESS_SUBMISSION, trace, item.aggregate, message.request_id, destination, link=trace
        )
    else:
        destination = f"magi.inbox.{item.partition}.ballot.{item.sender}"
        trace, name = (received.trace, received.request_id) if received else ("", "")
        link = message.traceparent
        span = tracing.stage(stages.PROCESS_BALLOT, trace, item.aggregate, name, destination, link=link)
        span.note("magi.voter_id", item.sender)
        span.note("magi.ballot", "result" if isinstance(message, ResultBallot) else "progress")
    span.note("messaging.message.id", str(item.delivery.sequence))
    span.note("magi.attempt", item.delivery.attempt)
    return span


def adjudicating(span: Span, event: Adjudicated) -> Span:
    """The verdict, within the stage that led to it."""
    made = span.child(stages.ADJUDICATE)
    made.note("magi.verdict", event.final_vote)
    made.note("magi.decided_by", event.decided_by)
    made.note("magi.outcome_reason", event.outcome_reason)
    made.note("magi.strategy", event.rule.strategy)
    return made


def appending(span: Span, event: RequestEvent, aggregate: AggregateId) -> Span:
    """The append of `event`, whose `traceparent` it gets."""
    made = span.child(stages.APPEND, LOG_PREFIX + aggregate)
    made.note("magi.event", str(event.__struct_config__.tag))
    return made


class Spans:
    """Stages that end together, the last one first."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun: list[Span] = []

    def begin(self, span: Span) -> Span:
        self._begun.append(span)
        return span

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for span in reversed(self._begun):
            span.__exit__(kind, error, trace)
