"""What becomes of a voter's ballots: stored, repeated, refused, and what an outage does to them."""

import pytest

from magi.domain.clock import milliseconds
from magi.eventstore.presence import now_ms
from tests.gateway.voters.office import Office, accepted, error, opened, progress, result
from tests.orchestrator.world import World
from tests.servers import NatsServer
from tests.waiting import until

LOOPS = ("asyncio", "uvloop")


class TestBallots:
    async def test_an_unknown_task(self, office: Office) -> None:
        async with office.voter(1) as client:
            for message in (result("nonsense"), progress("nonsense")):
                answer = await client.ask(message)
                assert answer == error("unknown_task", "task_id: this connection has no such task", "nonsense")

    async def test_anothers_task(self, office: Office) -> None:
        async with office.voter(1) as client:
            (task,) = await office.desk.give()
            await client.receive()
            async with office.voter(1) as same, office.voter(1, office.other_token) as bob:
                for other in (same, bob):
                    assert (await other.ask(result(task)))["code"] == "unknown_task"
                    assert (await other.ask(progress(task)))["code"] == "unknown_task"
            assert await office.desk.ballots() == []
            assert await client.ask(result(task)) == accepted(task)

    @pytest.mark.parametrize(
        ("fields", "problem"),
        [
            ({"vote": "yes"}, "vote: "),
            ({"vote": None}, "vote: "),
            ({"reason": "x" * 4097}, "reason: "),
            ({"reason": "a\0b"}, "reason: expected no NUL"),
            ({"confidence": 1.1}, "confidence: "),
            ({"confidence": "high"}, "confidence: "),
            ({"vote": "pass", "task_id": 5}, "task_id: "),
        ],
    )
    async def test_a_malformed_one_names_its_field(
        self, office: Office, fields: dict[str, object], problem: str
    ) -> None:
        async with office.voter(1) as client:
            (task,) = await office.desk.give()
            await client.receive()
            answer = await client.ask({**result(task), **fields})
            assert answer["code"] == "invalid_message"
            assert answer["message"].startswith(problem)
            assert answer.get("task_id") == (None if "task_id" in fields else task.task_id)
            assert await client.ask(result(task)) == accepted(task), "it can be put right"

    async def test_the_same_result_again_is_accepted_again_and_another_one_is_not(self, office: Office) -> None:
        async with office.voter(1) as client:
            (task,) = await office.desk.give()
            await client.receive()
            for _ in range(3):
                await client.send(result(task, reason="so"))
            assert [await client.receive() for _ in range(3)] == [accepted(task)] * 3
            assert await client.ask(result(task, reason="so")) == accepted(task)
            refused = error("already_voted", "task_id: its result is 'pass' already", task)
            assert await client.ask(result(task, reason="other")) == refused
            assert await client.ask(progress(task)) == refused
            assert len(await office.desk.results()) == 1

    async def test_a_late_one_is_answered_by_its_orchestrator(self, office: Office) -> None:
        await office.world.orchestrator()
        async with office.voter(1) as client:
            asked = await office.world.submit(voter_list=("ada",), timeout_ms=2000)
            task = await client.receive()
            await office.world.until_decided(asked.aggregate)
            assert await client.ask(result(task)) == accepted(task)
            assert await client.receive() == error("late", "the request is decided", task)
            assert (await office.world.check(asked.aggregate)).details == {"ada": "missing"}

    async def test_a_refusal_goes_to_the_connection_that_voted(self, office: Office) -> None:
        await office.world.orchestrator()
        async with office.voter(1) as client, office.voter(1, office.other_token) as bob:
            asked = await office.world.submit(voter_list=("ada",), timeout_ms=60_000)
            task = await client.receive()
            await office.world.vote(asked.aggregate, "ada", "fail")  # as if an instance elsewhere had been quicker
            await office.world.until_decided(asked.aggregate)
            assert await client.ask(result(task)) == accepted(task)
            assert await client.receive() == error("already_voted", "voter 'ada' has voted 'fail' already", task)
            assert await bob.silent()

    async def test_what_two_instances_say_of_a_task_its_orchestrator_decides(self, office: Office) -> None:
        """The inbox knows the id of the first one's ballot: the second must not be taken for it."""
        async with office.voter(1) as client:
            (task,) = await office.desk.give()
            await client.receive()
            headers = {"Nats-Msg-Id": f"{task.task_id}:result"}
            assert isinstance(task.ballot_subject, str)
            first = b'{"type":"result","task_id":"%s","vote":"fail"}' % task.task_id.encode()
            await office.world.bus.store(task.ballot_subject, first, headers)
            assert await client.ask(result(task)) == accepted(task)
            assert [ballot.vote for ballot in await office.desk.results()] == ["fail", "pass"]

    async def test_many_at_once_are_all_stored(self, office: Office) -> None:
        async with office.voter(8) as client:
            given = await office.desk.give(8)
            for _ in given:
                await client.receive()
            for task in given:
                await client.send(progress(task))
                await client.send(result(task))
            answers = [await client.receive() for _ in range(16)]
            expected = [accepted(task, kind) for task in given for kind in ("progress", "result")]
            assert sorted(answers, key=str) == sorted(expected, key=str)
            assert len(await office.desk.ballots()) == 16


class TestOutage:
    async def test_a_vote_is_stored_when_the_server_is_back(self, fresh_nats: NatsServer) -> None:
        async with World.over(fresh_nats) as world, opened(world) as office, office.voter(2) as client:
            given = await office.desk.give(2)
            for _ in given:
                await client.receive()
            fresh_nats.stop()
            for task in given:
                await client.send(result(task))
            assert await client.silent(), "the reader isn't held up"
            fresh_nats.start()
            answers = [await client.receive() for _ in given]
            assert sorted(answers, key=str) == sorted((accepted(task) for task in given), key=str)
            assert {ballot.task_id for ballot in await office.desk.results()} == {task.task_id for task in given}
            await office.desk.until_nothing_left()

    async def test_it_is_tried_until_the_deadline(self, fresh_nats: NatsServer) -> None:
        async with World.over(fresh_nats) as world, opened(world) as office, office.voter(1) as client:
            (task,) = await office.desk.give(1, timeout=1.5)
            await client.receive()
            fresh_nats.stop()
            answer = await client.ask(result(task))
            assert now_ms() >= milliseconds(task.deadline) - 1000
            assert (answer["code"], answer["task_id"], answer["retryable"]) == ("unavailable", task.task_id, True)
            fresh_nats.start()
            await until_connected_again(office)

    async def test_after_it_new_tasks_come(self, fresh_nats: NatsServer) -> None:
        async with World.over(fresh_nats) as world, opened(world) as office, office.voter(1) as client:
            fresh_nats.restart()
            await until_connected_again(office)
            (task,) = await office.desk.give()
            assert (await client.receive())["task_id"] == task.task_id
            assert await client.ask(result(task)) == accepted(task)


async def until_connected_again(office: Office) -> None:
    async def again() -> bool:
        return min(office.bus.reconnects, office.world.bus.reconnects) > 0

    await until(again, "everybody is connected again")
