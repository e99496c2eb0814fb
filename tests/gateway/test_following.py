"""Resume, and what comes after it: every event once, in order, without a hole."""

import asyncio
import random

import pytest
from nats.aio.msg import Msg

from magi.gateway.open_requests import OpenRequests
from magi.gateway.settings import Limits
from magi.orchestrator.orchestrator import Orchestrator, OrchestratorSettings
from tests.gateway.client import Client, Message, request, seqs
from tests.gateway.stack import PANEL, PARTITIONS, SlowReading, Stack, aggregate, running
from tests.servers import NatsServer
from tests.waiting import until

HELD = {"voter_1": "held"}
BEFORE = 6
"""Events of a request of which one vote is held: acknowledged, three times progress, two results."""
ONE = Limits(open_requests=1, messages_per_second=1000, burst=1000)
UNKNOWN = "request_id: nothing is stored under it"


def resumed(last_seq: int, request_id: str = "abc123") -> Message:
    return {"type": "resumed", "request_id": request_id, "last_seq": last_seq}


async def held_request(stack: Stack, client: Client, request_id: str = "abc123") -> list[Message]:
    """Send a request of which one vote is held; returns its events so far."""
    await client.send(request(request_id, metadata=HELD))
    return [await client.receive() for _ in range(BEFORE)]


class TestAfterTheVerdict:
    async def test_what_was_stored_after_the_position_is_told(
        self, stack: Stack, client: Client, subtests: pytest.Subtests
    ) -> None:
        for after in [0, 1, 4, 7, 8]:
            with subtests.test(after=after):
                events = await client.judged(request())
                async with stack.client() as other:
                    assert await other.resume("abc123", after) == [*events[after:], resumed(8)]
                    assert await other.silent()

    async def test_behind_the_end_there_is_nothing(self, client: Client) -> None:
        await client.judged(request())
        for after in (9, 1000, 2**53 - 1):
            assert await client.resume("abc123", after) == [resumed(8)]
        assert await client.silent()

    async def test_the_position_is_the_beginning_by_default(self, client: Client) -> None:
        events = await client.judged(request())
        assert await client.resume("abc123") == [*events, resumed(8)]

    async def test_every_replay_is_the_same(self, stack: Stack, client: Client) -> None:
        events = await client.judged(request())
        second = await stack.start_gateway()
        async with stack.client(gateway=second) as other:
            for _ in range(3):
                assert await client.resume("abc123") == await other.resume("abc123") == [*events, resumed(8)]


class TestWhileItIsOpen:
    @pytest.mark.parametrize("after", [0, 3, BEFORE])
    async def test_live_events_follow(self, stack: Stack, client: Client, after: int) -> None:
        events = await held_request(stack, client)
        async with stack.client() as other:
            assert await other.resume("abc123", after) == [*events[after:], resumed(BEFORE)]
            stack.release("abc123")
            rest = await client.until_type("final_result")
            assert seqs(rest) == [7, 8]
            assert await other.until_type("final_result") == rest

    async def test_behind_the_end_live_events_follow_all_the_same(self, stack: Stack, client: Client) -> None:
        await held_request(stack, client)
        async with stack.client() as other:
            assert await other.resume("abc123", 100) == [resumed(BEFORE)]
            stack.release("abc123")
            assert seqs(await other.until_type("final_result")) == [7, 8]

    async def test_the_connection_that_has_it_may_resume_too(self, stack: Stack, client: Client) -> None:
        events = await held_request(stack, client)
        for after in (0, 4, BEFORE, 2):
            assert await client.resume("abc123", after) == [*events[after:], resumed(BEFORE)]
        stack.release("abc123")
        assert seqs(await client.until_type("final_result")) == [7, 8]

    async def test_each_of_many_is_answered_in_turn(self, stack: Stack, client: Client) -> None:
        events = await held_request(stack, client)
        for after in (0, 5, 1):
            await client.send({"type": "resume", "request_id": "abc123", "after_seq": after})
        for after in (0, 5, 1):
            expected = [*events[after:], resumed(BEFORE)]
            assert [await client.receive() for _ in expected] == expected

    async def test_before_its_first_event_it_is_unknown_and_goes_on(self, stack: Stack, client: Client) -> None:
        await stack.orchestrator.stop()
        await client.send(request())
        assert (await client.ask({"type": "resume", "request_id": "abc123", "after_seq": 4}))["message"] == UNKNOWN
        orchestrator = Orchestrator(await stack.connect("second"), OrchestratorSettings(PARTITIONS))
        await orchestrator.start()
        assert seqs(await client.until_type("final_result")) == list(range(1, 9))
        await orchestrator.stop()


class TestUnknown:
    async def test_what_nobody_submitted(self, client: Client) -> None:
        (answer,) = await client.resume("never")
        assert answer == {
            "type": "error",
            "code": "unknown_request",
            "message": UNKNOWN,
            "request_id": "never",
            "retryable": False,
        }

    async def test_what_another_initiator_submitted_looks_the_same(self, stack: Stack, client: Client) -> None:
        token = await stack.add_initiator("spy")
        async with stack.client(token) as spy:
            never = await spy.resume("abc123")
            await held_request(stack, client)
            assert await spy.resume("abc123") == never
            stack.release("abc123")
            await client.until_type("final_result")
            assert await spy.resume("abc123") == never
            assert await spy.silent()

    async def test_it_is_followed_no_further(self, stack: Stack, client: Client) -> None:
        await client.resume("abc123")
        async with stack.client() as other:
            await other.judged(request())
        assert await client.silent()


class TestOvertaking:
    """A reading that was begun earlier and comes to its end later must not tell anything twice."""

    async def test_a_resume_overtakes_the_filling_of_a_hole(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lost = stack.lose_live(lambda seq: seq == 5)
        async with stack.client() as client:
            reading = SlowReading(stack.gateway)
            await client.send(request(metadata=HELD))
            assert seqs([await client.receive() for _ in range(4)]) == [1, 2, 3, 4]
            await reading.answered()  # the sixth has shown the hole: the log is read
            assert lost == [5]
            assert seqs(await client.resume("abc123", 2)) == [3, 4, 5, 6]
            await stack.progress("abc123", "voter_1")
            assert (await client.receive())["seq"] == 7
            reading.go_on()  # what it has read is older than what was told
            assert await client.silent()
            stack.release("abc123")
            assert seqs(await client.until_type("final_result")) == [8, 9]

    async def test_events_that_come_while_a_resume_reads_follow_it(self, stack: Stack, client: Client) -> None:
        await held_request(stack, client)
        async with stack.client() as other:
            reading = SlowReading(stack.gateway)
            await other.send({"type": "resume", "request_id": "abc123"})
            await reading.answered()
            stack.release("abc123")
            await client.until_type("final_result")
            reading.go_on()
            messages = await other.until_type("final_result")
            assert seqs(messages) == list(range(1, 9))
            assert messages.index(resumed(BEFORE)) == BEFORE

    async def test_a_request_that_is_received_while_its_resume_reads_is_not_unknown(
        self, stack: Stack, client: Client
    ) -> None:
        async with stack.client() as other:
            reading = SlowReading(stack.gateway)
            await other.send({"type": "resume", "request_id": "abc123"})
            await reading.answered()  # nothing is there
            events = await client.judged(request())
            reading.go_on()
            assert await other.receive_until(lambda m: m["type"] in ("resumed", "error")) == [*events, resumed(8)]

    async def test_a_resume_is_told_what_the_connection_did_not_submit(
        self, stack: Stack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It sent other content, which is refused, and asks for what is there."""

        async def lose(_: Msg) -> None:
            pass

        monkeypatch.setattr(stack.gateway._hub, "_notice_handler", lambda _: lose)
        async with stack.client() as client, stack.client() as other:
            events = await held_request(stack, client)
            await other.send(request(agent_answer="other"))
            await other.send({"type": "resume", "request_id": "abc123"})
            refusal, *messages = await other.until_type("resumed")
            assert refusal["code"] == "request_conflict"
            assert messages == [*events, resumed(BEFORE)]
            stack.release("abc123")
            assert seqs(await other.until_type("final_result")) == [7, 8]


class TestWhatIsOver:
    """It is forgotten: it takes no place among the open requests, and is told nothing any more."""

    async def test_a_request_with_a_verdict_takes_no_place(self, nats_server: NatsServer) -> None:
        async with running(nats_server.url, ONE) as stack, stack.client() as client:
            await client.judged(request("r0", voter_list=["voter_1", "voter_2"]))
            assert await client.resume("r0", 6) == [resumed(6, "r0")]
            await client.judged(request("r1"))
            await client.resume("r0")
            await client.judged(request("r2"))
            await stack.revoke("voter_2")
            await client.judged(request("r0", voter_list=["voter_1", "voter_2"]))
            await client.judged(request("r3"))

    async def test_a_request_that_was_refused_takes_no_place(self, nats_server: NatsServer) -> None:
        async with running(nats_server.url, ONE) as stack, stack.client() as client:
            await client.ask(request("r0", voter_list=["voter_9"]))
            await client.judged(request("r1"))
            await client.resume("r0")
            await client.ask(request("r1", agent_answer="other"))
            await client.judged(request("r2"))

    async def test_nothing_is_left_of_a_connection(self, stack: Stack) -> None:
        hub = stack.gateway._hub
        stack.lose_live(lambda seq: seq == BEFORE)
        async with stack.client() as client:
            reading = SlowReading(stack.gateway)
            await client.send(request(metadata=HELD))
            await stack.until_stored("abc123", BEFORE)
            await stack.progress("abc123", "voter_1")
            await reading.answered()  # a hole is being filled
            assert list(hub._watchers) == [aggregate("abc123")]

        async def gone() -> bool:
            return not stack.gateway._sessions

        await until(gone, "the session has ended")
        # The request is open still, and counts as its Initiator's until its verdict is there.
        assert [type(listener) for listener in hub.listeners()] == [OpenRequests]
        stack.release("abc123")

        async def left() -> bool:
            return not hub.listeners()

        await until(left, "nobody listens any more")
        assert hub._watchers == {}
        assert not [task for task in asyncio.all_tasks() if "Following" in repr(task.get_coro())]


async def test_random_resumes_while_events_flow(stack: Stack) -> None:
    """Every connection is told each event once, in order, without a hole, from each of its resumes to the next."""
    rng = random.Random(7)

    async def submit(name: str) -> int:
        async with stack.client() as client:
            await client.send(request(name, metadata=dict.fromkeys(PANEL, "held")))
            for voter in rng.sample(PANEL, 3):
                for _ in range(rng.randrange(12)):
                    await stack.progress(name, voter)
                stack.release(name, voter)
            numbers = seqs(await client.until_type("final_result"))
            assert numbers == list(range(1, len(numbers) + 1))
            return 0

    async def watch(name: str) -> int:
        await stack.until_stored(name, 1)
        async with stack.client() as client:
            resumes = told = 0
            ended = False
            while not ended:
                after = rng.choice([0, told, max(0, told - 3)])
                messages = await client.resume(name, after)
                last = messages.pop()["last_seq"]
                numbers = seqs(messages)
                live = len(numbers) - (last - after)  # what was on its way when we resumed
                assert numbers == [*range(told + 1, told + live + 1), *range(after + 1, last + 1)]
                told = last
                for _ in range(rng.randrange(4)):
                    if any(message["type"] == "final_result" for message in messages):
                        break
                    messages.append(await client.receive())
                    told += 1
                    assert messages[-1]["seq"] == told
                ended = any(message["type"] == "final_result" for message in messages)
                resumes += 1
            return resumes

    async with asyncio.timeout(30):
        names = [f"r{n}" for n in range(6)]
        resumes = await asyncio.gather(*(submit(n) for n in names), *(watch(n) for n in names for _ in range(3)))
    assert sum(resumes) > len(resumes), "some resumed more than once"
