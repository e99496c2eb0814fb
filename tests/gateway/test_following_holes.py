"""Live events that are lost, late or doubled, and a NATS that goes away: what is missing is read from the log."""

import asyncio
import os
import signal

import pytest
from nats.aio.msg import Msg

from magi.gateway import server
from tests.gateway.client import request, seqs
from tests.gateway.stack import SlowReading, Stack, aggregate, one_by_one, running
from tests.proxy import Proxy
from tests.servers import NatsServer
from tests.waiting import until

HELD = {"voter_1": "held"}
BEFORE = 6


@pytest.fixture(autouse=True)
def _nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is noticed at once must not be left to be found later."""
    monkeypatch.setattr(server, "LOOK_EVERY", 3600.0)


class TestLost:
    @pytest.mark.parametrize("lost", [{1}, {2, 3}, {1, 2, 3, 4, 5, 6, 7}, {2, 4, 6}, {7}], ids=str)
    async def test_the_next_event_shows_the_hole(self, stack: Stack, lost: set[int]) -> None:
        dropped = stack.lose_live(lambda seq: seq in lost)
        async with stack.client() as client:
            events = await client.judged(request())
            assert seqs(events) == list(range(1, 9))
            assert set(dropped) == lost
            assert await client.silent()
            assert (await client.resume("abc123"))[:-1] == events

    async def test_after_a_break_the_log_is_read_even_if_nothing_comes_any_more(
        self, stack: Stack, nats_server: NatsServer
    ) -> None:
        """The verdict is lost with the connection: no later event would show it."""
        async with Proxy(nats_server.port) as proxy:
            gateway = await stack.start_gateway(bus=await stack.connect("shaky", proxy.url))
            async with stack.client(gateway=gateway) as client:
                await client.send(request(metadata=HELD))
                assert seqs([await client.receive() for _ in range(BEFORE)]) == [1, 2, 3, 4, 5, 6]
                proxy.lose_answers()
                stack.release("abc123")
                await stack.until_stored("abc123", 8)
                proxy.cut()
                assert seqs(await client.until_type("final_result")) == [7, 8]
                assert await client.silent()

    async def test_a_break_during_a_reading_leads_to_another_one(self, stack: Stack, nats_server: NatsServer) -> None:
        """What the reading has read is older than what was lost."""
        async with Proxy(nats_server.port) as proxy:
            gateway = await stack.start_gateway(bus=await stack.connect("shaky", proxy.url))
            async with stack.client(gateway=gateway) as client, stack.client() as witness:
                await witness.send(request(metadata=HELD))
                await stack.until_stored("abc123", BEFORE)
                reading = SlowReading(gateway)
                await client.send({"type": "resume", "request_id": "abc123"})
                await reading.answered()
                proxy.lose_answers()
                stack.release("abc123")
                await witness.until_type("final_result")
                reconnects = gateway._bus.reconnects
                proxy.cut()

                async def reconnected() -> bool:
                    return gateway._bus.reconnects > reconnects

                await until(reconnected, "the gateway has its NATS again")
                reading.go_on()
                messages = await client.until_type("final_result")
                assert seqs(messages) == list(range(1, 9))

    async def test_the_last_event_is_missed_although_nothing_follows_it(
        self, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As when a cluster's route drops it: the gateway's own connection knows nothing of it."""
        monkeypatch.setattr(server, "LOOK_EVERY", 0.1)
        async with running(nats_server.url) as stack:
            dropped = stack.lose_live(lambda seq: seq == 8)
            async with stack.client() as client:
                assert seqs(await client.judged(request())) == list(range(1, 9))
                assert dropped == [8]

    async def test_all_of_them(self, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "LOOK_EVERY", 0.1)
        async with running(nats_server.url) as stack:
            dropped = stack.lose_live(lambda _: True)
            async with stack.client() as client:
                assert seqs(await client.judged(request())) == list(range(1, 9))
                assert dropped == list(range(1, 9))


class TestUnderLoad:
    async def test_a_connection_that_breaks_again_and_again_costs_nothing(
        self, stack: Stack, nats_server: NatsServer
    ) -> None:
        """It breaks while answers are lost, so that what comes live is missing more often than not."""
        async with Proxy(nats_server.port) as proxy:
            gateway = await stack.start_gateway(bus=await stack.connect("shaky", proxy.url))
            broken = asyncio.Event()

            async def ask(name: str) -> list[int]:
                """One request after the other until all is over; how many events were told of each."""
                told: list[int] = []
                async with stack.client(gateway=gateway) as client:
                    while not broken.is_set():
                        asked = request(f"{name}-{len(told)}")
                        await client.send(asked)
                        found: list[int] = []
                        while len(found) < 8:
                            message = await client.receive()
                            if message["type"] == "error":
                                assert (message["code"], found) == ("unavailable", [])
                                await client.send(asked)
                            else:
                                found.append(message["seq"])
                        assert found == list(range(1, 9))
                        told.append(len(found))
                return told

            asking = [asyncio.create_task(ask(f"r{number}")) for number in range(10)]
            for _ in range(8):
                reconnects = gateway._bus.reconnects
                proxy.lose_answers()
                lost = proxy.lost + 5000

                async def enough_lost(lost: int = lost) -> bool:
                    return proxy.lost > lost

                await until(enough_lost, "events are lost")
                proxy.cut()

                async def reconnected(before: int = reconnects) -> bool:
                    return gateway._bus.reconnects > before

                await until(reconnected, "the gateway has its NATS again")
            broken.set()
            assert all(await asyncio.gather(*asking))


class TestDoubledAndLate:
    async def test_each_is_told_once_and_in_order(self, stack: Stack) -> None:
        hub = stack.gateway._hub
        deliver = hub._on_live
        waiting: list[Msg] = []

        def on_live(msg: Msg) -> None:
            """Twice, and the latest of three first."""
            for one in one_by_one(msg):
                waiting.append(one)
                if len(waiting) == 3:
                    for late in [*reversed(waiting), *waiting]:
                        deliver(late)
                    waiting.clear()

        hub._on_live = on_live  # type: ignore[method-assign]
        async with stack.client() as client:
            events = await client.judged(request(voter_list=["voter_1", "voter_2"]))  # six events: two times three
            assert seqs(events) == [1, 2, 3, 4, 5, 6]
            assert await client.silent()


class TestNatsGone:
    async def test_a_killed_server_in_mid_request_costs_nothing(self, fresh_nats: NatsServer) -> None:
        async with running(fresh_nats.url) as stack, stack.client() as client, stack.client() as other:
            await client.send(request(metadata=HELD))
            events = [await client.receive() for _ in range(BEFORE)]
            await other.resume("abc123", BEFORE)
            fresh_nats.kill()
            assert await client.silent(), "the connection lives on"
            fresh_nats.start()
            stack.release("abc123")
            rest = await client.until_type("final_result")
            assert seqs(events + rest) == list(range(1, 9))
            assert await other.until_type("final_result") == rest
            assert (await other.resume("abc123"))[:-1] == events + rest

    async def test_what_cannot_be_submitted_is_unavailable(self, fresh_nats: NatsServer) -> None:
        async with running(fresh_nats.url) as stack, stack.client() as client:
            os.kill(fresh_nats.pid, signal.SIGSTOP)
            await client.send(request())
            assert await client.silent()
            fresh_nats.kill()
            answer = await client.receive()
            assert (answer["code"], answer["retryable"], answer["request_id"]) == ("unavailable", True, "abc123")
            fresh_nats.start()
            assert (await client.judged(request()))[-1]["final_vote"] == "pass"

    async def test_a_log_that_stays_away_closes_the_connection(
        self, stack: Stack, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """4008: the client comes again, and resumes."""
        async with Proxy(nats_server.port) as proxy:
            gateway = await stack.start_gateway(bus=await stack.connect("shaky", proxy.url))
            monkeypatch.setattr(gateway._log, "_patience", 0.1)
            async with stack.client(gateway=gateway) as client:
                await client.send(request(metadata=HELD))
                await stack.until_stored("abc123", BEFORE)
                await stack.delete_stream("MAGI_LOG")
                proxy.cut()
                assert await client.closed() == 4008

    async def test_a_log_that_is_damaged_ends_one_request_and_not_the_connection(
        self, stack: Stack, nats_server: NatsServer
    ) -> None:
        async with Proxy(nats_server.port) as proxy:
            gateway = await stack.start_gateway(bus=await stack.connect("shaky", proxy.url))
            async with stack.client(gateway=gateway) as client:
                await client.send(request(metadata=HELD))
                await client.until_type("acknowledged")
                await stack.until_stored("abc123", BEFORE)
                await stack.bus.store(f"magi.log.{aggregate('abc123')}", b"no event")
                proxy.cut()
                assert (await client.until_type("error"))[-1]["code"] == "internal"
                reconnects = gateway._bus.reconnects
                proxy.cut()

                async def reconnected() -> bool:
                    return gateway._bus.reconnects > reconnects

                await until(reconnected, "the gateway has its NATS again")
                events = await client.judged(request("another"))
                assert [event.get("seq") for event in events] == list(range(1, 9)), "nothing more of the damaged one"
