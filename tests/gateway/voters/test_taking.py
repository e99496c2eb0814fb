"""The tasks of a connection: how many it gets, when they end, and where they go when it does."""

import asyncio

import msgspec
import pytest

from magi.domain import voter_commands as voters
from magi.domain.messages import encode
from magi.eventstore.presence import now_ms
from magi.gateway.voters import taking
from tests.gateway.client import Client
from tests.gateway.voters.office import QUICK, Office, accepted, opened, progress, result
from tests.orchestrator.world import World

LOOPS = ("asyncio", "uvloop")


class TestTasks:
    async def test_a_task_is_the_one_of_the_protocol(self, office: Office) -> None:
        async with office.voter(1) as client:
            (task,) = await office.desk.give()
            assert await client.receive() == {
                "type": "task",
                "task_id": task.task_id,
                "request_id": task.request_id,
                "user_query": task.user_query,
                "agent_answer": task.agent_answer,
                "metadata": {},
                "deadline": task.deadline,
                "attempt": 1,
            }

    async def test_none_comes_before_ready(self, office: Office) -> None:
        (task,) = await office.desk.give()
        async with office.voter() as client:
            assert await client.silent()
            assert (await office.consumer()).num_waiting == 0
            await client.send({"type": "ready", "capacity": 1})
            assert (await client.receive())["task_id"] == task.task_id

    async def test_its_votes_are_in_the_inbox_and_the_task_is_done(self, office: Office) -> None:
        async with office.voter(1) as client:
            (task,) = await office.desk.give()
            await client.receive()
            assert await client.ask(progress(task)) == accepted(task, "progress")
            assert await client.ask(progress(task, status="thinking")) == accepted(task, "progress")
            assert await client.ask(progress(task, status="thinking")) == accepted(task, "progress")
            vote = result(task, "fail", reason="wrong: ünï", confidence=0.25)
            assert await client.ask(vote) == accepted(task)
            assert [p.status for p in await office.desk.progress()] == ["processing", "thinking"]
            (ballot,) = await office.desk.results()
            assert (ballot.vote, ballot.reason, ballot.confidence) == ("fail", "wrong: ünï", 0.25)
            await office.desk.until_nothing_left()

    async def test_the_capacity_is_bounded_by_the_registered_one(self, office: Office) -> None:
        async with office.voter(1000) as client:
            await office.desk.give(10)
            got = [await client.receive() for _ in range(8)]
            assert await client.silent()
            await client.ask(result(got[0]))
            assert (await client.receive())["type"] == "task"
            await office.change(voters.Change("ada", "test", now_ms(), capacity=9))
            assert (await client.receive())["type"] == "task"

    async def test_capacity_0_pauses_it(self, office: Office) -> None:
        async with office.voter(2) as client:
            (first,) = await office.desk.give()
            await client.receive()
            await client.send({"type": "ready", "capacity": 0})
            assert await client.silent()
            await office.desk.give(3)
            await office.until_tasks(lambda c: c.num_pending == 3 and c.num_waiting == 0, "nobody asks for them")
            assert await client.ask(result(first)) == accepted(first)
            assert await client.silent()
            await client.send({"type": "ready", "capacity": 1})
            second = await client.receive()
            assert second["type"] == "task"
            assert await client.silent()

    async def test_a_slow_instance_holds_no_more_than_its_capacity(self, office: Office) -> None:
        async with office.voter(1) as slow, office.voter(4) as quick:
            given = {task.task_id for task in await office.desk.give(40)}
            held = await slow.receive()
            done = {held["task_id"]}
            for _ in range(39):
                task = await quick.receive()
                while task["type"] != "task":
                    task = await quick.receive()
                done.add(task["task_id"])
                await quick.send(result(task))
            assert done == given, "the quick one has judged all but one"
            assert await slow.silent()
            assert (await slow.ask(result(held)))["type"] == "accepted"
            await office.desk.until_nothing_left()

    async def test_its_deadline_ends_it(self, office: Office) -> None:
        async with office.voter(1) as client:
            late, second = await office.desk.give(1, timeout=2.5) + await office.desk.give(1)
            assert (await client.receive())["task_id"] == late.task_id
            assert (await client.receive())["task_id"] == second.task_id, "there is room again"
            assert await office.desk.nothing_left() is False
            await client.ask(result(second))
            await office.desk.until_nothing_left()

    async def test_one_that_comes_after_its_deadline_is_not_sent(self, office: Office) -> None:
        await office.desk.give(1, timeout=-1.0)
        async with office.voter() as client:
            await client.send({"type": "ready", "capacity": 1})
            await office.desk.until_nothing_left()
            assert await client.silent()

    async def test_what_is_no_task_of_this_voters_is_not_sent(self, office: Office) -> None:
        async with office.voter(4) as client:
            bobs = office.desk.task(voter="bob")
            anothers_subject = msgspec.structs.replace(office.desk.task(), ballot_subject="magi.inbox.0.ballot.bob")
            for data in (b"nonsense", b"{}", b"[" * 2000, encode(bobs), encode(anothers_subject)):
                await office.desk.put(data)
            await office.desk.until_nothing_left()
            assert await client.silent()

    async def test_many_large_ones_cut_nobody_off(self, world: World) -> None:
        async with opened(world, QUICK) as office, office.voter(8) as client:
            for _ in range(8):
                await office.desk.put(encode(office.desk.task("x" * 400_000)))
            tasks = [await client.receive() for _ in range(8)]
            assert {len(task["agent_answer"]) for task in tasks} == {400_000}


class TestDrop:
    @pytest.fixture(autouse=True)
    def _nobody_waits_for_that(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A task that nobody gave back comes long after a test has stopped waiting."""
        monkeypatch.setattr("magi.eventstore.consumers.TASK_ACK_WAIT", 90.0)

    async def test_its_task_goes_to_another_instance_at_once(self, office: Office) -> None:
        async with office.voter(1) as first:
            (task,) = await office.desk.give()
            assert (await first.receive())["attempt"] == 1
            async with office.voter(1) as second:
                first.connection.transport.abort()
                again = await second.receive()
                assert (again["task_id"], again["attempt"]) == (task.task_id, 2)
                assert await second.ask(result(task)) == accepted(task)
                await office.desk.until_nothing_left()

    async def test_it_waits_for_the_voter_to_come_back(self, office: Office) -> None:
        async with office.voter(1) as first:
            (task,) = await office.desk.give()
            await first.receive()
        await office.until_sessions(0)
        async with office.voter() as back:
            await back.send({"type": "ready", "capacity": 1})
            assert (await back.receive())["task_id"] == task.task_id

    async def test_after_max_attempts_nobody_gets_it_any_more(self, office: Office) -> None:
        await office.change(voters.Change("ada", "test", now_ms(), max_attempts=2))
        await office.desk.give()
        for attempt in (1, 2):
            async with office.voter() as client:
                await client.send({"type": "ready", "capacity": 1})
                assert (await client.receive())["attempt"] == attempt
            await office.until_sessions(0)
        async with office.voter() as client:
            await client.send({"type": "ready", "capacity": 1})
            await office.desk.until_nothing_left()
            assert await client.silent()

    async def test_what_it_voted_on_is_not_given_to_another(self, office: Office) -> None:
        """Not even when it drops while its vote is on its way."""
        async with office.voter(1) as first:
            (task,) = await office.desk.give()
            await first.receive()
            await first.send(result(task))
            first.connection.transport.write_eof()
            await office.desk.until_nothing_left()
            async with office.voter(1) as second:
                assert await second.silent()
        assert [ballot.vote for ballot in await office.desk.results()] == ["pass"]

    async def test_a_revoked_tokens_tasks_go_to_an_instance_with_another(self, office: Office) -> None:
        another = await office.issue_token("ada")
        async with office.voter(1) as revoked:
            (task,) = await office.desk.give()
            await revoked.receive()
            async with office.voter(1, another) as stays:
                await office.revoke_token("ada", office.token)
                assert (await stays.receive())["task_id"] == task.task_id
                assert await revoked.closed() == 4507

    async def test_a_gateway_that_shuts_down_gives_its_tasks_back(self, office: Office) -> None:
        elsewhere = await office.add_gateway()
        async with office.voter(4) as first:
            given = {task.task_id for task in await office.desk.give(4)}
            assert {(await first.receive())["task_id"] for _ in range(4)} == given
            async with office.voter(4, gateway=elsewhere) as second:
                stopping = asyncio.create_task(office.gateway.stop())
                assert {(await second.receive())["task_id"] for _ in range(4)} == given
                assert await first.closed() == 1012
                await stopping

    async def test_a_deaf_clients_tasks_are_given_back_before_it_is_gone(self, office: Office) -> None:
        patient = await office.add_gateway(grace=60.0)
        async with office.voter(2, gateway=patient) as deaf:
            given = {task.task_id for task in await office.desk.give(2)}
            for _ in given:
                await deaf.receive()
            deaf.connection.transport.pause_reading()
            async with office.voter(2) as second:
                stopping = asyncio.create_task(patient.stop())
                assert {(await second.receive())["task_id"] for _ in given} == given
                assert not stopping.done(), "it still waits for the deaf one"
                deaf.connection.transport.abort()
                await stopping


class TestKeeping:
    async def test_nobody_else_gets_a_task_while_it_is_judged(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("magi.eventstore.consumers.TASK_ACK_WAIT", 2.0)
        monkeypatch.setattr(taking, "_KEEP", 0.1)
        async with opened(world) as office, office.voter(1) as judging, office.voter(1) as idle:
            await office.desk.give()
            owner = await first_of(judging, idle)
            other = idle if owner is judging else judging
            for _ in range(20):  # half as long again as it may stay without a word
                await asyncio.sleep(0.15)
                assert await other.silent()


async def first_of(*clients: Client) -> Client:
    """The client to which a message comes first."""
    waits = {asyncio.create_task(client.receive()): client for client in clients}
    done, waiting = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waiting:
        wait.cancel()
    return waits[done.pop()]
