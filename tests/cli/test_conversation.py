import json
from typing import Any

import pytest

from magi.cli.conversation import LONGEST_PAUSE, Acknowledged, Conversation, End, FinalResult, NotUnderstood, Say, Show

REQUEST = '{"type":"request","request_id":"r"}'


def frame(kind: str, seq: int = 0, **fields: Any) -> str:
    if seq:
        fields |= {"seq": seq, "at": "2026-01-31T12:00:00.000Z"}
    return json.dumps({"type": kind, "request_id": "r", **fields})


ACKNOWLEDGED = frame("acknowledged", 1, status="received", voters=["v"])
RESULT = frame("voter_result", 2, voter_id="v", vote="pass")
FINAL = frame("final_result", 3, final_vote="pass", details={"v": "pass"})


def error(code: str, **fields: Any) -> str:
    return frame("error", code=code, message="m", **fields)


def resume(after: int) -> dict[str, Any]:
    return {"type": "resume", "request_id": "r", "after_seq": after}


@pytest.fixture
def conversation() -> Conversation:
    return Conversation("r", REQUEST)


def test_events_are_shown_as_they_came_up_to_the_verdict(conversation: Conversation) -> None:
    steps = [conversation.take(text) for text in (ACKNOWLEDGED, RESULT, FINAL)]
    assert [step.frame for step in steps if isinstance(step, Show)] == [ACKNOWLEDGED, RESULT, FINAL]
    assert isinstance(steps[0], Show)
    assert isinstance(steps[0].event, Acknowledged)
    assert isinstance(conversation.verdict, FinalResult)
    assert conversation.verdict.final_vote == "pass"


def test_a_new_connection_begins_with_the_request_until_an_event_has_come(conversation: Conversation) -> None:
    assert conversation.opening == REQUEST
    conversation.take(ACKNOWLEDGED)
    assert json.loads(conversation.opening) == resume(1)


def test_an_event_is_shown_once(conversation: Conversation) -> None:
    conversation.take(ACKNOWLEDGED)
    assert conversation.take(ACKNOWLEDGED) is None
    assert isinstance(conversation.take(RESULT), Show)


def test_what_is_missing_between_two_events_is_asked_for(conversation: Conversation) -> None:
    conversation.take(ACKNOWLEDGED)
    step = conversation.take(FINAL)
    assert isinstance(step, Say)
    assert json.loads(step.frame) == resume(1)
    assert conversation.verdict is None


def test_events_of_a_later_version_count(conversation: Conversation) -> None:
    conversation.take(ACKNOWLEDGED)
    assert conversation.take(frame("applause", 2)) == Show(frame("applause", 2), None)
    assert isinstance(conversation.take(FINAL), Show)


@pytest.mark.parametrize("text", ['{"type":"pong"}', frame("resumed", last_seq=3), frame("tomorrow")])
def test_what_is_no_event_is_let_pass(conversation: Conversation, text: str) -> None:
    assert conversation.take(text) is None


def test_events_of_another_request_are_let_pass(conversation: Conversation) -> None:
    assert conversation.take(ACKNOWLEDGED.replace('"r"', '"other"')) is None


def test_a_refusal_ends_it(conversation: Conversation) -> None:
    step = conversation.take(error("unknown_voter", retryable=False))
    assert isinstance(step, End)
    assert str(step.refusal) == "unknown_voter: m"


def test_a_fault_of_magi_names_its_trace(conversation: Conversation) -> None:
    step = conversation.take(error("internal", trace_id="abc"))
    assert isinstance(step, End)
    assert "abc" in str(step.refusal)


def test_what_may_be_tried_again_is_after_ever_longer_pauses(conversation: Conversation) -> None:
    overloaded = error("overloaded", retryable=True, retry_after_ms=1000)
    steps = [conversation.take(overloaded) for _ in range(5)]
    assert [step.after for step in steps if isinstance(step, Say)] == [1.0, 2.0, 4.0, LONGEST_PAUSE, LONGEST_PAUSE]
    assert {step.frame for step in steps if isinstance(step, Say)} == {REQUEST}


def test_an_event_makes_the_pauses_short_again(conversation: Conversation) -> None:
    unavailable = error("unavailable", retryable=True, retry_after_ms=1000)
    conversation.take(unavailable)
    conversation.take(ACKNOWLEDGED)
    step = conversation.take(unavailable)
    assert isinstance(step, Say)
    assert step.after == 1.0
    assert json.loads(step.frame) == resume(1)


def test_a_request_that_the_gateway_has_forgotten_is_submitted_anew(conversation: Conversation) -> None:
    conversation.take(ACKNOWLEDGED)
    step = conversation.take(error("unknown_request"))
    assert isinstance(step, Say)
    assert step.frame == REQUEST
    assert step.why
    assert isinstance(conversation.take(ACKNOWLEDGED), Show)


@pytest.mark.parametrize(
    "text", ["", "hello", "[]", '"x"', '{"type":1}', '{"type":"acknowledged","request_id":"r","seq":1}']
)
def test_what_is_not_of_the_protocol_is_noticed(conversation: Conversation, text: str) -> None:
    with pytest.raises(NotUnderstood):
        conversation.take(text)
