"""Every limit of PROTOCOL §1 at its edge, and set to something else: as much passes, and no more."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from magi.gateway import wire
from magi.gateway.outbound import Outbound
from magi.gateway.settings import Limits
from tests.gateway.client import Client, Message, request
from tests.gateway.stack import QUICK, running
from tests.servers import NatsServer


def code(message: Message, limits: Limits) -> str:
    """The code of what is wrong with a message, or nothing."""
    incoming = wire.decode(json.dumps(message), limits)
    return incoming.error.code if incoming.error else ""


def metadata(size: int) -> dict[str, Any]:
    """Metadata of that many bytes, as it is measured: without blanks."""
    return {"a": "x" * (size - len('{"a":""}'))}


class TestOfARequest:
    @pytest.mark.parametrize("limit", [64, 1, 3])
    def test_voters(self, limit: int) -> None:
        limits = Limits(voters=limit)
        assert code(request(voter_list=["v"] * limit), limits) == ""
        assert code(request(voter_list=["v"] * (limit + 1)), limits) == "invalid_message"

    @pytest.mark.parametrize("limit", [4096, 10, 65_536])
    def test_metadata(self, limit: int) -> None:
        limits = Limits(metadata_bytes=limit)
        assert code(request(metadata=metadata(limit)), limits) == ""
        assert code(request(metadata=metadata(limit + 1)), limits) == "too_large"

    def test_metadata_is_measured_in_bytes_and_not_in_characters(self) -> None:
        assert code(request(metadata={"a": "ü" * 2044}), Limits()) == ""
        assert code(request(metadata={"a": "ü" * 2045}), Limits()) == "too_large"

    @pytest.mark.parametrize(("least", "most"), [(100, 86_400_000), (1, 100), (5_000, 5_000)])
    def test_time(self, least: int, most: int) -> None:
        limits = Limits(min_timeout_ms=least, max_timeout_ms=most)
        for timeout in (least, most):
            assert code(request(timeout_ms=timeout), limits) == ""
        for timeout in (least - 1, most + 1):
            assert code(request(timeout_ms=timeout), limits) == "invalid_message"

    def test_the_name(self) -> None:
        """128 characters, whatever they take in bytes. It is no setting: it is part of what a name is."""
        for kind in ("request", "resume"):
            assert code({**request("\U0001f600" * 128), "type": kind}, Limits()) == ""
            assert code({**request("x" * 129), "type": kind}, Limits()) == "invalid_message"

    def test_depth(self) -> None:
        def deep(levels: int) -> Message:
            value: Any = 1
            for _ in range(levels - 2):
                value = [value]
            return request(metadata={"a": value})

        assert code(deep(31), Limits()) == code(deep(32), Limits()) == ""
        assert code(deep(33), Limits()) == "invalid_json"


class TestOfAConnection:
    async def test_a_message(self, nats_server: NatsServer) -> None:
        limits = msgspec.structs.replace(QUICK, message_bytes=1024)
        empty = '{"type":"ping","x":""}'
        async with running(nats_server.url, limits) as stack, stack.client() as client:
            full = empty.replace('""', '"' + "x" * (1024 - len(empty)) + '"')
            assert await client.ask(full) == {"type": "pong"}
            await client.send(full + " ")
            assert await client.closed() == 1009

    async def test_open_requests(self, nats_server: NatsServer) -> None:
        limits = msgspec.structs.replace(QUICK, open_requests=2)
        async with running(nats_server.url, limits) as stack, stack.client() as client:
            for name in ("one", "two"):
                await client.send(request(name, metadata={"voter_1": "held"}))
                await client.until_type("acknowledged")
            await client.send(request("three"))
            assert (await client.until_type("error"))[-1]["code"] == "rate_limited"
            async with stack.client() as other:
                assert (await other.judged(request("four")))[-1]["final_vote"] == "pass"

    async def test_a_burst(self, nats_server: NatsServer) -> None:
        """Of the default's 400, and what is gained meanwhile: 200 a second."""
        async with running(nats_server.url, Limits()) as stack, stack.client() as client:
            began = asyncio.get_running_loop().time()
            for _ in range(400):
                await client.send({"type": "ping"})
            for _ in range(400):
                assert await client.receive() == {"type": "pong"}
            answers = 0
            while (await client.ask({"type": "ping"}))["type"] == "pong":
                answers += 1
            took = asyncio.get_running_loop().time() - began
            assert answers <= 200 * took

    async def test_errors_in_a_row(self, nats_server: NatsServer) -> None:
        limits = msgspec.structs.replace(QUICK, errors_in_a_row=2)
        async with running(nats_server.url, limits) as stack, stack.client() as client:
            for _ in range(2):
                assert (await client.ask("{"))["code"] == "invalid_json"
            assert await client.closed() == 4505

    async def test_connections_are_counted_by_initiator(self, nats_server: NatsServer) -> None:
        limits = msgspec.structs.replace(QUICK, connections=1)
        async with running(nats_server.url, limits) as stack, stack.client() as client:
            async with stack.client() as second:
                assert await second.closed() == 4504
            async with stack.client(await stack.add_initiator("other")) as other:
                assert await other.silent()
            async with Client.connect(stack.gateway.port) as nobody_yet:
                assert (await nobody_yet.ask({"type": "ping"}))["code"] == "unauthorized"
            assert await client.silent()


class _Deaf:
    """A connection on which nothing is ever taken."""

    remote_address = None

    class transport:  # noqa: N801
        @staticmethod
        def abort() -> None:
            pass

    async def send_texts(self, frames: list[bytes]) -> None:
        await asyncio.Event().wait()

    async def close(self, code: int, reason: str) -> None:
        pass


@pytest.mark.parametrize("limit", [1_048_576, 16_384])
async def test_the_outbound_queue(limit: int) -> None:
    """It may be full; what comes on top of that cuts the client off."""
    outbound = Outbound(_Deaf(), limit)  # type: ignore[arg-type]
    for _ in range(16):
        outbound.send(b"x" * (limit // 16))
        await asyncio.sleep(0)
    outbound.send(b"x")
    before = outbound.closing
    outbound.send(b"x")
    assert (before, outbound.closing) == (False, True)
    await outbound.finished()
