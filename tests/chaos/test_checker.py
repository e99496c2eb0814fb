"""The checker finds what it is there to find: each rule is shown a run in which it was broken."""

from collections.abc import Callable

import msgspec
import pytest

from magi.domain.ids import VoterId, task_id
from magi.domain.messages import ResultBallot, Submission, Task
from tests.chaos import planted
from tests.chaos.checker import aggregate_of
from tests.chaos.clients import Asked
from tests.chaos.evidence import alone
from tests.chaos.planted import Run, whole
from tests.log_rules import log_problems, of_several_voters


@pytest.fixture(params=[1, 2], ids=["alone", "together"])
def run(request: pytest.FixtureRequest) -> Run:
    """One in whose log each event is a message, and one in whose messages there are two."""
    return made(request.param)


def made(together: int) -> Run:
    run = Run(together)
    run.play("whole", "a", "b", "c")
    run.play("late", "a", planted.ABSENT)
    run.play("early", "a", "b", "c", when="early")
    run.seen()
    return run


def test_a_run_that_went_well_has_no_problems(run: Run) -> None:
    assert run.problems() == []
    assert [type(event).__name__ for event in whole(run)] == ["Received", *["VoterResult"] * 3, "Adjudicated"]
    sequences = [recorded.sequence for recorded in run.log()][:5]
    assert sequences == ([1, 2, 3, 4, 5] if run.together == 1 else [1, 2, 2, 3, 3])


STORED = [
    (planted.drop_the_verdict, "received and not decided"),
    (planted.drop_the_verdict, "has 0 verdicts"),
    (planted.drop_the_request, "acknowledged and is not in the log"),
    (planted.drop_a_vote, "the votes say"),
    (planted.drop_a_vote, "1 of which are missing"),
    (planted.double_a_vote, "was counted 2 times"),
    (planted.double_the_verdict, "has 2 verdicts"),
    (planted.double_the_beginning, "was received twice"),
    (planted.go_on_after_the_verdict, "goes on after the verdict"),
    (planted.change_a_vote, "was stored (seen)"),
    (planted.turn_the_verdict, "the votes say"),
    (planted.change_the_details, "are not the votes"),
    (planted.change_the_content, "something else was stored than was sent"),
    (planted.change_the_panel, "is not on the panel"),
    (planted.change_the_panel, "the panel is"),
    (planted.lose_votes_to_a_deadline, "votes are lost"),
    (planted.decide_before_the_deadline, "decided by its deadline, before it"),
    (planted.let_the_absent_vote, "ghost votes"),
    (planted.decide_early_unasked, "which nobody asked for"),
    (planted.invent_a_request, "nobody sent it"),
    (planted.reorder_the_log, "the log has 3 where 2 was expected"),
    (planted.reorder_the_log, "stands where 2 was expected"),
    (planted.drop_a_message_of_the_log, "the chain breaks"),
    (planted.change_stored_bytes, "the chain breaks before version 3"),
    (planted.give_two_events_one_name, "2 events are named"),
]


@pytest.mark.parametrize(("plant", "found"), STORED)
def test_a_fault_in_the_log_is_found(run: Run, plant: Callable[[Run], None], found: str) -> None:
    plant(run)
    assert any(found in problem for problem in run.problems()), run.problems()


@pytest.mark.parametrize(("plant", "found"), [pair for pair in STORED if pair[0] not in planted.BELOW_THE_EVENTS])
def test_it_is_found_even_when_the_initiators_saw_it_so(run: Run, plant: Callable[[Run], None], found: str) -> None:
    plant(run)
    run.seen()
    if plant is planted.drop_the_request:
        found = "never got the verdict"
    assert any(found in problem for problem in run.problems()), run.problems()


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (planted.double_an_event_in_its_message, "2 events are named"),
        (planted.double_an_event_in_its_message, "version 2 stands where 3 was expected"),
        (planted.store_a_message_twice, "2 events are named"),
        (planted.store_a_message_twice, "version 2 stands where 4 was expected"),
        (planted.reorder_a_message, "version 3 stands where 2 was expected"),
        (planted.reorder_a_message, "the chain breaks before version 2"),
        (planted.drop_an_event_of_a_message, "the chain breaks before version 2"),
        (planted.store_an_event_among_those_of_another, "message 4 holds events of"),
    ],
)
def test_a_fault_in_a_message_of_several_events_is_found(plant: Callable[[Run], None], found: str) -> None:
    run = made(together=2)
    plant(run)
    assert any(found in problem for problem in run.problems()), run.problems()


def test_of_one_initiators_requests_alone_messages_stay_together(run: Run) -> None:
    name = aggregate_of(run.asked["early"])
    log = run.log()
    own = alone(log, {name})
    assert [r.sequence for r in own][:4] == ([1, 2, 3, 4] if run.together == 1 else [1, 2, 2, 3])
    assert [*log_problems(own)] == []
    assert [r.event for r in own] == [r.event for r in log if r.event.originator_id == name]


def test_messages_of_several_voters_are_counted(run: Run) -> None:
    assert of_several_voters(run.log()) == (0 if run.together == 1 else 2)


# --- What the Initiators saw ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (planted.drop_a_frame, "saw 4 after 2"),
        (planted.double_a_frame, "saw 2 after 2"),
        (planted.swap_frames, "saw 3 after 1"),
        (planted.change_a_frame, "saw something else than is stored as 2"),
        (planted.miss_the_end, "never got the verdict"),
        (planted.miss_the_end_unnoticed, "saw 4 of 5 events"),
        (planted.lose_what_came_between_connections, "saw 4 after 2"),
        (planted.see_something_again_after_a_reconnect, "saw 3 after 3"),
        (planted.begin_again_unasked, "sent it 1 times, and saw it begin 2 times"),
        (planted.see_too_much, "something else than is stored as 6"),
    ],
)
def test_a_fault_in_what_an_initiator_saw_is_found(run: Run, plant: Callable[[Asked], None], found: str) -> None:
    plant(run.asked["whole"])
    assert any(found in problem for problem in run.problems()), run.problems()


def test_who_resumes_where_it_was_has_no_problem(run: Run) -> None:
    frames = run.asked["whole"].runs[0]
    run.asked["whole"].runs = [frames[:2], [], frames[2:4], frames[4:]]
    assert run.problems() == []


def test_who_sent_a_request_again_may_see_it_begin_again(run: Run) -> None:
    frames = run.asked["whole"].runs[0]
    run.asked["whole"].runs = [frames[:2], frames]
    run.asked["whole"].sent = 2
    assert run.problems() == []


# --- What is left over ------------------------------------------------------------------------------------------------


def submission_of(asked: Asked) -> Submission:
    return Submission(initiator_id=asked.initiator, **msgspec.structs.asdict(asked.request))


def ballot_on(asked: Asked) -> ResultBallot:
    return ResultBallot(task_id=task_id(aggregate_of(asked), VoterId("a")), vote="pass")


def test_what_waits_in_the_inbox_of_a_decided_request_is_no_problem(run: Run) -> None:
    run.inbox += [submission_of(run.asked["whole"]), ballot_on(run.asked["whole"])]
    assert run.problems() == []


def test_what_waits_in_the_inbox_of_an_undecided_one_is(run: Run) -> None:
    planted.drop_the_verdict(run)
    run.seen()
    before = len(run.problems())
    run.inbox += [submission_of(run.asked["whole"]), ballot_on(run.asked["whole"])]
    found = run.problems()[before:]
    assert len(found) == 2
    assert all("is left in the inbox, and it is not decided" in problem for problem in found)


def test_a_ballot_on_nothing_and_a_task_are_problems(run: Run) -> None:
    name = task_id(aggregate_of(run.asked["whole"]), VoterId("a"))
    run.inbox.append(ResultBallot(task_id="nothing", vote="pass"))
    run.tasks.append(Task(task_id=name, request_id="whole", user_query="?", agent_answer="!", deadline=""))
    found = run.problems()
    assert len(found) == 2
    assert "a ballot on nothing is left" in found[0]
    assert "a task is left" in found[1]
