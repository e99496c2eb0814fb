"""Calls to registered URLs, against real servers on loopback."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web

from magi.webhooks.addresses import WITH_PRIVATE
from magi.webhooks.client import AnswerTooLarge, CallFailed, CallRefused, open_session, post
from tests.webhooks.service import Names, answers, drop, serving, status


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    """One that may call loopback."""
    async with open_session(WITH_PRIVATE) as session:
        yield session


@pytest.fixture
async def public() -> AsyncIterator[ClientSession]:
    async with open_session() as session:
        yield session


async def test_json_is_posted_and_the_answer_read(session: ClientSession) -> None:
    async with serving(answers(status(201, "made", X_Kind="new"))) as service:
        answer = await post(session, service.url + "/judge", b"{}", {"X-Mine": "1"}, seconds=5)
    assert (answer.status, answer.body, answer.headers["x-kind"]) == (201, b"made", "new")
    (seen,) = service.seen
    assert (seen.path, seen.body) == ("/judge", b"{}")
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["x-mine"] == "1"
    assert seen.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "169.254.169.254",
        "10.0.0.1",
    ],
)
async def test_no_spelling_of_a_private_address_is_called(public: ClientSession, host: str) -> None:
    async with serving(answers(status(200))) as service:
        port = service.url.rpartition(":")[2]
        with pytest.raises(CallRefused):
            await post(public, f"http://{host}:{port}/", b"{}", {}, seconds=5)
    assert service.seen == []


async def test_a_name_that_stands_for_a_private_address_is_not_called() -> None:
    async with serving(answers(status(200))) as service, open_session(resolver=Names(["127.0.0.1"])) as session:
        port = service.url.rpartition(":")[2]
        with pytest.raises(CallRefused, match="loopback"):
            await post(session, f"http://voter.example:{port}/", b"{}", {}, seconds=5)
    assert service.seen == []


async def test_while_an_allowed_address_is_down_the_name_may_work_later() -> None:
    names = Names(["127.0.0.1", "169.254.169.254"])
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://voter.example:{closed.getsockname()[1]}/"
        async with open_session(WITH_PRIVATE, names) as session:
            with pytest.raises(CallFailed, match="refused"):
                await post(session, url, b"{}", {}, seconds=5)


async def test_of_a_names_addresses_only_those_allowed_are_called() -> None:
    names = Names(["169.254.169.254", "127.0.0.1"])
    async with serving(answers(status(200))) as service, open_session(WITH_PRIVATE, names) as session:
        port = service.url.rpartition(":")[2]
        answer = await post(session, f"http://voter.example:{port}/", b"{}", {}, seconds=5)
    assert answer.status == 200


async def test_a_name_that_changes_what_it_stands_for_is_checked_again() -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    handler = answers(status(200, Connection="close"))
    async with serving(handler) as service, open_session(WITH_PRIVATE, names) as session:
        port = int(service.url.rpartition(":")[2])
        await post(session, f"http://voter.example:{port}/", b"{}", {}, seconds=5)
        with pytest.raises(CallRefused, match="link-local"):
            await post(session, f"http://voter.example:{port + 1}/", b"{}", {}, seconds=5)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "voter", "http://a:b@localhost/", "http://"])
async def test_what_is_no_url_is_refused(session: ClientSession, url: str) -> None:
    with pytest.raises(CallRefused):
        await post(session, url, b"{}", {}, seconds=5)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirects_are_answers_and_not_followed(session: ClientSession, code: int) -> None:
    async with (
        serving(answers(status(200))) as target,
        serving(answers(status(code, Location=target.url))) as service,
    ):
        answer = await post(session, service.url, b"{}", {}, seconds=5)
    assert answer.status == code
    assert target.seen == []


async def test_proxies_of_the_environment_are_not_used(session: ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(answers(status(502))) as proxy, serving(answers(status(200))) as service:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("no_proxy", "")
        async with open_session(WITH_PRIVATE) as fresh:
            answer = await post(fresh, service.url, b"{}", {}, seconds=5)
    assert answer.status == 200
    assert proxy.seen == []


async def test_no_cookie_is_kept() -> None:
    names = Names(["127.0.0.1"])
    handler = answers(status(200, Set_Cookie="a=b; Path=/"))
    async with serving(handler) as service, open_session(WITH_PRIVATE, names) as session:
        url = "http://voter.example:" + service.url.rpartition(":")[2]
        await post(session, url, b"{}", {}, seconds=5)
        await post(session, url, b"{}", {}, seconds=5)
    assert "cookie" not in service.seen[1].headers


async def test_a_huge_answer_is_not_read(session: ClientSession) -> None:
    async with serving(answers(status(200, "x" * 70_000))) as service:
        with pytest.raises(AnswerTooLarge):
            await post(session, service.url, b"{}", {}, seconds=5)
        assert len((await post(session, service.url, b"{}", {}, seconds=5, body_limit=70_000)).body) == 70_000


async def test_an_endless_answer_is_not_read_to_its_end(session: ClientSession) -> None:
    stopped = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        except (ConnectionError, asyncio.CancelledError):
            stopped.set()
            raise

    async with serving(endless) as service:
        with pytest.raises(AnswerTooLarge):
            await post(session, service.url, b"{}", {}, seconds=5)
        await asyncio.wait_for(stopped.wait(), 30)


async def test_a_packed_answer_is_not_unpacked(session: ClientSession) -> None:
    packed = gzip.compress(bytes(10_000_000))

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with serving(answer) as service:
        assert (await post(session, service.url, b"{}", {}, seconds=5)).body == packed


async def test_a_slow_answer_is_not_waited_for(session: ClientSession) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:  # a byte now and then keeps a connection busy for ever
            await response.write(b" ")
            await asyncio.sleep(0.05)

    async with serving(slow) as service:
        with pytest.raises(CallFailed, match=r"within 0\.3 s"):
            await post(session, service.url, b"{}", {}, seconds=0.3)


async def test_broken_connections_and_closed_ports_are_failures_without_the_host_in_them(
    session: ClientSession,
) -> None:
    async with serving(drop) as service:
        with pytest.raises(CallFailed, match="no answer"):
            await post(session, service.url, b"{}", {}, seconds=5)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(CallFailed, match=r"^no answer: connection refused$"):
            await post(session, f"http://127.0.0.1:{closed.getsockname()[1]}", b"{}", {}, seconds=5)


async def test_what_speaks_no_http_is_a_failure(session: ClientSession) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK ready\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with server:
        with pytest.raises(CallFailed):
            await post(session, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", b"{}", {}, seconds=5)
