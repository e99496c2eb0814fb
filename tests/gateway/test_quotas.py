"""Quotas of an Initiator over two gateways: under load, and at their edges."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import msgspec
import pytest

from magi.domain.ids import InitiatorId
from magi.domain.initiator import NO_QUOTA
from magi.gateway.server import Gateway
from magi.gateway.usage import Use
from tests.gateway.client import Client, Message, request
from tests.gateway.stack import QUICK, Stack, running
from tests.servers import NatsServer
from tests.waiting import until

AGENT = InitiatorId("agent")
HELD = {"voter_1": "held"}
PATIENT = msgspec.structs.replace(QUICK, errors_in_a_row=1_000_000, open_requests=100_000)
"""Limits of a connection that are never what refuses."""
WARM, MEASURED = 2.5, 4.0
"""Heartbeats: after two, and some, every gateway goes by what it was told of the load."""
NEAR = 0.2
"""How far from the quota the sum may be."""
QUOTA = 10.0
"""Requests a second: less than a busy machine judges."""
TRIES = 3
"""As often it is measured, should the machine have been elsewhere."""
NAMES = itertools.count()


class Hammer:
    """A client that submits faster than it may, and counts what is taken."""

    def __init__(self, client: Client, names: Iterator[int], pause: float) -> None:
        self._client = client
        self._names = names
        self._pause = pause
        self.taken = 0
        self.refused: list[Message] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send())
            group.create_task(self._read())

    async def _send(self) -> None:
        while True:
            await self._client.send(request(f"r{next(self._names)}", voter_list=["voter_1"]))
            await asyncio.sleep(self._pause)

    async def _read(self) -> None:
        while True:
            message = await self._client.receive()
            if message["type"] == "acknowledged":
                self.taken += 1
            elif message["type"] == "error":
                self.refused.append(message)


def beat_every(seconds: float, *gateways: Gateway) -> None:
    """Have gateways tell each other so often, from now on."""
    for gateway in gateways:
        quotas = gateway._quotas
        assert quotas._beating
        quotas._beating.cancel()
        quotas._heartbeat = seconds
        quotas._beating = asyncio.create_task(quotas._beats())


async def rates(stack: Stack, *loads: tuple[Gateway, float]) -> tuple[list[float], list[Message]]:
    """How many requests a second are taken at each gateway, that is sent so many, and what was refused.

    Measured until it is what all are to take together, or is certain not to be.
    """
    for _ in range(TRIES):
        found, refused = await measured(stack, *loads)
        if sum(found) == pytest.approx(QUOTA, rel=NEAR):
            break
    return found, refused


async def measured(stack: Stack, *loads: tuple[Gateway, float]) -> tuple[list[float], list[Message]]:
    heartbeat = stack.gateway._quotas._heartbeat
    async with AsyncExitStack() as exits:
        hammers = []
        for gateway, rate in loads:
            hammers.append(Hammer(await exits.enter_async_context(stack.client(gateway=gateway)), NAMES, 1 / rate))
        tasks = [asyncio.create_task(hammer.run()) for hammer in hammers]
        await asyncio.sleep(WARM * heartbeat)
        before, began = [hammer.taken for hammer in hammers], time.monotonic()
        await asyncio.sleep(MEASURED * max(heartbeat, 0.75))
        took = time.monotonic() - began
        found = [(hammer.taken - start) / took for hammer, start in zip(hammers, before, strict=True)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found, [message for hammer in hammers for message in hammer.refused]


@pytest.mark.parametrize(("one", "two", "heartbeat"), [(30.0, 30.0, 1.0), (30.0, 4.0, 1.0)], ids=["even", "uneven"])
async def test_two_gateways_together_take_what_the_quota_says(
    nats_server: NatsServer, one: float, two: float, heartbeat: float
) -> None:
    async with running(nats_server.url, PATIENT) as stack:
        second = await stack.start_gateway(PATIENT)
        beat_every(heartbeat, stack.gateway, second)
        await stack.set_quotas("agent", stack.gateway, second, requests_per_second=QUOTA)
        found, refused = await rates(stack, (stack.gateway, one), (second, two))
    assert sum(found) == pytest.approx(QUOTA, rel=NEAR)
    if two < QUOTA / 2:
        assert found[1] == pytest.approx(two, rel=0.5), "who asks for less than its part gets it"
    assert {(message["code"], message["retryable"]) for message in refused} == {("rate_limited", True)}
    assert all(1 <= message["retry_after_ms"] <= 2000 for message in refused)
    assert refused[0]["message"] == "more than 10 requests a second of this Initiator"


async def test_a_gateway_at_which_all_is_asked_takes_nearly_all_of_it(nats_server: NatsServer) -> None:
    async with running(nats_server.url, PATIENT) as stack:
        second = await stack.start_gateway(PATIENT)
        beat_every(0.25, stack.gateway, second)
        await stack.set_quotas("agent", stack.gateway, second, requests_per_second=QUOTA)
        [found], _ = await rates(stack, (stack.gateway, 30.0))
    assert found == pytest.approx(QUOTA, rel=NEAR)


async def heard(gateway: Gateway, use: Use) -> None:
    """Return when what the other gateway told it is that."""

    async def so() -> bool:
        return [(found.open, found.connections) for found in gateway._quotas._peers.uses(AGENT)] == [
            (use.open, use.connections)
        ]

    await until(so, f"it was told {use}")


async def test_open_requests_are_those_at_all_gateways_and_count_when_their_client_has_gone(stack: Stack) -> None:
    second = await stack.start_gateway()
    await stack.set_quotas("agent", stack.gateway, second, open_requests=3)
    async with stack.client() as gone:
        for name in ("one", "two"):
            await gone.send(request(name, metadata=HELD))
            await gone.until_type("acknowledged")
    async with stack.client(gateway=second) as client:
        await heard(second, Use(0, 2, 0))
        await client.send(request("three", metadata=HELD))
        await client.until_type("acknowledged")
        await client.send(request("four"))
        refused = (await client.until_type("error"))[-1]
        assert refused["code"] == "rate_limited"
        assert refused["message"] == "3 requests of this Initiator are open, at most 3 may be"
        assert refused["retry_after_ms"] == 1000
        assert await stack.stored("four") == []
        await heard(stack.gateway, Use(0, 1, 1))
        async with stack.client() as other:
            assert (await other.ask(request("four")))["code"] == "rate_limited"
            stack.release("two")
            await heard(second, Use(0, 1, 1))
            await client.send(request("four"))
            await client.until_type("acknowledged")
            stack.release("one")
            stack.release("three")


async def test_what_was_refused_or_has_its_verdict_is_not_open(stack: Stack) -> None:
    await stack.set_quotas("agent", open_requests=1)
    async with stack.client() as client:
        await client.judged(request("one"))
        assert (await client.ask(request("two", voter_list=["nobody"])))["code"] == "unknown_voter"
        await client.judged(request("three"))
    async with stack.client() as client:
        await client.judged(request("one"))  # again: its events are in the log already
        await client.judged(request("four"))


async def test_connections_are_those_at_all_gateways(stack: Stack) -> None:
    second = await stack.start_gateway()
    await stack.set_quotas("agent", stack.gateway, second, connections=2)
    async with stack.client() as one, stack.client(gateway=second) as two:
        await heard(stack.gateway, Use(0, 0, 1))
        await heard(second, Use(0, 0, 1))
        for gateway in (stack.gateway, second):
            async with stack.client(gateway=gateway) as third:
                assert await third.closed() == 4504
        assert await one.silent()
        assert await two.silent()
        await second.stop()
        async with stack.client() as third:
            assert await third.silent(), "what is used of a gateway that stops is given back at once"


async def test_near_a_quota_the_others_are_told_before_the_next_heartbeat(stack: Stack) -> None:
    second = await stack.start_gateway()
    beat_every(3600.0, second)
    await stack.set_quotas("agent", stack.gateway, second, connections=2)
    async with stack.client(gateway=second):
        await heard(stack.gateway, Use(0, 0, 1))


async def test_a_quota_of_its_own_is_changed_and_given_back_while_connections_are_open(stack: Stack) -> None:
    async with stack.client() as client:
        await client.judged(request("one"))
        await stack.set_quotas("agent", requests_per_second=0.5)
        await client.judged(request("two"))
        refused = await client.ask(request("three"))
        assert (refused["code"], refused["retry_after_ms"] > 0) == ("rate_limited", True)
        await stack.set_quotas("agent", requests_per_second=NO_QUOTA)
        await client.judged(request("three"))


async def test_the_tenth_refusal_in_a_row_closes_with_4003(stack: Stack) -> None:
    await stack.set_quotas("agent", requests_per_second=0.001)
    async with stack.client() as client:
        await client.judged(request("one"))
        for number in range(10):
            await client.send(request(f"more {number}"))
        assert await client.closed() == 4003


async def test_without_nats_nothing_is_forgotten_and_shares_stay_what_they_are(fresh_nats: NatsServer) -> None:
    async with running(fresh_nats.url) as stack:
        second = await stack.start_gateway()
        quotas = stack.gateway._quotas
        async with stack.client(gateway=second):
            await heard(stack.gateway, Use(0, 0, 1))
            fresh_nats.kill()

            async def gone() -> bool:
                return not stack.gateway._bus.nc.is_connected

            await until(gone, "the connection is lost")
            for _ in range(10):
                await quotas._beat(1.0)
            assert [use.connections for use in quotas._peers.uses(AGENT)] == [1]
            fresh_nats.restart()
            await heard(stack.gateway, Use(0, 0, 1))
