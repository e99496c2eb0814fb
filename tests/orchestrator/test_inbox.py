"""What comes out of the inbox is understood, or called what it is; nothing that a sender can put into it raises."""

from typing import Any, cast

import hypothesis.strategies as st
import pytest
from hypothesis import given
from nats.aio.msg import Msg

from magi.domain.ids import InitiatorId, RequestId, VoterId, request_aggregate, task_id
from magi.domain.messages import ProgressBallot, ResultBallot, Submission, encode
from magi.orchestrator.inbox import BadItem, Item, parse

REPLY = "$JS.ACK.MAGI_INBOX.inbox-3.2.41.7.1767225600123456789.5"
REQUEST = request_aggregate(InitiatorId("agent"), RequestId("abc123"))
TASK = task_id(REQUEST, VoterId("casper"))
SUBMISSION = Submission(initiator_id="agent", request_id="abc123", user_query="?", agent_answer="!")


def message(subject: str, data: bytes) -> Msg:
    return Msg(_client=cast(Any, None), subject=subject, reply=REPLY, data=data)


def bad(subject: str, data: bytes) -> BadItem:
    (item,) = parse(message(subject, data))
    assert isinstance(item, BadItem)
    assert item.reply == REPLY
    return item


def good(subject: str, data: bytes) -> Item:
    (item,) = parse(message(subject, data))
    assert isinstance(item, Item)
    return item


def test_a_submission_names_its_request_by_its_sender_and_its_id() -> None:
    item = good("magi.inbox.3.submission.agent", encode(SUBMISSION))
    assert (item.message, item.sender, item.aggregate, item.partition) == (SUBMISSION, "agent", REQUEST, 3)
    assert (item.delivery.sequence, item.delivery.attempt, item.reply) == (41, 2, REPLY)


@pytest.mark.parametrize("ballot", [ResultBallot(task_id=TASK, vote="pass"), ProgressBallot(task_id=TASK)])
def test_a_ballot_names_its_request_by_its_task(ballot: ResultBallot | ProgressBallot) -> None:
    item = good("magi.inbox.0.ballot.casper", encode(ballot))
    assert (item.message, item.sender, item.aggregate) == (ballot, "casper", REQUEST)


def test_nobody_submits_for_another_initiator() -> None:
    item = bad("magi.inbox.3.submission.mallory", encode(SUBMISSION))
    assert (item.kind, item.sender, item.code) == ("submission", "mallory", "invalid_message")


def test_nobody_votes_for_another_voter() -> None:
    item = bad("magi.inbox.3.ballot.balthasar", encode(ResultBallot(task_id=TASK, vote="pass")))
    assert (item.sender, item.code, item.task_id) == ("balthasar", "unknown_task", TASK)


@pytest.mark.parametrize(
    "task", ["", "x", f"{REQUEST}", f"{REQUEST}.", f"agent.{'0' * 36}.casper", f"{TASK}.more", "a" * 100_000]
)
def test_a_task_that_is_none_is_unknown(task: str) -> None:
    item = bad("magi.inbox.3.ballot.casper", encode(ResultBallot(task_id=task, vote="pass")))
    assert item.code == "unknown_task"
    assert len(item.problem) < 500


def test_a_submission_where_ballots_belong_is_refused_and_the_other_way_round() -> None:
    assert bad("magi.inbox.3.ballot.agent", encode(SUBMISSION)).kind == "ballot"
    ballot = encode(ResultBallot(task_id=TASK, vote="pass"))
    assert bad("magi.inbox.3.submission.casper", ballot).kind == "submission"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"type":"vote"}',
        b'{"type":"result"}',
        b'{"type":"result","task_id":1,"vote":"pass"}',
        b'{"type":"result","task_id":"t","vote":"yes"}',
        b'{"type":"result","task_id":"t","vote":"pass","confidence":2}',
        b'{"type":"result","task_id":"t","vote":"pass","reason":"\\u0000"}',
        b'{"type":"result","task_id":"\xff","vote":"pass"}',
        b'{"type":"submission","metadata":' + b"[" * 100_000,
        b'{"type":"result","task_id":"t","vote":"pass"} x',
    ],
)
def test_what_is_no_message_is_invalid(data: bytes) -> None:
    assert bad("magi.inbox.3.ballot.casper", data).code in ("invalid_message", "unknown_task")


@given(st.binary())
def test_no_bytes_raise(data: bytes) -> None:
    parse(message("magi.inbox.3.ballot.casper", data))
