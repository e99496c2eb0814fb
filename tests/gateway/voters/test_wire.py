"""The messages of PROTOCOL §2: what is understood of a frame, and what is wrong with one that isn't."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from magi.domain.errors import UnknownTask
from magi.domain.messages import ProgressBallot, ResultBallot, Task
from magi.gateway.errors import Unavailable
from magi.gateway.frames import Ping
from magi.gateway.voters import wire


def problem(frame: object) -> tuple[str, str]:
    incoming = wire.decode(frame if isinstance(frame, str) else json.dumps(frame))
    assert incoming.error
    assert incoming.message is None
    return incoming.error.code, incoming.error.message


class TestDecode:
    def test_each_type(self) -> None:
        for frame, message in (
            ('{"type":"ready","capacity":0,"colour":1}', wire.Ready(0)),
            ('{"type":"ready","capacity":4,"version":"1.0"}', wire.Ready(4, "1.0")),
            ('{"type":"progress","task_id":"a"}', ProgressBallot(task_id="a")),
            ('{"type":"result","task_id":"a","vote":"pass"}', ResultBallot(task_id="a", vote="pass")),
            ('{"type":"ping"}', Ping()),
        ):
            assert wire.decode(frame).message == message

    @pytest.mark.parametrize(
        ("frame", "code", "message"),
        [
            ("", "invalid_json", ""),
            ("[]", "invalid_json", "expected an object"),
            ('{"type":"ping","a":' + "[" * 40 + "]" * 40 + "}", "invalid_json", "nested deeper than 32"),
            ({}, "invalid_message", "type: missing"),
            ({"type": "task"}, "unsupported_type", "type: 'task' is not supported"),
            ({"type": "ready"}, "invalid_message", "capacity: missing"),
            ({"type": "ready", "capacity": -1}, "invalid_message", "capacity: "),
            ({"type": "ready", "capacity": 1.5}, "invalid_message", "capacity: "),
            ({"type": "ready", "capacity": 1, "version": "x" * 65}, "invalid_message", "version: "),
            ({"type": "ready", "capacity": 1, "version": "a\0"}, "invalid_message", "version: expected no NUL"),
            ({"type": "progress"}, "invalid_message", "task_id: missing"),
            ({"type": "progress", "task_id": "a", "status": ""}, "invalid_message", "status: "),
            ({"type": "progress", "task_id": "a", "status": "\0"}, "invalid_message", "status: expected no NUL"),
            ({"type": "result", "task_id": "a"}, "invalid_message", "vote: missing"),
            ('{"type":"result","task_id":"a","vote":"pass","confidence":NaN}', "invalid_json", ""),
            ('{"type":"result","task_id":"a","vote":"pass","confidence":1e400}', "invalid_message", ""),
        ],
    )
    def test_what_is_wrong_is_named(self, frame: object, code: str, message: str) -> None:
        found = problem(frame)
        assert found[0] == code
        assert found[1].startswith(message)

    @pytest.mark.parametrize("task_id", ["", "x" * 257, "a\nb", "a\x1bb", 5, None])
    def test_a_task_id_that_can_not_be_repeated_is_not(self, task_id: object) -> None:
        assert wire.decode(json.dumps({"type": "nonsense", "task_id": task_id})).task_id is None

    @given(some.text())
    def test_it_never_raises(self, text: str) -> None:
        wire.decode(text)
        wire.decode(json.dumps({"type": "result", "task_id": text, "vote": text, "reason": text}))


class TestEncode:
    def test_a_task_says_nothing_of_the_inbox(self) -> None:
        task = Task(
            task_id="t", request_id="r", user_query="?", agent_answer="!", deadline="d", ballot_subject="magi.x"
        )
        sent = json.loads(wire.task(task, 3))
        assert "ballot_subject" not in sent
        assert (sent["type"], sent["attempt"]) == ("task", 3)

    def test_errors(self) -> None:
        assert json.loads(wire.error(UnknownTask("no"), "t")) == {
            "type": "error",
            "code": "unknown_task",
            "message": "no",
            "task_id": "t",
            "retryable": False,
        }
        again = msgspec.json.decode(wire.error(Unavailable("no", 250), None))
        assert (again["retryable"], again["retry_after_ms"]) == (True, 250)
        assert "task_id" not in again
