"""A voter's instance on a real nats-server: what it judges, how many at once, and what it does when things go wrong."""

import asyncio
import threading
import time
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from magi.domain.ids import VoterId
from magi.domain.messages import Opinion, Task, encode
from magi.eventstore import consumers, subjects
from magi.eventstore.consumers import TASK_ACK_WAIT
from magi.eventstore.direct import DirectReader
from magi.eventstore.presence import alive
from magi.voters import agent
from magi.voters.agent import MAX_ATTEMPTS, VoterAgent
from tests.orchestrator.world import World
from tests.voters.desk import Desk
from tests.voters.judges import expected_vote, judge_by_content
from tests.waiting import until


class AtOnce:
    """Counts how many judgements go on at the same time."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self.now -= 1


# --- Judging ----------------------------------------------------------------------------------------------------------


async def test_each_task_is_judged_once_and_gone(world: World, desk: Desk) -> None:
    await world.voter("a", judge_by_content)
    tasks = await desk.give(20)
    results = await desk.until_done(20)
    assert {(r.task_id, r.vote) for r in results} == {(t.task_id, expected_vote("a", t.agent_answer)) for t in tasks}
    assert len(results) == 20
    assert {r.reason for r in results} == {"seen by the judge"}
    assert {(p.task_id, p.status) for p in await desk.progress()} == {(t.task_id, "processing") for t in tasks}


async def test_progress_comes_before_the_result(world: World, desk: Desk) -> None:
    await world.voter("a", judge_by_content)
    await desk.give()
    await desk.until_done(1)
    assert [type(ballot).__name__ for ballot in await desk.ballots()] == ["ProgressBallot", "ResultBallot"]


async def test_a_coroutine_function_judges_as_many_at_once_as_it_has_capacity(world: World, desk: Desk) -> None:
    at_once = AtOnce()

    async def judge(task: Task) -> Opinion:
        with at_once:
            await asyncio.sleep(0.02)
        return Opinion.passes()

    await desk.give(20)
    await world.voter("a", judge, capacity=3)
    await desk.until_done(20)
    assert at_once.most == 3


async def test_a_plain_function_may_block_its_thread(world: World, desk: Desk) -> None:
    at_once = AtOnce()
    together = threading.Barrier(3)

    def judge(task: Task) -> Opinion:
        with at_once:
            together.wait(30)  # it takes three to go on: on the event loop's thread none would
        return Opinion.fails("blocked", 0.5)

    await desk.give(12)
    await world.voter("a", judge, capacity=3)
    results = await desk.until_done(12)
    assert at_once.most == 3
    assert {(r.vote, r.reason, r.confidence) for r in results} == {("fail", "blocked", 0.5)}


class Judges:
    """A judge that is an object."""

    async def __call__(self, task: Task) -> Opinion:
        return await judge_by_content(task)


@pytest.mark.parametrize("judge", [Judges(), lambda task: judge_by_content(task), lambda task: Opinion.passes()])
async def test_anything_that_can_be_called_is_a_judge(world: World, desk: Desk, judge: Any) -> None:
    await world.voter("a", judge)
    await desk.give()
    (result,) = await desk.until_done(1)
    assert result.vote in ("pass", "fail", "abstain")
    assert "could not judge" not in (result.reason or "")


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("x" * 4096, "x" * 4096),
        ("x" * 4097, "x" * 4095 + "…"),
        ("ä" * 100_000, "ä" * 4095 + "…"),
        ("a\0b", "a\ufffdb"),
        ("a\ud800b", "a?b"),
        ("", ""),
        (None, None),
    ],
)
async def test_a_reason_is_made_to_fit(world: World, desk: Desk, reason: str | None, sent: str | None) -> None:
    async def judge(task: Task) -> Opinion:
        return Opinion.fails(reason)

    await world.voter("a", judge)
    await desk.give()
    (result,) = await desk.until_done(1)
    assert (result.vote, result.reason) == ("fail", sent)


# --- Judges that fail -------------------------------------------------------------------------------------------------


def _raise(task: Task) -> Opinion:
    raise ValueError("not today")


def _exit(task: Task) -> Opinion:
    raise SystemExit(1)


async def _cancel(task: Task) -> Opinion:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("judge", "name"),
    [
        (_raise, "ValueError"),
        (_cancel, "CancelledError"),
        (_exit, "RuntimeError"),
        (lambda task: None, "TypeError"),
        (lambda task: "pass", "TypeError"),
        (lambda task: Opinion("maybe"), "ValidationError"),  # type: ignore[arg-type]
        (lambda task: Opinion("pass", confidence=2.0), "ValidationError"),
        (lambda task: Opinion("pass", reason=7), "ValidationError"),  # type: ignore[arg-type]
    ],
)
async def test_a_judge_that_fails_is_asked_again_and_then_abstains(
    hasty: float, world: World, desk: Desk, judge: Any, name: str
) -> None:
    seen: list[int] = []

    def counting(task: Task) -> Opinion:
        seen.append(task.attempt)
        opinion: Opinion = judge(task)
        return opinion

    await world.voter("a", counting)
    await desk.give()
    (result,) = await desk.until_done(1)
    assert seen == list(range(1, MAX_ATTEMPTS + 1))
    assert result.vote == "abstain"
    assert result.reason == f"could not judge, tried {MAX_ATTEMPTS} times: {name}"
    assert len(await desk.progress()) == 1, "the second is a duplicate"


async def test_a_judge_that_recovers_has_judged(hasty: float, world: World, desk: Desk) -> None:
    async def judge(task: Task) -> Opinion:
        if task.attempt == 1:
            raise OSError("the model is asleep")
        return Opinion.passes("awake")

    await world.voter("a", judge)
    await desk.give(5)
    assert {(r.vote, r.reason) for r in await desk.until_done(5)} == {("pass", "awake")}


async def test_without_time_to_try_again_it_abstains_at_once(world: World, desk: Desk) -> None:
    await world.voter("a", _raise)
    await desk.give(timeout=0.9)
    (result,) = await desk.until_done(1)
    assert (result.vote, result.reason) == ("abstain", "could not judge, tried once: ValueError")


# --- Time -------------------------------------------------------------------------------------------------------------


async def test_a_long_judgement_keeps_its_task(
    hasty: float, monkeypatch: pytest.MonkeyPatch, world: World, desk: Desk
) -> None:
    monkeypatch.setattr(consumers, "TASK_ACK_WAIT", 2 * hasty)  # how long a busy machine may hold up who keeps it
    judged: list[str] = []
    end = time.monotonic() + 3.5 * hasty

    async def judge(task: Task) -> Opinion:
        judged.append(task.task_id)
        await asyncio.sleep(end - time.monotonic())
        return Opinion.passes()

    await world.voter("a", judge)
    await world.voter("a", judge)
    await desk.give(3)
    await desk.until_done(3)
    assert len(judged) == 3


async def test_a_task_whose_deadline_is_over_is_dropped(world: World, desk: Desk) -> None:
    judged: list[str] = []

    async def judge(task: Task) -> Opinion:
        judged.append(task.task_id)
        return Opinion.passes()

    await desk.put(encode(desk.task(timeout=-0.001)))
    await world.voter("a", judge)
    await desk.until_nothing_left()
    assert judged == []
    assert await desk.ballots() == []


async def test_a_coroutine_that_takes_longer_than_there_is_time_makes_room_for_others(world: World, desk: Desk) -> None:
    async def judge(task: Task) -> Opinion:
        if task.agent_answer == "riddle":
            await asyncio.Event().wait()
        return Opinion.passes()

    await world.voter("a", judge, capacity=1)
    await desk.put(encode(desk.task("riddle", timeout=0.5)))
    await desk.give(2)

    async def judged() -> bool:
        return len([r for r in await desk.results() if r.vote == "pass"]) == 2

    await until(judged, "the others are judged")


@pytest.mark.parametrize("data", [b"", b"garbage", b'{"type":"task"}', b"[" * 100_000, b"\xff"])
async def test_what_is_no_task_is_dropped(world: World, desk: Desk, data: bytes) -> None:
    await desk.put(data)
    await desk.put(encode(msgspec.structs.replace(desk.task(), deadline="soon")))
    await world.voter("a", judge_by_content)
    await desk.give()
    await desk.until_done(1)


# --- Others -----------------------------------------------------------------------------------------------------------


async def test_refusals_are_logged(world: World) -> None:
    await world.orchestrator()
    with capture_logs() as logged:
        await world.voter("a", judge_by_content)
        await world.vote(world.aggregate("nothing of the sort"), "a", "pass")

        async def told() -> bool:
            return any(entry["event"] == "notice_of_refusal" and entry["code"] == "unknown_task" for entry in logged)

        await until(told, "the refusal is in the log")


async def test_an_instance_is_seen_as_long_as_it_works(world: World) -> None:
    reader = DirectReader(world.bus, subjects.PRESENCE)
    await reader.start()
    running = await world.voter("a", judge_by_content, capacity=5)

    async def seen() -> bool:
        return [(i.part, i.capacity) for i in await alive(reader, "voter.*")] == [("voter.a", 5)]

    await until(seen, "it is alive")
    await running.stop()
    assert await alive(reader, "voter.*") == []


async def test_a_voter_that_is_not_registered_is_told_so(world: World) -> None:
    with capture_logs() as logged:
        stranger = VoterAgent(await world.connect(), VoterId("stranger"), judge_by_content)
        await stranger.start()
    assert [entry["voter"] for entry in logged if entry["event"] == "voter_not_registered"] == ["stranger"]
    await world.register("stranger")  # and works, once it is
    desk = Desk(world, "stranger")
    await desk.give()
    await desk.until_done(1)
    await stranger.stop()


def test_a_task_is_kept_in_time() -> None:
    assert agent._KEEP * 2 < TASK_ACK_WAIT
