"""The listener for callbacks, as voters see it: over HTTP."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from structlog.testing import capture_logs

from magi.domain.ids import VoterId
from magi.domain.messages import Opinion
from magi.voters.callback_desk import CallbackDesk
from magi.voters.callback_settings import CallbackSettings, CannotTakeCallbacks
from magi.voters.callbacks import BODY_LIMIT, CallbackServer
from magi.webhooks.signing import Secret, new_secret, signed_headers

A, B = VoterId("a"), VoterId("b")
OF_A, OF_B, STRANGER = ((Secret(new_secret(key * 32)),) for key in (b"a", b"b", b"s"))
TASK = "i.uuid.a"
HERE = "http://127.0.0.1:1/"


@pytest.fixture
async def server() -> AsyncIterator[CallbackServer]:
    server = CallbackServer(CallbackSettings())
    await server.start()
    server.desk.enrol(A, OF_A)
    server.desk.enrol(B, OF_B)
    yield server
    await server.stop()


async def call(
    server: CallbackServer,
    body: bytes | None = None,
    *,
    by: tuple[Secret, ...] = OF_A,
    message: str = "m1",
    task: str = TASK,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, object]]:
    """Send a callback; the status and the body of the answer."""
    body = body if body is not None else json.dumps({"task_id": task, "vote": "pass"}).encode()
    headers = headers if headers is not None else signed_headers(by, message, int(time.time()), body)
    url = server.url_for(task, HERE)
    assert url
    async with ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        return response.status, await response.json()


async def test_a_callback_gives_the_vote(server: CallbackServer) -> None:
    with server.desk.expecting(A, OF_A, TASK) as vote:
        assert await call(server) == (202, {"type": "accepted", "task_id": TASK, "kind": "result"})
        assert await vote == Opinion("pass")


async def test_each_refusal_has_its_status_and_code_is_logged_and_counted(server: CallbackServer) -> None:
    body = json.dumps({"task_id": TASK, "vote": "pass"}).encode()
    old = signed_headers(OF_A, "m0", int(time.time()) - 600, body)
    with server.desk.expecting(A, OF_A, TASK), capture_logs() as logs:
        said = [
            await call(server, headers={}),
            await call(server, by=STRANGER),
            await call(server, headers=old),
            await call(server, by=OF_B),
            await call(server, task="i.other.a"),
            await call(server, b'{"task_id":"i.uuid.a","vote":"maybe"}'),
            await call(server),
            await call(server),
            await call(server, message="m2"),
        ]
    assert [(status, body.get("code")) for status, body in said] == [
        (401, "unauthorized"),
        (401, "unauthorized"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "unknown_task"),
        (400, "invalid_message"),
        (202, None),
        (401, "unauthorized"),
        (409, "already_voted"),
    ]
    assert "vote" in str(said[5][1]["message"])
    reasons = ["missing", "forged", "old", "another_voter", "unknown_task", "no_vote", "replayed", "already_voted"]
    assert [entry["why"] for entry in logs if entry["event"] == "callback_refused"] == reasons
    assert server.desk.refused == dict.fromkeys(reasons, 1)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_not_read(server: CallbackServer, chunked: bool) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * (BODY_LIMIT // 2)

    url = server.url_for(TASK, HERE)
    assert url
    data = parts() if chunked else b" " * (BODY_LIMIT + 1)
    async with ClientSession() as session, session.post(url, data=data) as response:
        assert response.status == 413
        assert (await response.json())["code"] == "too_large"


async def test_other_paths_and_methods_are_not_there(server: CallbackServer) -> None:
    async with ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{server.port}/v1/ballots/x") as response:
            assert response.status == 405
        async with session.post(f"http://127.0.0.1:{server.port}/") as response:
            assert response.status == 404


async def test_a_voter_elsewhere_is_given_no_url_of_our_loopback(server: CallbackServer) -> None:
    assert server.url_for(TASK, "https://voter.example/") is None
    assert server.url_for(TASK, "http://localhost:9/") == f"http://127.0.0.1:{server.port}/v1/ballots/{TASK}"


async def test_behind_a_proxy_voters_are_given_the_base_url() -> None:
    server = CallbackServer(CallbackSettings(base_url="https://magi.example/hooks/"), CallbackDesk())
    await server.start()
    try:
        assert server.url_for("t", "https://voter.example/") == "https://magi.example/hooks/v1/ballots/t"
    finally:
        await server.stop()


async def test_every_address_of_the_machine_needs_a_base_url() -> None:
    with pytest.raises(CannotTakeCallbacks, match="base_url"):
        await CallbackServer(CallbackSettings(host="0.0.0.0")).start()


async def test_a_port_that_is_taken_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = CallbackServer(CallbackSettings(port=taken.getsockname()[1]))
        with pytest.raises(CannotTakeCallbacks, match="port"):
            await server.start()


async def test_votes_of_many_at_once_go_to_their_tasks(server: CallbackServer) -> None:
    async def one(number: int) -> str:
        task = f"i.{number}.a"
        with server.desk.expecting(A, OF_A, task) as vote:
            body = json.dumps({"task_id": task, "vote": "pass", "reason": task}).encode()
            assert (await call(server, body, task=task, message=f"m{number}"))[0] == 202
            return str((await vote).reason)

    assert await asyncio.gather(*map(one, range(20))) == [f"i.{number}.a" for number in range(20)]
