"""HTTP voters: services on loopback that are posted tasks, answer, call back, fail, lie and dawdle."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web
from structlog.testing import capture_logs

from magi.domain.ids import VoterId
from magi.domain.messages import Opinion, Task
from magi.voters.agent import CannotJudge
from magi.voters.callback_settings import CallbackSettings
from magi.voters.callbacks import CallbackServer
from magi.voters.http_push import HttpJudge, http_judge, webhook_id
from magi.voters.kind_settings import BadSettings
from magi.webhooks.signing import Secret, new_secret, signed_headers, verify
from tests.orchestrator.world import World
from tests.voters.desk import Desk
from tests.voters.tasks import a_task
from tests.waiting import stopwatch, until
from tests.webhooks.service import Handler, Service, answers, drop, serving, status

A = VoterId("a")
WRITTEN = new_secret(b"s" * 32)
SECRET = Secret(WRITTEN)
PASS = status(200, '{"vote":"pass","reason":"fine","confidence":0.9}')


@pytest.fixture
async def callbacks() -> AsyncIterator[CallbackServer]:
    server = CallbackServer(CallbackSettings())
    await server.start()
    yield server
    await server.stop()


@asynccontextmanager
async def judging(
    handler: Handler, callbacks: CallbackServer | None = None, **settings: Any
) -> AsyncIterator[tuple[HttpJudge, Service]]:
    async with serving(handler) as service:
        given = {"url": service.url + "/judge", "allow_private": True, "secret_variable": "JUDGE", **settings}
        judge = http_judge(A, given, callbacks, {"JUDGE": WRITTEN})
        try:
            yield judge, service
        finally:
            await judge.close()


async def call_back(url: str, body: dict[str, Any], secret: Secret = SECRET, message: str = "m1") -> int:
    data = json.dumps(body).encode()
    headers = signed_headers([secret], message, int(time.time()), data)
    async with ClientSession() as session, session.post(url, data=data, headers=headers) as response:
        return response.status


# --- Votes in the answer ----------------------------------------------------------------------------------------------


async def test_the_vote_is_in_the_answer() -> None:
    async with judging(answers(PASS)) as (judge, service):
        assert await judge.judge(a_task()) == Opinion("pass", "fine", 0.9)
    assert service.seen[0].path == "/judge"


async def test_the_service_gets_the_signed_task_and_nothing_of_the_bus() -> None:
    task = a_task(attempt=2)
    async with judging(answers(PASS)) as (judge, service):
        await judge.judge(task)
    (seen,) = service.seen
    assert verify([SECRET], seen.headers, seen.body, time.time()).message_id == webhook_id(task)
    assert json.loads(seen.body) == {
        "type": "task",
        "task_id": task.task_id,
        "request_id": "r-1",
        "user_query": "Write a function",
        "agent_answer": "def f(): return 1",
        "deadline": task.deadline,
        "metadata": {"model": "m"},
        "attempt": 2,
    }


@pytest.mark.parametrize(
    "said",
    ["", "pass", "null", "[]", "{}", '{"vote":"maybe"}', '{"vote":"pass","confidence":2}', '{"vote":"pass"', "<html>"],
)
async def test_an_answer_that_is_no_vote_is_none(said: str) -> None:
    async with judging(answers(status(200, said))) as (judge, service):
        with pytest.raises(CannotJudge, match="no vote"):
            await judge.judge(a_task())
    assert len(service.seen) == 1


async def test_a_vote_on_another_task_is_none() -> None:
    async with judging(answers(status(200, '{"vote":"pass","task_id":"other"}'))) as (judge, _):
        with pytest.raises(CannotJudge, match="task_id"):
            await judge.judge(a_task())


async def test_a_huge_answer_is_no_vote() -> None:
    huge = json.dumps({"vote": "pass", "reason": "x" * 70_000})
    async with judging(answers(status(200, huge))) as (judge, _):
        with pytest.raises(CannotJudge, match="more than"):
            await judge.judge(a_task())


async def test_a_control_sequence_in_an_answer_steers_no_terminal() -> None:
    async with judging(answers(status(200, '{"vote":"\x1b[2J"}'))) as (judge, _):
        with pytest.raises(CannotJudge) as failed:
            await judge.judge(a_task())
    assert str(failed.value).isprintable()


@pytest.mark.parametrize("code", [204, 301, 307, 400, 401, 404, 410])
async def test_any_other_answer_ends_it(code: int) -> None:
    async with serving(answers(PASS)) as elsewhere:
        async with judging(answers(status(code, Location=elsewhere.url))) as (judge, service):
            with pytest.raises(CannotJudge, match=str(code)):
                await judge.judge(a_task())
        assert len(service.seen) == 1
        assert elsewhere.seen == []


# --- Failures ---------------------------------------------------------------------------------------------------------


async def test_a_failing_service_is_asked_again_under_the_same_id() -> None:
    async with judging(answers(status(500), status(429, Retry_After="0"), PASS)) as (judge, service):
        assert (await judge.judge(a_task())).vote == "pass"
    assert len({seen.headers["webhook-id"] for seen in service.seen}) == 1
    assert len(service.seen) == 3


async def test_a_service_that_never_answers_costs_no_more_than_the_deadline() -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with judging(hang) as (judge, _):
        async with stopwatch() as watch:
            with pytest.raises(CannotJudge, match="no answer within"):
                await judge.judge(a_task(1.5))
        assert watch.seconds < 1.5


async def test_broken_connections_until_the_deadline_are_said() -> None:
    async with judging(drop) as (judge, _):
        with pytest.raises(CannotJudge, match=r"no answer: .*tried \d+ times"):
            await judge.judge(a_task(1.0))


async def test_a_name_that_became_private_is_not_called_and_not_shown() -> None:
    async with serving(answers(PASS)) as service:
        url = service.url.replace("127.0.0.1", "localhost")
        judge = http_judge(A, {"url": url, "secret_variable": "JUDGE"}, None, {"JUDGE": WRITTEN})
        try:
            with capture_logs() as logs, pytest.raises(CannotJudge) as failed:
                await judge.judge(a_task())
        finally:
            await judge.close()
    assert service.seen == []
    assert "127.0.0.1" not in str(failed.value)
    assert "127.0.0.1" in str(logs)


async def test_a_forbidden_url_makes_no_judge() -> None:
    with pytest.raises(BadSettings, match="url"):
        http_judge(A, {"url": "http://127.0.0.1/", "secret_variable": "JUDGE"}, None, {"JUDGE": WRITTEN})


# --- Callbacks --------------------------------------------------------------------------------------------------------


def calling_back(act: Callable[[str, str], Awaitable[None]]) -> Handler:
    """Answer 202, and then do what `act` does with the callback's URL and the task's id."""
    running: list[asyncio.Task[None]] = []

    async def handle(request: web.Request) -> web.Response:
        task = json.loads(await request.read())

        async def later() -> None:
            await act(task["callback_url"], task["task_id"])

        running.append(asyncio.create_task(later()))
        return web.Response(status=202)

    return handle


async def test_after_202_the_vote_comes_by_callback(callbacks: CallbackServer) -> None:
    async def act(url: str, task_id: str) -> None:
        assert await call_back(url, {"task_id": task_id, "vote": "fail", "reason": "late but sure"}) == 202

    async with judging(calling_back(act), callbacks) as (judge, service):
        assert await judge.judge(a_task()) == Opinion("fail", "late but sure")
    assert json.loads(service.seen[0].body)["callback_url"].startswith(f"http://127.0.0.1:{callbacks.port}/v1/ballots/")


async def test_forged_callbacks_leave_the_vote_to_the_true_one(callbacks: CallbackServer) -> None:
    said: list[int] = []

    async def act(url: str, task_id: str) -> None:
        said.append(await call_back(url, {"task_id": task_id, "vote": "pass"}, Secret(new_secret(b"x" * 32)), "forged"))
        said.append(await call_back(url, {"task_id": task_id, "vote": "fail"}))

    async with judging(calling_back(act), callbacks) as (judge, _):
        assert (await judge.judge(a_task())).vote == "fail"
    assert said[0] == 401
    assert callbacks.desk.refused == {"forged": 1}


async def test_a_callback_before_the_answer_counts(callbacks: CallbackServer) -> None:
    async def handle(request: web.Request) -> web.Response:
        task = json.loads(await request.read())
        await call_back(task["callback_url"], {"task_id": task["task_id"], "vote": "pass"})
        await asyncio.Event().wait()
        return web.Response(status=202)

    async with judging(handle, callbacks) as (judge, _):
        assert (await judge.judge(a_task())).vote == "pass"


async def test_a_callback_after_the_answer_doesnt(callbacks: CallbackServer) -> None:
    async with judging(answers(PASS), callbacks) as (judge, service):
        task = a_task()
        await judge.judge(task)
        url = json.loads(service.seen[0].body)["callback_url"]
        assert await call_back(url, {"task_id": task.task_id, "vote": "fail"}) == 409


async def test_a_callback_that_never_comes_costs_no_more_than_the_deadline(callbacks: CallbackServer) -> None:
    async with judging(answers(status(202)), callbacks) as (judge, service):
        task = a_task(0.5)
        with pytest.raises(CannotJudge, match="did not call back"):
            await judge.judge(task)
        url = json.loads(service.seen[0].body)["callback_url"]
        assert await call_back(url, {"task_id": task.task_id, "vote": "pass"}) == 404


async def test_without_a_listener_202_is_no_answer() -> None:
    async with judging(answers(status(202))) as (judge, service):
        with pytest.raises(CannotJudge, match="no way to call back"):
            await judge.judge(a_task())
    assert "callback_url" not in json.loads(service.seen[0].body)


async def test_a_judge_that_is_cancelled_leaves_nothing_open(callbacks: CallbackServer) -> None:
    async with judging(answers(status(202)), callbacks) as (judge, service):
        judgement = asyncio.create_task(judge.judge(a_task()))

        async def asked() -> bool:
            return bool(service.seen)

        await until(asked, "the service is asked")
        judgement.cancel()
        with pytest.raises(asyncio.CancelledError):
            await judgement
        url = json.loads(service.seen[0].body)["callback_url"]
        assert await call_back(url, {"task_id": a_task().task_id, "vote": "pass"}) == 404


# --- As a voter on the bus --------------------------------------------------------------------------------------------


async def test_a_service_is_given_no_more_tasks_at_once_than_the_voter_has_capacity(world: World, desk: Desk) -> None:
    async def handle(request: web.Request) -> web.Response:
        await asyncio.sleep(0.3)  # how long it takes to judge
        return PASS()

    async with judging(handle) as (judge, service):
        await world.voter("a", judge.judge, capacity=3)
        tasks = await desk.give(12)
        results = await desk.until_done(12)
        assert {result.task_id for result in results} == {task.task_id for task in tasks}
        assert {result.vote for result in results} == {"pass"}
        assert service.most_open == 3


async def test_a_service_that_cant_judge_is_an_abstention_that_says_so(hasty: float, world: World, desk: Desk) -> None:
    async with judging(answers(status(410))) as (judge, service):
        await world.voter("a", judge.judge)
        await desk.give()
        (result,) = await desk.until_done(1)
    assert (result.vote, result.failed) == ("abstain", True)
    assert "answered 410" in str(result.reason)
    assert len({seen.headers["webhook-id"] for seen in service.seen}) == 1


def test_the_id_of_a_task_is_one_that_can_be_signed() -> None:
    task: Task = a_task()
    assert "." not in webhook_id(task)
    assert webhook_id(task) == webhook_id(a_task(attempt=3))
    assert webhook_id(task) != webhook_id(a_task(task_id=task.task_id + "x"))
