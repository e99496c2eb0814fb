"""What the decoders take and what they refuse: everything that reaches the inbox passes through here."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magi.domain.messages import (
    AT_ONCE,
    Ballot,
    Ballots,
    InboxMessage,
    Opinion,
    ProgressBallot,
    ResultBallot,
    Submission,
    Task,
    decode_ballot,
    decode_inbox,
    decode_task,
    encode,
)
from tests.domain.generate import instances

SUBMISSION = {"type": "submission", "initiator_id": "agent", "request_id": "r", "user_query": "q", "agent_answer": "a"}
RESULT = {"type": "result", "task_id": "t", "vote": "pass"}
PROGRESS = {"type": "progress", "task_id": "t"}
TASK = {"type": "task", "task_id": "t", "request_id": "r", "user_query": "q", "agent_answer": "a", "deadline": "d"}


def as_json(message: dict[str, Any], **more: Any) -> bytes:
    return msgspec.json.encode({**message, **more})


@settings(max_examples=150, deadline=None)
@given(instances(InboxMessage))  # type: ignore[arg-type]
def test_whatever_goes_into_the_inbox_comes_out_of_it(message: InboxMessage) -> None:
    assert decode_inbox(encode(message)) == (message,)


@settings(max_examples=50, deadline=None)
@given(st.lists(instances(ProgressBallot) | instances(ResultBallot), min_size=1, max_size=AT_ONCE))
def test_ballots_come_out_of_one_message_in_their_order(ballots: list[Ballot]) -> None:
    assert decode_inbox(encode(Ballots(ballots=tuple(ballots)))) == tuple(ballots)


@pytest.mark.parametrize("count", [0, AT_ONCE + 1])
def test_nobody_sends_no_ballots_or_too_many_at_once(count: int) -> None:
    with pytest.raises(msgspec.ValidationError, match="ballots"):
        decode_inbox(as_json({"type": "ballots"}, ballots=[RESULT] * count))


@settings(max_examples=50, deadline=None)
@given(instances(Task))
def test_a_voter_reads_the_task_that_was_sent(task: Task) -> None:
    assert decode_task(encode(task)) == task


def test_what_is_left_out_has_the_default_of_the_protocol() -> None:
    submission = Submission(initiator_id="agent", request_id="r", user_query="q", agent_answer="a")
    assert decode_inbox(as_json(SUBMISSION)) == (submission,)
    assert (submission.voter_list, submission.strategy, submission.decide) == ((), "minority_rule", "all")
    assert (submission.timeout_ms, submission.metadata) == (30_000, {})
    assert decode_ballot(as_json(RESULT)) == ResultBallot(task_id="t", vote="pass", reason=None, confidence=None)
    assert decode_ballot(as_json(PROGRESS)) == ProgressBallot(task_id="t", status="processing")


@pytest.mark.parametrize("message", [SUBMISSION, RESULT, PROGRESS])
def test_unknown_fields_are_ignored(message: dict[str, Any]) -> None:
    assert decode_inbox(as_json(message, later={"any": ["thing"]})) == decode_inbox(as_json(message))


def test_a_task_of_a_later_server_is_read() -> None:
    assert decode_task(as_json(TASK, later=1)) == decode_task(as_json(TASK))


def test_the_ballot_subject_is_only_in_tasks_on_the_bus() -> None:
    task = decode_task(as_json(TASK))
    assert (task.ballot_subject, task.attempt) == (msgspec.UNSET, 1)
    assert b"ballot_subject" not in encode(task)
    assert b'"ballot_subject":"s"' in encode(msgspec.structs.replace(task, ballot_subject="s"))


# What a voter in any language can get wrong in a ballot, with the field that the refusal must name.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({**RESULT, "vote": "PASS"}, "$.vote"),
    ({**RESULT, "vote": "missing"}, "$.vote"),
    ({**RESULT, "vote": True}, "$.vote"),
    ({**RESULT, "vote": None}, "$.vote"),
    ({**RESULT, "task_id": 7}, "$.task_id"),
    ({**RESULT, "reason": "x" * 4097}, "$.reason"),
    ({**RESULT, "reason": "a\x00b"}, "$.reason"),
    ({**RESULT, "reason": "\x00"}, "$.reason"),
    ({**RESULT, "reason": ["no"]}, "$.reason"),
    ({**RESULT, "confidence": 1.0001}, "$.confidence"),
    ({**RESULT, "confidence": -0.1}, "$.confidence"),
    ({**RESULT, "confidence": "0.5"}, "$.confidence"),
    ({**RESULT, "confidence": True}, "$.confidence"),
    ({**PROGRESS, "status": ""}, "$.status"),
    ({**PROGRESS, "status": "x" * 65}, "$.status"),
    ({**PROGRESS, "status": "a\x00"}, "$.status"),
    ({**PROGRESS, "status": None}, "$.status"),
    ({"type": "result", "task_id": "t"}, "vote"),
    ({"type": "result", "vote": "pass"}, "task_id"),
    ({"type": "ballot", "task_id": "t", "vote": "pass"}, "ballot"),
    ({"task_id": "t", "vote": "pass"}, "type"),
]


@pytest.mark.parametrize(("ballot", "field"), WRONG)
def test_a_wrong_ballot_is_refused_and_the_field_is_named(ballot: dict[str, Any], field: str) -> None:
    for decode in (decode_ballot, decode_inbox):
        with pytest.raises(msgspec.ValidationError) as refused:
            decode(msgspec.json.encode(ballot))
        assert field in str(refused.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "x" * 4096},
        {"reason": "🙂" * 4096},  # counted in characters
        {"reason": ""},
        {"reason": "two\nlines\ttab"},
        {"reason": None},
        {"confidence": 0},
        {"confidence": 1},
        {"confidence": None},
    ],
)
def test_a_vote_at_the_limits_is_taken(fields: dict[str, Any]) -> None:
    assert isinstance(decode_ballot(as_json(RESULT, **fields)), ResultBallot)


@pytest.mark.parametrize("status", ["x", "x" * 64, "reading …"])
def test_a_status_at_the_limits_is_taken(status: str) -> None:
    assert decode_ballot(as_json(PROGRESS, status=status)) == ProgressBallot(task_id="t", status=status)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", msgspec.DecodeError),
        (b"pass", msgspec.DecodeError),
        (b"null", msgspec.ValidationError),
        (b"[]", msgspec.ValidationError),
        (b'{"type":"result","task_id":"t","vote":"pass"', msgspec.DecodeError),
        (b'{"type":"result","task_id":"t","vote":"pass"}{}', msgspec.DecodeError),
        (b'{"type":"result","task_id":"t","vote":"pass","confidence":NaN}', msgspec.DecodeError),
        (b'{"type":"result","task_id":"t","vote":"pass","confidence":1e999}', msgspec.DecodeError),
        (b'{"type":"result","task_id":"t","vote":"pass","reason":"\\ud800"}', msgspec.DecodeError),
        # These two are not msgspec's own errors: whoever decodes must expect them too.
        (b'{"type":"result","task_id":"t","vote":"pass","reason":"\xed\xa0\x80"}', UnicodeDecodeError),
        (b'{"type":"result","task_id":"t","vote":"pass","later":' + b"[" * 100_000, RecursionError),
    ],
)
def test_what_is_no_message_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode_inbox(data)


def test_an_opinion_is_made_by_what_it_says() -> None:
    assert Opinion.passes("fine", 0.9) == Opinion("pass", "fine", 0.9)
    assert Opinion.fails("broken") == Opinion("fail", "broken", None)
    assert Opinion.abstains() == Opinion("abstain", None, None)
