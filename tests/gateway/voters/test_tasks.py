"""What a ballot on a task is worth, by what the connection knows of it."""

import pytest

from magi.domain.errors import AlreadyVoted, UnknownTask
from magi.domain.messages import ResultBallot
from magi.gateway.errors import RateLimited
from magi.gateway.voters.tasks import MOST_PROGRESS, REMEMBERED, OpenTask, Tasks


def task(name: str = "t") -> OpenTask:
    return OpenTask(task_id=name, reply="", ballot_subject="", deadline=0, since=0, attempt=1)


def passes(name: str = "t") -> ResultBallot:
    return ResultBallot(task_id=name, vote="pass")


def test_an_open_task_takes_up_capacity_until_it_is_over() -> None:
    tasks, one = Tasks(), task()
    tasks.add(one)
    assert len(tasks) == 1
    tasks.end(one)
    tasks.end(one)
    assert (len(tasks), tasks.find("t")) == (0, one)


def test_a_task_that_comes_again_is_open_again() -> None:
    tasks = Tasks()
    tasks.add(task())
    tasks.end(tasks.open()[0])
    again = task()
    tasks.add(again)
    assert (len(tasks), tasks.find("t")) == (1, again)


def test_only_so_many_are_remembered() -> None:
    tasks = Tasks()
    for number in range(REMEMBERED + 1):
        one = task(str(number))
        tasks.add(one)
        tasks.end(one)
    assert tasks.find("0") is None
    assert tasks.find("1")


def test_a_result_is_to_be_stored_once() -> None:
    tasks = Tasks()
    tasks.add(task())
    assert tasks.cast(passes()).unanswered == 1
    assert tasks.cast(passes()).unanswered == 2
    one = tasks.open()[0]
    one.unanswered, one.accepted = 0, True
    assert tasks.cast(passes()).unanswered == 0


def test_another_result_is_refused_and_so_is_progress_after_one() -> None:
    tasks = Tasks()
    tasks.add(task())
    tasks.cast(passes())
    with pytest.raises(AlreadyVoted):
        tasks.cast(ResultBallot(task_id="t", vote="pass", reason="because"))
    with pytest.raises(AlreadyVoted):
        tasks.report("t")


def test_a_task_that_is_over_can_be_voted_on_still() -> None:
    tasks = Tasks()
    tasks.add(task())
    tasks.end(tasks.open()[0])
    assert tasks.cast(passes()).unanswered == 1


def test_nobody_votes_on_what_the_connection_never_had() -> None:
    with pytest.raises(UnknownTask):
        Tasks().cast(passes())
    with pytest.raises(UnknownTask):
        Tasks().report("t")


def test_progress_on_its_way_is_bounded() -> None:
    tasks = Tasks()
    tasks.add(task())
    for _ in range(MOST_PROGRESS):
        tasks.report("t")
    with pytest.raises(RateLimited):
        tasks.report("t")
    tasks.open()[0].progress -= 1
    tasks.report("t")
