"""The server's sync interval: read from a real server's monitoring endpoint and compared with what is declared."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest

from magi.eventstore.declarations import DeclarationError, load_declarations
from magi.eventstore.differences import Difference
from magi.eventstore.durability import MonitorError, live_sync_interval, parse_sync_interval, sync_differences
from magi.eventstore.streams import WeakerStreams, apply, check
from tests.servers import NatsServer


@pytest.mark.parametrize(
    ("configured", "live"),
    [("sync_interval: always", "always"), ("sync: always", "always"), ("sync_interval: 10s", "10s"), ("", "2m")],
)
async def test_the_live_sync_interval_is_what_the_server_was_configured_with(
    tmp_path: Path, configured: str, live: str
) -> None:
    with NatsServer(tmp_path, jetstream=configured) as server:
        assert str(await live_sync_interval(server.monitor_url)) == live


@pytest.mark.parametrize(
    ("declared", "live", "weaker"),
    [
        ("always", "always", None),
        ("always", "10s", True),
        ("10s", "always", False),
        ("10s", "10s", None),
        ("2m", "10s", False),
        ("1s", "10s", True),
        ("any", "10s", None),
    ],
)
async def test_a_longer_interval_than_declared_is_weaker_and_a_shorter_one_only_differs(
    tmp_path: Path, declared: str, live: str, weaker: bool | None
) -> None:
    with NatsServer(tmp_path, jetstream=f"sync_interval: {live}") as server:
        found = await sync_differences(server.monitor_url, declared)
    expected = [] if weaker is None else [Difference("nats-server", "sync_interval", declared, live, weaker)]
    assert found == expected


async def test_what_cannot_be_verified_is_weaker_and_says_what_to_set() -> None:
    (difference,) = await sync_differences("", "always")
    assert difference.weaker
    for name in ("nats.monitor_url", "MAGI_NATS_MONITOR_URL", "nats.sync_interval", "MAGI_NATS_SYNC_INTERVAL"):
        assert name in difference.live


async def test_a_server_that_does_not_answer_is_weaker_and_named(tmp_path: Path) -> None:
    with NatsServer(tmp_path) as server:
        url = server.monitor_url
    (difference,) = await sync_differences(url, "always")
    assert difference.weaker
    assert url in difference.live


@pytest.mark.parametrize("url", ["file:///etc/hostname", "127.0.0.1:8222", "http://[::1", "http://127.0.0.1:port"])
async def test_an_address_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(MonitorError):
        await live_sync_interval(url)


async def test_nothing_is_asked_when_any_interval_will_do() -> None:
    assert await sync_differences("http://127.0.0.1:1", "any") == []


@pytest.mark.parametrize("text", ["", "sometimes", "2"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_sync_interval(text)


async def test_a_declared_interval_that_is_none_names_its_setting() -> None:
    with pytest.raises(
        DeclarationError, match=r"nats\.sync_interval: 'always', 'any', or expected a duration .*'often'"
    ):
        await sync_differences("http://127.0.0.1:1", "often")


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[bytes]]]:
    """A web server that is not nats-server, and the body that it answers with."""
    body = [b"<html>"]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body[0])

        def log_message(self, *args: object) -> None:
            """Silent."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", body
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>", "does not answer like nats-server"),
        (b"\xff", "does not answer like nats-server"),
        (b'{"disabled": true, "config": {}}', "JetStream is off"),
        (b'{"config": {"max_memory": 1}}', "does not say the sync_interval"),
    ],
)
async def test_an_answer_without_an_interval_is_an_error(
    stranger: tuple[str, list[bytes]], body: bytes, message: str
) -> None:
    url, answer = stranger
    answer[0] = body
    with pytest.raises(MonitorError, match=message):
        await live_sync_interval(url)


async def test_check_refuses_a_server_that_syncs_later_than_declared(fresh_nats: NatsServer) -> None:
    client = await nats.connect(fresh_nats.url)
    declarations = load_declarations()
    await apply(client, declarations)
    await check(client, declarations, monitor_url=fresh_nats.monitor_url, sync_interval="2m")
    with pytest.raises(WeakerStreams, match="nats-server: sync_interval is 2m, declared always"):
        await check(client, declarations, monitor_url=fresh_nats.monitor_url, sync_interval="always")
    with pytest.raises(WeakerStreams, match="MAGI_NATS_MONITOR_URL"):
        await check(client, declarations, sync_interval="always")
    await client.close()
