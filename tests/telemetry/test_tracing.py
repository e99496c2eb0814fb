"""`magi.telemetry.tracing`: what a stage carries on, and what is recorded of it."""

from collections.abc import Iterator

import pytest

from magi.telemetry import stages, tracing
from magi.telemetry.trace_context import parse, root_span_id
from tests.telemetry.spans import Spans

REQUEST = "agent.3f2b1c58-0a4e-5d13-9a0b-1b2c3d4e5f60"
ROOT = root_span_id(REQUEST)
GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Iterator[Spans]:
    spans = Spans()
    with spans.recording():
        yield spans


@pytest.fixture
def trusting() -> Iterator[None]:
    tracing.trust_initiators(True)
    yield
    tracing.trust_initiators(False)


class TestWhileNobodyRecords:
    def test_a_request_has_a_trace_of_its_own_that_is_not_sampled(self) -> None:
        first, second = (parse(tracing.begin(REQUEST, "r", GIVEN).traceparent) for _ in range(2))
        assert first
        assert second
        assert (first.span_id, first.sampled) == (ROOT, False)
        assert len({first.trace_id, second.trace_id, GIVEN[3:35]}) == 3

    def test_stages_carry_on_what_they_are_given(self) -> None:
        for trace in ("", "nonsense", GIVEN):
            with tracing.stage(stages.PROCESS_TASK, trace, REQUEST, "r", link=5) as span:
                assert span.child(stages.SEND_BALLOT).traceparent == trace
                assert tracing.within(stages.CALL, trace, REQUEST, "r").traceparent == trace

    def test_what_fails_is_not_hidden(self) -> None:
        with pytest.raises(ValueError), tracing.stage(stages.PROCESS_TASK, GIVEN, REQUEST, "r"):
            raise ValueError

    @pytest.mark.usefixtures("trusting")
    def test_the_trace_of_an_initiator_that_is_trusted_goes_on_as_it_is(self) -> None:
        assert tracing.begin(REQUEST, "r", GIVEN).traceparent == GIVEN


class TestWhileItIsRecorded:
    def test_the_trace_of_an_initiator_is_linked_to(self, spans: Spans) -> None:
        tracing.begin(REQUEST, "r", GIVEN).end()
        (span,) = spans.ended
        assert span.context.trace_id != GIVEN[3:35]
        assert (span.context.span_id, span.parent, span.context.sampled) == (ROOT, "", True)
        assert [str(link) for link in span.links] == [GIVEN]

    @pytest.mark.parametrize("given", ["", None, "x", 7, {"a": 1}, GIVEN.upper()])
    def test_what_is_malformed_is_not(self, spans: Spans, given: object) -> None:
        tracing.begin(REQUEST, "r", given).end()
        assert spans.ended[0].links == ()

    @pytest.mark.usefixtures("trusting")
    def test_the_trace_of_an_initiator_that_is_trusted_goes_on(self, spans: Spans) -> None:
        tracing.begin(REQUEST, "r", GIVEN).end()
        tracing.begin(REQUEST, "r", GIVEN[:-1] + "0").end()
        (span,) = spans.ended  # the other one asked not to be recorded
        assert (span.context.trace_id, span.parent, span.context.span_id) == (GIVEN[3:35], GIVEN[36:52], ROOT)
        assert span.links == ()

    def test_what_takes_a_message_hangs_from_the_request_and_is_linked_to_what_sent_it(self, spans: Spans) -> None:
        request = tracing.begin(REQUEST, "r", "")
        sending = request.child(stages.SEND_SUBMISSION, "magi.inbox.0.submission.agent")
        taking = tracing.stage(stages.PROCESS_SUBMISSION, sending.traceparent, REQUEST, "r", link=sending.traceparent)
        for span in (sending, request, taking):
            span.end()
            span.end()
        sent, first, taken = spans.ended
        assert (sent.parent, taken.parent) == (ROOT, ROOT)
        assert [link.span_id for link in taken.links] == [sent.context.span_id]
        assert {span.context.trace_id for span in spans.ended} == {first.context.trace_id}
        assert first.began <= sent.began <= sent.ended

    def test_a_span_says_what_it_is_about(self, spans: Spans) -> None:
        tracing.stage(stages.PROCESS_TASK, GIVEN, REQUEST, "mine", "magi.tasks.casper").end()
        assert spans.ended[0].attributes == {
            "magi.request_id": "mine",
            "magi.initiator_id": "agent",
            "magi.request": REQUEST,
            "messaging.system": "nats",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.template": "magi.tasks.{voter}",
            "messaging.destination.name": "magi.tasks.casper",
        }

    def test_of_what_fails_only_the_name_is_kept(self, spans: Spans) -> None:
        with pytest.raises(ValueError), tracing.within(stages.CALL, GIVEN, REQUEST, "r"):
            raise ValueError("what was submitted")
        (span,) = spans.ended
        assert (span.error, span.parent) == ("ValueError", GIVEN[36:52])

    def test_what_is_not_sampled_is_carried_on(self, spans: Spans) -> None:
        spans.sampling = False
        trace = tracing.begin(REQUEST, "r", GIVEN).traceparent
        with tracing.stage(stages.PROCESS_TASK, trace, REQUEST, "r") as span:
            assert span.child(stages.SEND_BALLOT).traceparent == trace
        assert tracing.within(stages.CALL, trace, REQUEST, "r").traceparent == trace
        assert spans.ended == []
        assert trace.endswith("-00")
