"""Whoever knocks in a way that isn't done: HTTP that is none, too much of it, too slowly, or from another's page."""

import asyncio
import gc
import os

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from magi.gateway.server import Gateway
from magi.gateway.settings import GatewaySettings
from tests.gateway.client import Client
from tests.gateway.hostile.raw import Raw, handshake
from tests.gateway.hostile.target import Target, attacked
from tests.gateway.stack import PARTITIONS, QUICK
from tests.servers import NatsServer
from tests.waiting import stopwatch, until

OURS = "https://magi.example.org"

GARBAGE = {
    "bytes at random": (os.urandom(2_000) + b"\r\n\r\n", {0, 400}),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 512 + b"\r\n\r\n", {0, 400}),
    "HTTP/0.9": (b"GET /v1/initiator\r\n\r\n", {0, 400}),
    "HTTP/1.0": (b"GET /v1/initiator HTTP/1.0\r\n\r\n", {0, 400, 505}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {0, 400, 405, 505}),
    "POST": (handshake(None).replace(b"GET", b"POST"), {405}),
    "no upgrade": (b"GET /v1/initiator HTTP/1.1\r\nHost: gateway\r\n\r\n", {426}),
    "no key": (handshake(None).replace(b"Sec-WebSocket-Key", b"X-Key"), {400}),
    "a key that is none": (handshake(None).replace(b"Sec-WebSocket-Key: ", b"Sec-WebSocket-Key: x"), {400}),
    "version 8": (handshake(None).replace(b"Version: 13", b"Version: 8"), {400, 426}),
    "a header of 9,000 bytes": (handshake(None, "X-Long: " + "x" * 9_000), {431}),
    "200 headers": (handshake(None, *(f"X-{n}: x" for n in range(200))), {431}),
    "a path of 9,000 bytes": (handshake(None, path="/" + "x" * 9_000), {414}),
    "a header without a name": (handshake(None, ": x"), {0, 400}),
    "a header without a colon": (handshake(None, "nonsense"), {0, 400}),
    "a header over two lines": (handshake(None, "X-A: b", " c"), {0, 400}),
    "a NUL in a header": (handshake(None, "X-A: a\0b"), {0, 400}),
    "a body": (handshake(None, "Content-Length: 5") + b"hello", {0, 400, 413}),
    "a body in chunks": (handshake(None, "Transfer-Encoding: chunked") + b"0\r\n\r\n", {0, 400, 501}),
    "two tokens": (handshake("magi_i_x", "Authorization: Bearer magi_i_y"), {401}),
    "control characters in the token": (handshake("magi_i_\x1b[31m"), {0, 400, 401}),
    "a path out of the house": (handshake(None, path="/v1/../../etc/passwd"), {404}),
    "a line end in the path": (handshake(None, path="/healthz%0d%0aX-A:%20b"), {404}),
}


@pytest.mark.parametrize(("data", "answers"), GARBAGE.values(), ids=GARBAGE)
async def test_what_is_no_handshake_is_not_let_in(target: Target, data: bytes, answers: set[int]) -> None:
    """0: the connection is ended without an answer."""
    async with Raw.connect(target.port) as raw:
        raw.write(data)
        status, head = await raw.answer()
        assert status in answers
        assert "X-A" not in head


class TestSlowness:
    async def test_a_handshake_byte_by_byte_has_its_time(self, nats_server: NatsServer) -> None:
        limits = msgspec.structs.replace(QUICK, handshake_seconds=0.3)
        async with attacked(nats_server.url, limits) as target, Raw.connect(target.port) as raw:

            async def drip() -> None:
                for byte in handshake(target.token):
                    raw.write(bytes([byte]))
                    await asyncio.sleep(0.01)

            dripping = asyncio.create_task(drip())
            await target.witness()
            async with stopwatch() as watch:
                assert (await raw.answer())[0] == 0
            assert watch.seconds < 1.3
            dripping.cancel()

    async def test_a_hundred_who_say_nothing_keep_nobody_waiting(self, nats_server: NatsServer) -> None:
        limits = msgspec.structs.replace(QUICK, handshake_seconds=0.5)
        async with attacked(nats_server.url, limits) as target:
            silent = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(100)]
            await target.witness()
            async with target.client() as client:
                assert await client.silent()
            for reader, writer in silent:
                async with asyncio.timeout(30):
                    assert await reader.read() == b""
                writer.close()

    async def test_a_hundred_who_come_and_go_leave_nothing(self, target: Target) -> None:
        for cut in range(100):
            async with Raw.connect(target.port) as raw:
                raw.write(handshake(target.token)[: 2 * cut])
                await raw.writer.drain()

        async def gone() -> bool:
            gc.collect()
            return len(target.stack.gateway._connections) == 1

        await until(gone, "their connections are forgotten")

    async def test_one_who_lets_itself_in_and_never_says_who_it_is(self, nats_server: NatsServer) -> None:
        limits = msgspec.structs.replace(QUICK, authentication_seconds=0.3)
        async with attacked(nats_server.url, limits) as target, Raw.open(target.port, None) as raw:
            assert await raw.closed() == 4502


class TestOrigins:
    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "", "http://127.0.0.1:8765", "file://", OURS + ".evil.example", "*"]
    )
    async def test_no_page_is_welcome_unless_it_is_named(self, target: Target, origin: str) -> None:
        async with Raw.connect(target.port) as raw:
            raw.write(handshake(target.token, f"Origin: {origin}"))
            status, head = await raw.answer()
            assert status == 403
            assert "Access-Control" not in head

    async def test_a_page_that_is_named_is_let_in_and_another_is_not(self, target: Target) -> None:
        settings = GatewaySettings(port=0, limits=QUICK, origins=(OURS,))
        bus = await target.stack.connect("origins")
        gateway = Gateway(bus, settings, partitions=PARTITIONS, panel_size=5, default_group="default")
        await gateway.start()
        try:
            async with Client.connect(gateway.port, target.token, origin=OURS) as client:
                assert await client.silent()
            for origin in [OURS + ".evil.example", OURS + ":8443", OURS.upper(), f"{OURS}/"]:
                with pytest.raises(InvalidStatus, match="403"):
                    async with Client.connect(gateway.port, target.token, origin=origin):
                        pass
            async with Raw.connect(gateway.port) as raw:
                raw.write(handshake(target.token, f"Origin: {OURS}", f"Origin: {OURS}"))
                assert (await raw.answer())[0] == 403
        finally:
            await gateway.stop()

    def test_only_an_origin_can_be_named(self) -> None:
        for text in ["*", "null", "example.org", "https://example.org/page", "https://EXAMPLE.org"]:
            with pytest.raises(msgspec.ValidationError, match="origins"):
                msgspec.convert({"origins": [text]}, GatewaySettings)


class TestVersions:
    async def test_only_other_subprotocols_are_a_bad_request(self, target: Target) -> None:
        for offered in ["magi.v2", "MAGI.V1", "magi.v1x, mqtt"]:
            async with Raw.connect(target.port) as raw:
                raw.write(handshake(target.token, f"Sec-WebSocket-Protocol: {offered}"))
                assert (await raw.answer())[0] == 400

    @pytest.mark.parametrize("path", ["/v2/initiator", "/v0/voter", "/v11/initiator?x=1"])
    async def test_another_version_is_closed_with_4506(self, target: Target, path: str) -> None:
        async with target.client(path=path) as client:
            assert await client.closed() == 4506


class TestTooManyConnections:
    async def test_as_many_as_allowed_are_let_in_and_one_more_is_closed_with_4504(
        self, nats_server: NatsServer
    ) -> None:
        limits = msgspec.structs.replace(QUICK, connections=2)
        async with attacked(nats_server.url, limits) as target, target.client() as one:
            async with target.client() as two:
                async with target.client() as three:
                    assert await three.closed() == 4504
                async with Client.connect(target.port) as four:
                    await four.send({"type": "authenticate", "token": target.token})
                    assert await four.closed() == 4504
                assert await one.silent()
                assert await two.silent()

            async def room() -> bool:
                async with target.client() as five:
                    await five.send({"type": "ping"})
                    try:
                        return bool(await five.receive() == {"type": "pong"})
                    except ConnectionClosed:
                        return False

            await until(room, "there is room again")
