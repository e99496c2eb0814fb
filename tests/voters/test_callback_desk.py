"""Which callbacks count."""

import json
from typing import Any

import pytest

from magi.domain.ids import VoterId
from magi.domain.messages import Opinion
from magi.voters.callback_desk import CallbackDesk, CallbackRefused
from magi.webhooks.signing import TOLERANCE, Secret, new_secret, signed_headers

A, B = VoterId("a"), VoterId("b")
OF_A, OF_B, STRANGER = ((Secret(new_secret(key * 32)),) for key in (b"a", b"b", b"s"))
TASK = "i.uuid.a"


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(clock: Clock) -> CallbackDesk:
    desk = CallbackDesk(clock)
    desk.enrol(A, OF_A)
    desk.enrol(B, OF_B)
    return desk


def send(
    desk: CallbackDesk,
    *,
    task: str = TASK,
    by: tuple[Secret, ...] = OF_A,
    message: str = "m1",
    at: float = Clock.now,
    body: bytes | None = None,
    **said: Any,
) -> str:
    """Send a callback; why it was refused, or nothing."""
    body = body if body is not None else json.dumps({"task_id": task, "vote": "pass", **said}).encode()
    before = desk.refused.total()
    try:
        desk.take(task, signed_headers(by, message, int(at), body), body)
    except CallbackRefused as refused:
        assert desk.refused.total() == before + 1
        return refused.why
    assert desk.refused.total() == before
    return ""


async def test_the_vote_of_the_tasks_voter_counts(desk: CallbackDesk) -> None:
    with desk.expecting(A, OF_A, TASK) as vote:
        assert send(desk, vote="fail", reason="why", confidence=0.5) == ""
        assert await vote == Opinion("fail", "why", 0.5)


async def test_a_forged_an_unsigned_an_old_and_an_early_one_dont(desk: CallbackDesk) -> None:
    with desk.expecting(A, OF_A, TASK) as vote:
        assert send(desk, by=STRANGER) == "forged"
        assert send(desk, by=()) == "missing"
        assert send(desk, at=Clock.now - TOLERANCE - 1) == "old"
        assert send(desk, at=Clock.now + TOLERANCE + 1) == "early"
        assert not vote.done()
        assert send(desk) == ""
    assert desk.refused == {"forged": 1, "missing": 1, "old": 1, "early": 1}


async def test_nobody_votes_on_anothers_task_with_his_own_secret(desk: CallbackDesk) -> None:
    with desk.expecting(A, OF_A, TASK) as vote:
        assert send(desk, by=OF_B) == "another_voter"
        assert not vote.done()


async def test_a_callback_counts_for_the_task_that_it_names_only(desk: CallbackDesk) -> None:
    with desk.expecting(A, OF_A, TASK) as first, desk.expecting(A, OF_A, "i.other.a") as second:
        assert send(desk, task="i.other.a", body=b'{"task_id":"i.uuid.a","vote":"pass"}') == "no_vote"
        assert not first.done()
        assert not second.done()


async def test_a_callback_that_was_taken_is_not_taken_for_another_task(desk: CallbackDesk) -> None:
    with desk.expecting(A, OF_A, TASK), desk.expecting(A, OF_A, "i.other.a") as second:
        assert send(desk) == ""
        assert send(desk, task="i.other.a", body=b'{"task_id":"i.uuid.a","vote":"pass"}') == "replayed"
        assert send(desk) == "replayed"
        assert not second.done()


async def test_a_second_vote_doesnt_count_while_the_first_is_read_or_later(desk: CallbackDesk) -> None:
    with desk.expecting(A, OF_A, TASK) as vote:
        assert send(desk, vote="pass") == ""
        assert send(desk, message="m2", vote="fail") == "already_voted"
        assert (await vote).vote == "pass"
    assert send(desk, message="m3", vote="fail") == "already_voted"


async def test_after_the_vote_came_in_the_answer_a_callback_doesnt_count(desk: CallbackDesk) -> None:
    with desk.expecting(A, OF_A, TASK):
        pass
    assert send(desk) == "already_voted"


async def test_a_task_is_unknown_before_it_is_given_and_after_it_failed(desk: CallbackDesk) -> None:
    assert send(desk) == "unknown_task"
    with pytest.raises(TimeoutError), desk.expecting(A, OF_A, TASK):
        raise TimeoutError
    assert send(desk) == "unknown_task"


async def test_who_cant_sign_isnt_told_which_tasks_there_are(desk: CallbackDesk) -> None:
    with desk.expecting(A, OF_A, TASK):
        assert send(desk, by=STRANGER) == send(desk, by=STRANGER, task="i.none.a") == "forged"
        assert send(desk, by=()) == send(desk, by=(), task="i.none.a") == "missing"
    assert send(desk, task="i.none.a", at=0) == "old"


async def test_a_dismissed_voter_cant_sign_any_more(desk: CallbackDesk) -> None:
    desk.dismiss(A, OF_A)
    assert send(desk) == "forged"


async def test_a_voter_that_was_enrolled_anew_stays(desk: CallbackDesk) -> None:
    desk.enrol(A, STRANGER)
    desk.dismiss(A, OF_A)
    assert send(desk, by=STRANGER) == "unknown_task"


async def test_a_task_that_comes_again_may_be_answered_by_the_same_callback(desk: CallbackDesk) -> None:
    with desk.expecting(A, OF_A, TASK):
        assert send(desk) == ""
    assert send(desk) == "replayed"
    with desk.expecting(A, OF_A, TASK) as vote:
        assert send(desk) == ""
        assert (await vote).vote == "pass"


async def test_a_task_that_is_judged_twice_at_once_has_its_vote_twice(desk: CallbackDesk) -> None:
    with desk.expecting(A, OF_A, TASK) as first:
        with pytest.raises(TimeoutError), desk.expecting(A, OF_A, TASK):
            raise TimeoutError
        with desk.expecting(A, OF_A, TASK) as second:
            assert send(desk) == ""
            assert [await first, await second] == [Opinion("pass"), Opinion("pass")]


async def test_a_task_that_comes_again_before_its_vote_was_read_waits_for_another(desk: CallbackDesk) -> None:
    with desk.expecting(A, OF_A, TASK) as first:
        assert send(desk) == ""
        with desk.expecting(A, OF_A, TASK) as second:
            assert send(desk) == ""
            assert [await first, await second] == [Opinion("pass"), Opinion("pass")]


async def test_garbage_is_refused(desk: CallbackDesk) -> None:
    with desk.expecting(A, OF_A, TASK) as vote:
        assert send(desk, body=b"pass") == "no_vote"
        assert send(desk, vote="perhaps") == "no_vote"
        assert not vote.done()


async def test_what_is_remembered_is_forgotten_once_it_cant_come_again(desk: CallbackDesk, clock: Clock) -> None:
    for number in range(5):
        with desk.expecting(A, OF_A, f"i.{number}.a"):
            assert send(desk, task=f"i.{number}.a", message=f"m{number}") == ""
    assert len(desk._seen) == len(desk._voted) == 5
    clock.now += 2 * TOLERANCE + 1
    with desk.expecting(A, OF_A, TASK):
        pass
    assert len(desk._seen) == 0
    assert list(desk._voted) == [TASK]
    assert not desk._open
