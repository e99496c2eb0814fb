"""Many clients that don't read, at a `magi gateway` process: they cost others nothing and the gateway a bounded lot."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import psutil

from magi.domain import voter_commands as voters
from magi.eventstore.directory import change_voter
from magi.eventstore.presence import now_ms
from tests.gateway.client import Client, request, seqs
from tests.gateway.deaf import deaf_client
from tests.gateway.process import gateway_process
from tests.gateway.stack import PARTITIONS, Stack

DEAF = 20
QUESTIONS = 100
VOTERS = 60
QUEUE = 262_144
SETTINGS = {"limits_outbound_bytes": QUEUE, "limits_stuck_seconds": 2.0, "orchestrator__partitions": PARTITIONS}
_ELSE = 16 << 20
"""Bytes that a gateway may grow by for other reasons: the first connections of its life, and the requests."""


async def test_many_that_do_not_read_are_cut_off_and_nobody_else_waits(stack: Stack, tmp_path: Path) -> None:
    for number in range(VOTERS):  # the answer to a short question is 60 KB
        name = f"long-{number}"
        command = voters.Register(name, "websocket", "x" * 1000, "nobody", "", "test", now_ms())
        await change_voter(stack.directory, command)
    async with (
        gateway_process(tmp_path / "gateway", stack.nats_url, **SETTINGS) as gateway,
        AsyncExitStack() as exits,
        Client.connect(gateway.port, stack.token) as client,
    ):
        process = psutil.Process(gateway.pid)
        before = process.memory_info().rss
        many = [await exits.enter_async_context(deaf_client(gateway.port, stack.token)) for _ in range(DEAF)]
        await asyncio.gather(*(deaf.ask(QUESTIONS) for deaf in many))
        cut = asyncio.gather(*(deaf.cut_off() for deaf in many))
        number = most = 0
        while not cut.done():
            assert seqs(await client.judged(request(f"r{number}"))) == list(range(1, 9))
            most = max(most, process.memory_info().rss)
            number += 1
        await cut
        assert number > 5
        # Half a queue of answers, as no more questions are read then, the one on its way, and the writer's buffer.
        assert most - before < DEAF * QUEUE + _ELSE
