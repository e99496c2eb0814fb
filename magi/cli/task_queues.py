"""How many tasks wait for each voter: asked of the consumers that their instances share."""

import asyncio
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from magi.cli.directory_report import Queue
from magi.domain.ids import VoterId
from magi.eventstore import subjects
from magi.eventstore.bus import Bus


class _Info(Struct, frozen=True):
    num_pending: int = 0
    num_ack_pending: int = 0
    error: msgspec.Raw | None = None


async def task_queues(bus: Bus, voters: Iterable[VoterId]) -> dict[str, Queue]:
    """The queue of each voter that has one. Raises BusError."""

    async def one(voter: VoterId) -> tuple[str, _Info]:
        name = subjects.task_consumer(voter)
        answer = await bus.request(f"$JS.API.CONSUMER.INFO.{subjects.TASKS}.{name}")
        return voter, msgspec.json.decode(answer, type=_Info)

    found = await asyncio.gather(*(one(voter) for voter in voters))
    return {voter: Queue(info.num_pending, info.num_ack_pending) for voter, info in found if info.error is None}
