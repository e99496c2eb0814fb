"""A gateway that voters connect to, with streams and voters on a real server; tasks are given by the tests.

No orchestrator is there unless a test asks for one: what a voter says stays in the inbox, to be looked at.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec

from magi.domain import voter_commands as voters
from magi.domain.ids import VoterId
from magi.domain.messages import Task
from magi.domain.tokens import ENTROPY, new_token, token_hash, token_id
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.directory import change_voter
from magi.eventstore.presence import now_ms
from magi.gateway.server import Gateway
from magi.gateway.settings import GatewaySettings, Limits
from tests.gateway.client import Client, Message
from tests.orchestrator.world import World
from tests.voters.desk import Desk
from tests.waiting import until

QUICK = Limits(authentication_seconds=5.0, messages_per_second=100_000, burst=100_000)


class Consumer(msgspec.Struct):
    """The state of a voter's consumer."""

    num_ack_pending: int
    num_pending: int
    num_waiting: int


class Office:
    """Made by `opened`. The voter ``ada`` has `token`, ``bob`` another."""

    def __init__(self, world: World, exits: AsyncExitStack) -> None:
        self.world = world
        self._exits = exits
        self.gateway: Gateway
        self.bus: Bus
        """The gateway's own connection."""
        self.desk = Desk(world, "ada")
        self.token = ""
        self.other_token = ""

    async def open(self, limits: Limits) -> None:
        self.bus = await self.world.connect("gateway")
        self.gateway = await self.add_gateway(limits, self.bus)
        await self.register("ada")
        await self.register("bob")
        self.token = await self.issue_token("ada")
        self.other_token = await self.issue_token("bob")

    async def add_gateway(self, limits: Limits = QUICK, bus: Bus | None = None, grace: float = 1.0) -> Gateway:
        settings = GatewaySettings(port=0, grace_seconds=grace, limits=limits)
        bus = bus or await self.world.connect("gateway")
        gateway = Gateway(bus, settings, partitions=self.world.partitions, panel_size=5, default_group="default")
        await gateway.start()
        self._exits.push_async_callback(gateway.stop)
        return gateway

    @asynccontextmanager
    async def voter(
        self, capacity: int | None = None, token: str | None = None, gateway: Gateway | None = None, **ready: Any
    ) -> AsyncIterator[Client]:
        """A connection of a voter, by default of ``ada``; ready with `capacity` when one is given."""
        port = (gateway or self.gateway).port
        async with Client.connect(port, token or self.token, path="/v1/voter") as client:
            if capacity is not None:
                await client.send({"type": "ready", "capacity": capacity, **ready})
                assert await client.silent(), "no task is there yet"
            yield client

    # --- The directory -----------------------------------------------------------------------------------------------

    async def register(self, voter: str, **fields: Any) -> None:
        command = voters.Register(voter, "websocket", f"the voter {voter}", "default", "", "test", now_ms(), **fields)
        await change_voter(self.world.directory, command)
        await ensure_task_consumer(self.world.bus, VoterId(voter))

    async def issue_token(self, voter: str, **fields: Any) -> str:
        token = new_token("v", os.urandom(ENTROPY))
        digest = token_hash(token)
        await self.change(voters.IssueToken(voter, digest, "test", now_ms(), **fields))

        async def known() -> bool:
            return self.gateway._directory.directory.authenticate_voter(digest) is not None

        await until(known, f"the gateway knows a token of {voter}")
        return token

    async def revoke_token(self, voter: str, token: str) -> None:
        await self.change(voters.RevokeToken(voter, token_id(token_hash(token)), "", "test", now_ms()))

    async def change(self, command: Any) -> None:
        await change_voter(self.world.directory, command)

    # --- What is there -----------------------------------------------------------------------------------------------

    async def consumer(self, voter: str = "ada") -> Consumer:
        name = f"$JS.API.CONSUMER.INFO.{subjects.TASKS}.{subjects.task_consumer(VoterId(voter))}"
        return msgspec.json.decode(await self.world.bus.request(name), type=Consumer)

    async def until_tasks(self, holds: Callable[[Consumer], bool], what: str) -> None:
        async def so() -> bool:
            return holds(await self.consumer())

        await until(so, what)

    async def until_sessions(self, count: int) -> None:
        async def so() -> bool:
            return len(self.gateway._sessions) == count

        await until(so, f"the gateway has {count} sessions")


def result(task: Message | Task | str, vote: str = "pass", **fields: Any) -> Message:
    return {"type": "result", "task_id": _task_id(task), "vote": vote, **fields}


def progress(task: Message | Task | str, **fields: Any) -> Message:
    return {"type": "progress", "task_id": _task_id(task), **fields}


def accepted(task: Message | Task | str, kind: str = "result") -> Message:
    return {"type": "accepted", "task_id": _task_id(task), "kind": kind}


def error(code: str, message: str, task: Message | Task | str | None = None) -> Message:
    """An error that isn't to be tried again, whole."""
    about = {} if task is None else {"task_id": _task_id(task)}
    return {"type": "error", "code": code, "message": message, **about, "retryable": False}


def _task_id(task: Message | Task | str) -> str:
    if isinstance(task, str):
        return task
    return task.task_id if isinstance(task, Task) else str(task["task_id"])


@asynccontextmanager
async def opened(world: World, limits: Limits = QUICK) -> AsyncIterator[Office]:
    async with AsyncExitStack() as exits:
        office = Office(world, exits)
        await office.open(limits)
        yield office
