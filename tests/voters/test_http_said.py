"""What an HTTP voter says, and what is no vote."""

import pytest

from magi.domain.messages import Opinion
from magi.voters.http_said import NoVote, answered, called_back


def test_a_vote_is_read() -> None:
    assert answered(b'{"vote":"fail","reason":"no tests","confidence":0.9}', "t") == Opinion("fail", "no tests", 0.9)
    assert answered(b'{"type":"result","vote":"abstain","more":[1]}', "t") == Opinion("abstain")
    assert called_back(b'{"task_id":"t","vote":"pass","confidence":1}', "t") == Opinion("pass", None, 1.0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "truncated"),
        (b"pass", "malformed"),
        (b'"pass"', "object"),
        (b"[]", "object"),
        (b"{}", "vote"),
        (b'{"vote":"PASS"}', "vote"),
        (b'{"vote":true}', "vote"),
        (b'{"vote":"pass","confidence":1.1}', "confidence"),
        (b'{"vote":"pass","confidence":"0.9"}', "confidence"),
        (b'{"vote":"pass","confidence":NaN}', "malformed"),
        (b'{"vote":"pass","reason":["x"]}', "reason"),
        (b'{"vote":"pass","task_id":"u"}', "task_id"),
        (b'{"vote":"pass"} trailing', "trailing"),
        (b'\xff{"vote":"pass"}', "malformed|UTF-8|utf-8"),
        (b'{"vote":"pass","x":' + b"[" * 100_000, "recursion|depth|truncated"),
    ],
)
def test_what_is_no_vote_is_refused_with_its_field(body: bytes, field: str) -> None:
    with pytest.raises(NoVote, match=field):
        answered(body, "t")


def test_a_callback_names_its_task() -> None:
    with pytest.raises(NoVote, match="task_id: missing"):
        called_back(b'{"vote":"pass"}', "t")
    with pytest.raises(NoVote, match="task_id: names another task"):
        called_back(b'{"vote":"pass","task_id":"u"}', "t")
