"""Too much of what would be fine once."""

import asyncio
import json
from collections import Counter

import pytest

from magi.gateway.settings import Limits
from tests.gateway.client import Client, Message, request
from tests.gateway.hostile.raw import CLOSE, PING, PONG, frame
from tests.gateway.hostile.target import Target, attacked
from tests.gateway.stack import PANEL
from tests.servers import NatsServer

HELD = {"voter_1": "held"}


async def test_ten_thousand_requests_with_one_id_are_one_request(nats_server: NatsServer) -> None:
    """With the default limits: 25 connections that send as many as a burst may have, and read what they get."""
    async with attacked(nats_server.url, Limits()) as target:
        target.accepted.add("abc123")
        text = json.dumps(request())

        async def hammer() -> Counter[str]:
            """What came, by its kind, up to the answer to a ping behind everything."""
            async with target.client() as client:
                for _ in range(399):
                    await client.send(text)
                return await counted(client)

        hammering = [asyncio.create_task(hammer()) for _ in range(25)]
        await target.witness()
        came = sum(await asyncio.gather(*hammering), Counter())
        assert set(came) <= {"acknowledged", "voter_progress", "voter_result", "final_result", "pong"}
        assert came["pong"] == 25
        await target.stack.until_stored("abc123", 8)
        assert [target.stack.judged[voter] for voter in PANEL] == [3, 3, 3]  # two are the witness's
        assert len(await target.stack.stored("abc123")) == 8


async def counted(client: Client) -> Counter[str]:
    await client.send({"type": "ping"})
    counts: Counter[str] = Counter()
    while not counts["pong"]:
        counts[(await client.receive())["type"]] += 1
    return counts


async def test_ten_thousand_with_one_id_on_one_connection_end_it_with_4003(nats_server: NatsServer) -> None:
    async with attacked(nats_server.url, Limits()) as target:
        target.accepted.add("abc123")
        async with target.raw() as raw:
            raw.write(frame(json.dumps(request())) * 10_000)
            await target.witness()
            assert await raw.closed() == 4003
        assert len(await target.stack.stored("abc123")) == 8


async def test_ten_thousand_pings_of_ours_end_the_connection_with_4003(nats_server: NatsServer) -> None:
    async with attacked(nats_server.url, Limits()) as target, target.raw() as raw:
        raw.write(frame('{"type":"ping"}') * 10_000)
        await target.witness()
        assert await raw.closed() == 4003


@pytest.mark.parametrize("text", ["{", '{"type":"x"}', '{"type":"resume","request_id":"x"}', "[" * 40_000])
async def test_errors_end_the_connection_at_the_tenth(target: Target, text: str) -> None:
    async with target.raw() as raw:
        raw.write(frame(text) * 1_000 + frame(json.dumps(request("too late"))))
        codes = []
        while (found := await raw.next()) and found.opcode not in (CLOSE, PING, PONG):
            codes.append(json.loads(found.payload)["code"])
        assert len(codes) == 10
        assert found
        assert found.payload[:2] == (4505).to_bytes(2, "big")


async def test_a_thousand_resumes_of_a_long_history_keep_nobody_else_waiting(target: Target) -> None:
    target.accepted.add("abc123")
    async with target.client() as client:
        await client.judged(request(metadata={"padding": 4_000}))
        for _ in range(1_000):
            await client.send({"type": "resume", "request_id": "abc123"})
        await target.witness()
        for _ in range(10):
            await client.until_type("resumed")


async def test_one_that_conflicts_with_itself_a_hundred_times_is_judged_once(target: Target) -> None:
    target.accepted.add("abc123")
    async with target.client() as one, target.client() as two:
        for client in (one, two):
            for number in range(9):
                await client.send(request(agent_answer=f"answer {number % 2}"))
        last: list[Message] = []
        for client in (one, two):
            last.append((await client.until_type("final_result"))[-1])
        assert last[0] == last[1]
    assert [target.stack.judged[voter] for voter in PANEL] == [2, 2, 2]  # the witness's, too


async def test_connections_that_come_and_go_by_the_hundred_leave_nothing(target: Target) -> None:
    async def come(number: int) -> None:
        async with target.client() as client:
            await client.send(request("held", metadata=HELD))
            if number % 2:
                client.connection.transport.abort()

    target.accepted.add("held")
    for _ in range(10):
        await asyncio.gather(*(come(number) for number in range(20)))
    target.stack.release("held")
    await target.stack.until_stored("held", 8)
