"""`/readyz` is red when NATS doesn't answer, the streams are not as declared, or live events can't come; and the public
port shows nothing else."""

import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from magi.eventstore import streams
from magi.gateway import readiness
from tests.gateway.hostile.raw import Raw, handshake
from tests.gateway.stack import Stack, running
from tests.servers import NatsServer
from tests.waiting import until

NO_LIVE = """
authorization {
  users: [{user: anybody, password: anything, permissions: {subscribe: {deny: "magi.live.>"}}}]
}
no_auth_user: anybody
"""


@pytest.fixture(autouse=True)
def _answers_that_do_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "KEPT", 0.0)


@pytest.fixture
async def stack(fresh_nats: NatsServer) -> AsyncIterator[Stack]:
    async with running(fresh_nats.url) as stack:
        yield stack


async def get(stack: Stack, path: str, method: str = "GET") -> tuple[int, str]:
    """An HTTP answer's status and head."""
    async with Raw.connect(stack.gateway.port) as raw:
        raw.write(f"{method} {path} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
        return await raw.answer()


async def until_ready(stack: Stack, status: int = 200) -> None:
    async def found() -> bool:
        return (await get(stack, "/readyz"))[0] == status

    await until(found, f"/readyz says {status}", 30)


async def configuration(stack: Stack, name: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(await stack.bus.request(f"$JS.API.STREAM.INFO.{name}"))["config"]
    return config


class TestNats:
    async def test_one_that_hangs_is_no_nats(
        self, stack: Stack, fresh_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its connection is there still: for half a minute only the missing answers tell."""
        monkeypatch.setattr(readiness, "WITHIN", 0.2)
        await until_ready(stack)
        os.kill(fresh_nats.pid, signal.SIGSTOP)
        try:
            assert (await get(stack, "/readyz"))[0] == 503
            assert (await get(stack, "/healthz"))[0] == 200
        finally:
            os.kill(fresh_nats.pid, signal.SIGCONT)
        await until_ready(stack)

    async def test_one_that_comes_back_is_one(self, stack: Stack, fresh_nats: NatsServer) -> None:
        fresh_nats.kill()
        await until_ready(stack, 503)
        fresh_nats.start()
        await until_ready(stack)


class TestStreams:
    async def test_one_that_is_missing(self, stack: Stack) -> None:
        config = await configuration(stack, "MAGI_INBOX")
        await until_ready(stack)
        await stack.delete_stream("MAGI_INBOX")
        assert (await get(stack, "/readyz"))[0] == 503
        await stack.bus.request("$JS.API.STREAM.CREATE.MAGI_INBOX", json.dumps(config).encode())
        await until_ready(stack)

    async def test_one_that_no_longer_tells_its_events(self, stack: Stack) -> None:
        """The log without `republish`: no live event would ever come."""
        config = await configuration(stack, "MAGI_LOG")
        await stack.change_stream("MAGI_LOG", republish=None)
        assert (await get(stack, "/readyz"))[0] == 503
        await stack.change_stream("MAGI_LOG", republish=config["republish"])
        await until_ready(stack)

    async def test_the_presence_bucket_may_be_missing(self, stack: Stack) -> None:
        await stack.orchestrator.stop()  # it would make it again
        await stack.delete_stream("KV_magi_presence")
        assert (await get(stack, "/readyz"))[0] == 200


async def test_who_may_not_listen_to_live_events_is_not_ready(fresh_nats: NatsServer) -> None:
    fresh_nats.stop()
    with NatsServer(fresh_nats.directory, config=NO_LIVE) as nats:
        async with running(nats.url) as stack:
            assert (await get(stack, "/readyz"))[0] == 503
            assert (await get(stack, "/healthz"))[0] == 200


async def test_nats_is_asked_once_however_many_ask(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "KEPT", 10.0)
    asked = 0
    check = streams.check

    async def counted(*arguments: Any) -> None:
        nonlocal asked
        asked += 1
        await check(*arguments)

    monkeypatch.setattr(readiness, "check", counted)
    for _ in range(20):
        assert (await get(stack, "/readyz"))[0] == 200
    assert asked == 1


async def test_the_public_port_shows_nothing_else(stack: Stack, subtests: pytest.Subtests) -> None:
    for path in ("/metrics", "/healthz/", "/readyz/x", "/v1", "/v1/voter/x", "/favicon.ico", "/.env", "//", "/%2e%2e/"):
        for request in (f"GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode(), handshake(stack.token, path=path)):
            with subtests.test(path=path):
                async with Raw.connect(stack.gateway.port) as raw:
                    raw.write(request)
                    assert (await raw.answer())[0] == 404


async def test_no_answer_says_what_serves_it(stack: Stack, subtests: pytest.Subtests) -> None:
    asked = [
        b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"GET /readyz HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"GET /v1/initiator HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"GET /other HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"nonsense\r\n\r\n",
        handshake(None),
        handshake("magi_i_wrong"),
        handshake(None, "Sec-WebSocket-Protocol: other"),
    ]
    for request in asked:
        with subtests.test(request=request[:40]):
            async with Raw.connect(stack.gateway.port) as raw:
                raw.write(request)
                status, head = await raw.answer()
                body = b"" if status == 101 else await raw.reader.read(1000)
            said = (head + body.decode()).lower()
            assert "server:" not in said
            assert not [word for word in ("python", "websockets/", "magi/", "traceback", "nats") if word in said], said
