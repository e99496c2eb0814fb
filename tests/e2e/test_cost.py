"""What a request costs on the bus: so many messages and bytes, counted where they are sent. No clock decides here.

A change that makes a request dearer fails; one that makes it cheaper on purpose writes its figures down here.
docs/performance.md says what the messages are.
"""

import asyncio
import re
from collections import Counter

import pytest

from magi.eventstore import subjects
from magi.eventstore.client import FastClient
from tests.gateway.client import request
from tests.gateway.stack import Stack, running
from tests.servers import NatsServer
from tests.waiting import until

MESSAGES = {"submission": 1, "task": 3, "ballot": 3, "acknowledgement": 7}
"""A request with a panel of three: progress and result of a voter that votes at once in one ballot's message; an
acknowledgement for each task and message of ballots, and the one that ends the submission."""
EVENTS = (2, 4)
"""Messages of the log, at least and at most: received, and what the three messages of ballots lead to, the verdict with
it. Those that wait while another is stored go together, and three voters in one process are all heard at once."""
BYTES = 7530
"""What all of them hold, subjects, headers and all; the content is 90 bytes."""
SLACK = 1.03
"""Sequences and times grow by a digit now and then."""
BATCH = 10
BATCHES = 4
"""The cheapest counts: what comes again after five seconds, on a machine that pauses, isn't the cost."""

_FAMILIES = (
    ("submission", re.compile(r"magi\.inbox\.\d+\.submission\.")),
    ("ballot", re.compile(r"magi\.inbox\.\d+\.ballot\.")),
    ("event", re.compile(r"magi\.log\.")),
    ("task", re.compile(r"magi\.tasks\.")),
    ("acknowledgement", re.compile(r"\$JS\.ACK\.")),
    ("", re.compile(r"\$JS\.API\.|\$KV\.|magi\.quotas\.")),  # by the clock, or once for many
)


class Sent:
    """Counts what all parts in this process send, by family; `bytes` over all of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.messages: Counter[str] = Counter()
        self.bytes = 0
        put = FastClient.put

        def counting(client: FastClient, subject: str, reply: str, data: bytes, headers: bytes) -> None:
            family = next((name for name, pattern in _FAMILIES if pattern.match(subject)), subject)
            if family:
                self.messages[family] += 1
                self.bytes += len(subject) + len(reply) + len(data) + len(headers)
            put(client, subject, reply, data, headers)

        monkeypatch.setattr(FastClient, "put", counting)


async def judge(stack: Stack, first: int) -> None:
    async with stack.client() as client:
        for number in range(first, first + BATCH):
            await client.judged(request(f"request {number}"))

    async def settled() -> bool:
        js = stack.nc.jetstream()
        states = await asyncio.gather(*(js.stream_info(name) for name in (subjects.INBOX, subjects.TASKS)))
        return not any(info.state.messages for info in states)

    await until(settled, "everything is acknowledged", 30)


async def test_a_request_costs_so_many_messages_and_bytes(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = Sent(monkeypatch)
    costs: list[tuple[float, dict[str, float]]] = []
    async with running(nats_server.url) as stack:
        await judge(stack, 0)  # what is said once is said
        for batch in range(1, BATCHES + 1):
            sent.messages.clear()
            sent.bytes = 0
            await judge(stack, batch * BATCH)
            costs.append((sent.bytes / BATCH, {name: count / BATCH for name, count in sent.messages.items()}))
    size, messages = min(costs, key=lambda cost: sum(cost[1].values()))
    at_least, at_most = EVENTS
    assert at_least <= messages.pop("event") <= at_most
    assert messages == MESSAGES
    assert BYTES / SLACK < size < BYTES * SLACK, f"{size:.0f} bytes a request: if that is meant, write it down"
