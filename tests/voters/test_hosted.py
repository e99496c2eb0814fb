"""The voters that MAGI runs itself are those that are registered, as they are registered."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from magi.domain import voter_commands as voters
from magi.domain.ids import VoterId
from magi.domain.messages import Opinion, Task
from magi.domain.voter import Voter
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.directory import change_voter
from magi.eventstore.presence import now_ms
from magi.voters import hosted
from magi.voters.agent import Judge
from magi.voters.hosted import HostedVoters
from magi.voters.kind_settings import BadSettings
from tests.orchestrator.world import World
from tests.voters.desk import Desk
from tests.waiting import until


class House:
    """Hosted voters whose judges say what their settings say, and note when they open and close."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.open: list[str] = []
        self.closed: list[str] = []
        self.locked = True
        self.voters = HostedVoters(world.bus, lambda _, voter: voter.kind == "http", self._make)

    @contextlib.asynccontextmanager
    async def _make(self, name: VoterId, voter: Voter) -> AsyncIterator[Judge]:
        said = str(voter.settings["says"])
        if said == "secret" and self.locked:
            raise BadSettings("secret_file: can't be read")

        async def judge(task: Task) -> Opinion:
            return Opinion.passes(said)

        self.open.append(f"{name} {said}")
        yield judge
        self.closed.append(f"{name} {said}")

    async def register(self, name: str, says: str, kind: Any = "http") -> None:
        command = voters.Register(name, kind, "", "default", "", "test", now_ms(), settings={"says": says})
        await change_voter(self.world.directory, command)
        await ensure_task_consumer(self.world.bus, VoterId(name))

    async def until_running(self, *names: str) -> None:
        async def running() -> bool:
            return self.voters.running == frozenset(names)

        await until(running, f"{names} run", 30)


@pytest.fixture
async def house(world: World) -> AsyncIterator[House]:
    house = House(world)
    await house.register("early", "first")
    await house.voters.start()
    yield house
    await house.voters.stop()


async def test_what_is_registered_runs(house: House) -> None:
    assert house.voters.running == {"early"}
    desk = Desk(house.world, "early")
    await desk.give()
    (result,) = await desk.until_done(1)
    assert result.reason == "first"


async def test_what_is_registered_later_runs_and_other_kinds_do_not(house: House) -> None:
    await house.register("there", "x", "nats")
    await house.register("later", "x")
    await house.until_running("early", "later")


async def test_a_change_of_its_settings_is_in_force_from_then_on(house: House) -> None:
    await change_voter(house.world.directory, voters.Change("early", "test", now_ms(), settings={"says": "second"}))

    async def anew() -> bool:
        return house.open == ["early first", "early second"]

    await until(anew, "it runs as it is registered now")
    assert house.closed == ["early first"]
    desk = Desk(house.world, "early")
    await desk.give()
    assert [result.reason for result in await desk.until_done(1)] == ["second"]


async def test_a_change_of_its_description_does_not_interrupt_it(house: House) -> None:
    await change_voter(house.world.directory, voters.Change("early", "test", now_ms(), description="new"))
    await house.register("later", "x")
    await house.until_running("early", "later")
    assert house.open == ["early first", "later x"]


async def test_a_suspended_voter_runs_on_and_a_revoked_one_ends(house: House) -> None:
    await change_voter(house.world.directory, voters.Suspend("early", "", "test", now_ms()))
    await house.register("later", "x")
    await house.until_running("early", "later")
    await change_voter(house.world.directory, voters.Revoke("early", "", "test", now_ms()))
    await house.until_running("later")

    async def closed() -> bool:
        return house.closed == ["early first"]

    await until(closed, "its resources are closed, after it has ended")


async def test_one_that_can_not_run_holds_up_nobody_and_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted, "AGAIN", 0.05)
    await house.register("locked", "secret")
    await house.register("later", "x")
    await house.until_running("early", "later")
    house.locked = False
    await house.until_running("early", "later", "locked")
