"""The connection of `magi submit` against gateways that behave as one doesn't wish for: a real server with a script."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from magi.cli import submit_client
from magi.cli.context import NotRunning, ServeNote, write_note
from magi.cli.conversation import Conversation, End, FinalResult, Show
from magi.cli.local_token import token_file
from magi.cli.submit_client import Address, SubmitFailed, find_gateway, follow
from magi.embedded import DataDir

REQUEST = '{"type":"request","request_id":"r"}'
AT = "2026-01-31T12:00:00.000Z"
EVENTS = [
    json.dumps({"type": "acknowledged", "request_id": "r", "seq": 1, "at": AT, "voters": ["v"]}),
    json.dumps({"type": "voter_result", "request_id": "r", "seq": 2, "at": AT, "voter_id": "v", "vote": "pass"}),
    json.dumps({"type": "final_result", "request_id": "r", "seq": 3, "at": AT, "final_vote": "pass"}),
]

Script = Callable[[ServerConnection, int], Awaitable[None]]


class Gateway:
    """Plays `script(connection, number)` for each connection, and keeps what clients send first."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.openings: list[str] = []
        self.address = Address("", "token")
        self._server: Server | None = None

    async def __aenter__(self) -> "Gateway":
        self._server = await serve(self._play, "127.0.0.1", 0)
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.address = Address(f"ws://127.0.0.1:{port}", "token")
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server
        self._server.close()
        await self._server.wait_closed()

    async def _play(self, connection: ServerConnection) -> None:
        self.openings.append(await connection.recv(decode=True))
        await self._script(connection, len(self.openings))


async def follow_at(gateway: Gateway, timeout: float = 5.0) -> tuple[FinalResult, list[Show | End], list[str]]:
    shown: list[Show | End] = []
    told: list[str] = []
    verdict = await follow(Conversation("r", REQUEST), lambda: gateway.address, shown.append, told.append, timeout)
    return verdict, shown, told


async def test_it_resumes_where_the_connection_broke() -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await connection.send(EVENTS[number - 1])
        if number < 3:
            connection.transport.abort()

    async with Gateway(script) as gateway:
        verdict, shown, told = await follow_at(gateway)
    assert verdict.final_vote == "pass"
    assert [step.frame for step in shown] == EVENTS
    assert gateway.openings[0] == REQUEST
    assert [json.loads(opening).get("after_seq") for opening in gateway.openings[1:]] == [1, 2]
    assert [text.rpartition(":")[2].strip() for text in told] == ["connecting again", "connected again"] * 2


async def test_a_gateway_that_closes_every_connection_is_left_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit_client, "MARGIN", 1.5)

    async def script(connection: ServerConnection, number: int) -> None:
        await connection.close(1000)

    async with Gateway(script) as gateway:
        with pytest.raises(SubmitFailed, match="no verdict came in time: the connection was closed"):
            await follow_at(gateway, timeout=1.0)
    assert 2 <= len(gateway.openings) <= 7  # 0.1, 0.2, 0.4 s … apart


@pytest.mark.parametrize("code", [4502, 4505, 4507, 1003, 1009])
async def test_a_close_code_that_says_so_ends_it(code: int) -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await connection.close(code, "because")

    async with Gateway(script) as gateway:
        with pytest.raises(SubmitFailed, match=r"because|too_large"):
            await follow_at(gateway)
    assert len(gateway.openings) == 1


@pytest.mark.parametrize("code", [4001, 1012, 1013])
async def test_a_close_code_that_says_so_is_followed_by_another_connection(code: int) -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        if number == 1:
            await connection.close(code)
        for event in EVENTS:
            await connection.send(event)

    async with Gateway(script) as gateway:
        verdict, _, _ = await follow_at(gateway)
    assert verdict.final_vote == "pass"


async def test_what_is_missing_is_asked_for() -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await connection.send(EVENTS[0])
        await connection.send(EVENTS[2])
        assert json.loads(await connection.recv())["after_seq"] == 1
        for event in EVENTS[1:]:
            await connection.send(event)

    async with Gateway(script) as gateway:
        _, shown, _ = await follow_at(gateway)
    assert [step.frame for step in shown] == EVENTS


async def test_what_may_be_tried_again_is() -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        refusal = {"type": "error", "code": "unavailable", "message": "m", "retryable": True, "retry_after_ms": 10}
        await connection.send(json.dumps(refusal))
        assert await connection.recv() == REQUEST
        for event in EVENTS:
            await connection.send(event)

    async with Gateway(script) as gateway:
        verdict, _, told = await follow_at(gateway)
    assert verdict.final_vote == "pass"
    assert told == ["unavailable: m"]


async def test_the_deadline_counts_from_the_reception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit_client, "MARGIN", 1.5)

    async def script(connection: ServerConnection, number: int) -> None:
        await asyncio.sleep(1.6)  # as one whose request waited for an orchestrator
        await connection.send(EVENTS[0])
        await asyncio.sleep(1.6)
        await connection.send(EVENTS[1])
        await connection.send(EVENTS[2])

    async with Gateway(script) as gateway:
        verdict, _, _ = await follow_at(gateway, timeout=1.5)
    assert verdict.final_vote == "pass"


async def test_silence_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit_client, "MARGIN", 0.1)

    async def script(connection: ServerConnection, number: int) -> None:
        await connection.wait_closed()

    async with Gateway(script) as gateway:
        with pytest.raises(SubmitFailed, match=r"no verdict came in time\Z"):
            await follow_at(gateway, timeout=0.1)


async def test_what_does_not_speak_the_protocol_is_told_so() -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        await connection.send("hello")
        await connection.wait_closed()

    async with Gateway(script) as gateway:
        with pytest.raises(SubmitFailed, match="is no gateway"):
            await follow_at(gateway)


async def test_where_nobody_listens_it_tries_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit_client, "CONNECT_WITHIN", 0.2)

    async def script(connection: ServerConnection, number: int) -> None: ...

    async with Gateway(script) as gateway:
        pass
    with pytest.raises(SubmitFailed, match=r"can't connect to ws://127\.0\.0\.1:.*refused"):
        await follow_at(gateway)


@pytest.mark.parametrize("url", ["http://localhost", "localhost:1", "ws://", "nonsense"])
async def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SubmitFailed, match="can't be the address of a gateway"):
        await follow(Conversation("r", REQUEST), lambda: Address(url, "t"), lambda _: None, lambda _: None, 1)


@pytest.mark.parametrize("token", ["two words", "umlaut-ü", "line\n", ""])
def test_a_token_that_can_not_be_one_is_refused(token: str, tmp_path: Path) -> None:
    with pytest.raises(SubmitFailed, match="token"):
        find_gateway(tmp_path, "ws://127.0.0.1:1", token)


async def test_a_magi_that_is_starting_is_waited_for(tmp_path: Path) -> None:
    async def script(connection: ServerConnection, number: int) -> None:
        for event in EVENTS:
            await connection.send(event)

    told: list[str] = []
    async with Gateway(script) as gateway:
        with DataDir.open(tmp_path / "data") as data:
            token_file(data.path).write_text("token")

            def tell(what: str) -> None:
                told.append(what)
                write_note(data.path, ServeNote(url=gateway.address.url, settings={}))  # now it is ready

            where = lambda: find_gateway(data.path, None, None)  # noqa: E731
            verdict = await follow(Conversation("r", REQUEST), where, lambda step: None, tell, 30.0)
    assert verdict.final_vote == "pass"
    (waits,) = told
    assert waits.endswith("is not ready: it is being started, or stopped; waiting for it")


async def test_one_that_never_gets_ready_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit_client, "STARTS_WITHIN", 0.3)
    with DataDir.open(tmp_path / "data") as data, pytest.raises(NotRunning, match="`magi doctor` and its logs"):
        await follow(Conversation("r", REQUEST), lambda: find_gateway(data.path, None, None), print, print, 30.0)
