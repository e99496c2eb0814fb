"""A voter's connection: who comes in, how it is seen, and how it ends."""

from collections.abc import Callable

import pytest
from websockets.exceptions import InvalidStatus

from magi.domain import voter_commands as voters
from magi.domain.tokens import ENTROPY, new_token
from magi.eventstore import subjects
from magi.eventstore.direct import DirectReader
from magi.eventstore.presence import Instance, alive, now_ms
from magi.gateway.settings import Limits
from tests.gateway.client import Client
from tests.gateway.voters.office import Office, accepted, error, opened, result
from tests.orchestrator.world import World
from tests.waiting import until

LOOPS = ("asyncio", "uvloop")


class TestAuthentication:
    async def test_by_the_first_message(self, office: Office) -> None:
        async with Client.connect(office.gateway.port, path="/v1/voter") as client:
            assert await client.ask({"type": "authenticate", "token": office.token}) == {
                "type": "authenticated",
                "voter_id": "ada",
            }
            assert await client.silent()

    async def test_by_the_header_there_is_no_greeting(self, office: Office) -> None:
        async with office.voter() as client:
            assert await client.silent()

    async def test_who_is_none_is_refused(self, office: Office) -> None:
        initiator = new_token("i", bytes(ENTROPY))
        for token in (initiator, new_token("v", bytes(ENTROPY)), "nonsense"):
            with pytest.raises(InvalidStatus) as refused:
                async with office.voter(token=token):
                    pass
            assert refused.value.response.status_code == 401
            async with Client.connect(office.gateway.port, path="/v1/voter") as client:
                answer = await client.ask({"type": "authenticate", "token": token})
                assert answer == error("unauthorized", "token: unknown, expired or revoked")

    async def test_a_voters_token_opens_no_initiators_connection(self, office: Office) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with Client.connect(office.gateway.port, office.token):
                pass
        assert refused.value.response.status_code == 401
        async with Client.connect(office.gateway.port) as client:
            assert (await client.ask({"type": "authenticate", "token": office.token}))["code"] == "unauthorized"

    async def test_nothing_is_answered_before(self, office: Office) -> None:
        async with Client.connect(office.gateway.port, path="/v1/voter") as client:
            for message in ({"type": "ready", "capacity": 1}, {"type": "ping"}, result("a")):
                assert (await client.ask(message))["code"] == "unauthorized"

    async def test_who_takes_too_long_is_closed_with_4502(self, world: World) -> None:
        async with (
            opened(world, Limits(authentication_seconds=0.2)) as office,
            Client.connect(office.gateway.port, path="/v1/voter") as client,
        ):
            assert await client.closed() == 4502

    async def test_a_revoked_token_closes_its_open_connections(self, office: Office) -> None:
        another = await office.issue_token("ada")
        async with (
            office.voter(4) as closed,
            office.voter(4, another) as stays,
            office.voter(4, office.other_token) as bob,
        ):
            await office.revoke_token("ada", office.token)
            assert await closed.closed() == 4507
            assert await stays.silent()
            assert await bob.silent()

    async def test_a_revoked_voter_is_closed_and_let_in_no_more(self, office: Office) -> None:
        async with office.voter(4) as client:
            await office.change(voters.Revoke("ada", "a test", "test", now_ms()))
            assert await client.closed() == 4507
        with pytest.raises(InvalidStatus):
            async with office.voter():
                pass

    async def test_a_suspended_voter_stays_connected(self, office: Office) -> None:
        async with office.voter(4) as client:
            await office.change(voters.Suspend("ada", "a test", "test", now_ms()))
            (task,) = await office.desk.give()
            assert (await client.receive())["task_id"] == task.task_id
            assert await client.ask(result(task)) == accepted(task)

    async def test_more_connections_than_are_allowed_are_closed_with_4504(self, world: World) -> None:
        async with opened(world, Limits(instances=2)) as office:
            async with office.voter(), office.voter():
                async with office.voter() as third:
                    assert await third.closed() == 4504
                async with office.voter(token=office.other_token) as other:
                    assert await other.silent()
            await office.until_sessions(0)
            async with office.voter(1) as again:
                assert await again.silent()


class TestRules:
    async def test_a_type_of_the_initiators_is_none_here(self, office: Office) -> None:
        async with office.voter() as client:
            for kind in ("request", "resume", "get_voters", "accepted"):
                answer = await client.ask({"type": kind})
                assert answer == error("unsupported_type", f"type: {kind!r} is not supported")

    async def test_errors_in_a_row_end_it_with_4505(self, office: Office) -> None:
        async with office.voter() as client:
            for _ in range(9):
                await client.ask("nonsense")
            assert await client.silent()
            for _ in range(10):
                await client.send("nonsense")
            assert await client.closed() == 4505

    async def test_a_flood_ends_it_with_4003(self, world: World) -> None:
        async with opened(world, Limits(messages_per_second=1, burst=5)) as office, office.voter() as client:
            for _ in range(20):
                await client.send(result("some task"))
            answers = await client.receive_until(lambda message: message["code"] == "rate_limited")
            assert answers[-1]["task_id"] == "some task"
            assert answers[-1]["retryable"] is True
            assert await client.closed() == 4003

    async def test_a_binary_frame_ends_it_with_1003(self, office: Office) -> None:
        async with office.voter() as client:
            await client.send(b"{}")
            assert await client.closed() == 1003

    async def test_one_that_is_too_big_ends_it_with_1009(self, office: Office) -> None:
        async with office.voter() as client:
            await client.send(result("x", reason="x" * 262_144))
            assert await client.closed() == 1009


class TestPresence:
    async def test_each_connection_is_an_instance(self, office: Office) -> None:
        reader = DirectReader(office.world.bus, subjects.PRESENCE)
        await reader.start()

        async def until_instances(holds: Callable[[list[Instance]], bool], what: str) -> None:
            async def so() -> bool:
                return holds(await alive(reader, "voter.ada"))

            await until(so, what)

        async with office.voter(3, version="ada/1.2"), office.voter(5):
            await office.desk.give(3)
            await until_instances(lambda found: len(found) == 2, "both are there")
            await until_instances(
                lambda found: (
                    sorted((i.version, i.capacity) for i in found) == [("", 5), ("ada/1.2", 3)]
                    and sum(i.in_flight for i in found) == 3
                ),
                "both with what they have open",
            )
        await until_instances(lambda found: not found, "both have left")
