"""Requests without a verdict, by the thousand: submitted at once to voters that nobody is, and decided when we say so.

They are open as any other: an orchestrator received them, gave their tasks out, and put their submissions off until
their deadline, a day from now. The gateway is left out, since it lets no Initiator have so many.
"""

import asyncio
import contextlib
import random
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.load import ANSWER, QUERY
from bench.rivals import Rival
from magi.cli.context import Context
from magi.domain import voter_commands as voters
from magi.domain.errors import Conflict
from magi.domain.ids import AggregateId, InitiatorId, RequestId, VoterId, request_aggregate, task_id
from magi.domain.messages import ResultBallot, Submission, encode
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, PubAck
from magi.eventstore.client import Message
from magi.eventstore.codec import unpack
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.directory import change_voter, directory_log
from magi.eventstore.presence import now_ms
from magi.eventstore.streams import inbox_partitions
from tests.waiting import until

INITIATOR = InitiatorId("patient")
SILENT = tuple(VoterId(f"silent{number}") for number in range(1, 5))
"""Each has a part of the requests, and is all of their panel: one voter's queue takes 100,000 tasks."""
A_DAY = 86_400_000
AT_ONCE = 64
"""Publishes that are under way at one time."""


class Opened(Struct, frozen=True):
    aggregate: AggregateId
    voter: VoterId


class _State(Struct):
    messages: int = 0


class _Info(Struct):
    state: _State


class _Verdict(Struct):
    type: str


async def hire(bus: Bus) -> None:
    """Register the voters that nobody is, outside of the default group. `bus` is the operator's."""
    store = directory_log(bus)
    await store.start()
    for voter in SILENT:
        with contextlib.suppress(Conflict):  # it is there already
            await change_voter(store, voters.Register(voter, "nats", "", "silent", "", "bench", now_ms()))
        await ensure_task_consumer(bus, voter)


async def open_requests(rival: Rival, number: int) -> list[Opened]:
    """Submit so many, and return when each has its event and its task and is put off."""
    operator = await Context.load(rival.data).connect("operator", "bench")
    gateway = await Context.load(rival.data).connect("gateway", "bench")
    try:
        await hire(operator)
        await asyncio.sleep(2)  # until the orchestrator knows them
        partitions = await inbox_partitions(operator.nc)
        before = (await _state(operator, subjects.TASKS)).messages
        opened = await _submit(gateway, number, partitions)

        async def given() -> bool:
            await asyncio.sleep(0.2)
            return (await _state(operator, subjects.TASKS)).messages >= before + number

        await until(given, f"{number} tasks were given out", 3600)
        await asyncio.sleep(1)  # the last ones are put off
        return opened
    finally:
        await operator.close()
        await gateway.close()


async def _submit(bus: Bus, number: int, partitions: int) -> list[Opened]:
    opened = []
    waiting: set[asyncio.Future[PubAck]] = set()
    for at in range(number):
        name, voter = uuid.uuid4().hex, SILENT[at % len(SILENT)]
        submission = Submission(
            initiator_id=INITIATOR,
            request_id=name,
            user_query=QUERY,
            agent_answer=ANSWER,
            voter_list=(voter,),
            timeout_ms=A_DAY,
        )
        aggregate = request_aggregate(INITIATOR, RequestId(name))
        store = bus.store(subjects.submission(aggregate, INITIATOR, partitions), encode(submission))
        waiting.add(asyncio.ensure_future(store))
        if len(waiting) >= AT_ONCE:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        opened.append(Opened(aggregate, voter))
    await asyncio.gather(*waiting)
    return opened


async def decide(data: Path, opened: Sequence[Opened]) -> None:
    """Vote on these, and return when every one has its verdict."""
    bus = await Context.load(data).connect("gateway", "bench")
    missing = {one.aggregate for one in opened}
    every = asyncio.Event()

    def hear(msg: Message) -> None:
        # A verdict is the last event of its request, and so of its message.
        if msgspec.json.decode(unpack(msg.data)[-1], type=_Verdict).type == "adjudicated":
            missing.discard(AggregateId(msg.subject.removeprefix(subjects.LIVE_PREFIX)))
            if not missing:
                every.set()

    try:
        await bus.listen(subjects.live(INITIATOR), hear)
        partitions = await inbox_partitions(bus.nc)
        gate = asyncio.Semaphore(AT_ONCE)

        async def vote(one: Opened) -> None:
            async with gate:
                ballot = ResultBallot(task_id=task_id(one.aggregate, one.voter), vote="pass")
                await bus.store(subjects.ballot(one.aggregate, one.voter, partitions), encode(ballot))

        await asyncio.gather(*(vote(one) for one in opened))
        await asyncio.wait_for(every.wait(), 300)
    finally:
        await bus.close()


def some(opened: list[Opened], number: int) -> list[Opened]:
    """That many at random, taken out of `opened`."""
    random.shuffle(opened)
    taken, opened[:] = opened[:number], opened[number:]
    return taken


async def _state(bus: Bus, stream: str) -> _State:
    return msgspec.json.decode(await bus.request(f"$JS.API.STREAM.INFO.{stream}"), type=_Info).state
