"""What a run has left, read from the servers themselves, and what the operator's own commands say of it."""

import asyncio
from collections.abc import Container, Iterable, Sequence

import msgspec
import psycopg
from msgspec import Struct

from magi.domain.ids import VoterId
from magi.domain.messages import Task, decode_inbox, decode_task
from magi.domain.voting_request import RequestEvent
from magi.eventstore import subjects
from magi.eventstore.history import Recorded
from magi.eventstore.patience import patiently
from magi.projections.errors import NoTables, PostgresUnreachable
from magi.projections.postgres import connect
from magi.projections.status import Progress, status
from tests.chaos.checker import Evidence
from tests.chaos.clients import Asked
from tests.chaos.cluster import PROJECTOR, Cluster
from tests.chaos.content import GHOST, VOTERS
from tests.waiting import until, until_none

TASKS_DONE_WITHIN = 90.0
"""Seconds in which one of them is done. A killed instance's tasks come again after 10; a busy machine needs 40 to start
an instance."""
PROJECTED_WITHIN = 120.0
"""Seconds. The projector tries to connect to Postgres at most every few seconds."""


async def gather(cluster: Cluster, asked: Iterable[Asked]) -> Evidence:
    """Everything that is stored or waits, once nothing changes any more."""
    tasks = await _tasks_left(cluster)
    # As they are before the log is read: what somebody is told meanwhile would be told of nothing.
    seen = [msgspec.structs.replace(one, runs=[list(run) for run in one.runs]) for one in asked]
    log = await log_of(cluster)
    inbox = [message for data in await _messages(cluster, subjects.INBOX) for message in decode_inbox(data)]
    return Evidence(seen, log, inbox, tasks)


async def log_of(cluster: Cluster) -> list[Recorded[RequestEvent]]:
    """All of it."""
    return [recorded async for recorded in cluster.log.read()]


def alone(log: Iterable[Recorded[RequestEvent]], of: Container[str]) -> list[Recorded[RequestEvent]]:
    """The log as it would be if there were only the requests `of`."""
    own = [recorded for recorded in log if recorded.event.originator_id in of]
    places = {sequence: n for n, sequence in enumerate(dict.fromkeys(recorded.sequence for recorded in own), 1)}
    return [msgspec.structs.replace(recorded, sequence=places[recorded.sequence]) for recorded in own]


async def verified(cluster: Cluster) -> list[str]:
    """What is wrong by `magi audit verify --all`, and, where there is a projector, by `magi projections verify`."""
    commands: list[tuple[str, ...]] = [("audit", "verify", "--all")]
    problems: list[str] = []
    if PROJECTOR in cluster.parts:
        problems += await _projected(cluster)
        commands.append(("projections", "verify"))
    for command, (code, said) in zip(
        commands, await asyncio.gather(*(cluster.magi(*c) for c in commands)), strict=True
    ):
        if code != 0:
            problems.append(f"magi {' '.join(command)} exits {code}: {said[-2000:]}")
    return problems


async def _projected(cluster: Cluster) -> list[str]:
    """Wait until the tables hold both streams; nothing but that is a problem here."""
    found: Sequence[Progress] = ()

    async def all_of_them() -> bool:
        nonlocal found
        try:
            connection = await connect(cluster.postgres_url)
            try:
                found = (await status(connection, cluster.bus)).progress
            finally:
                await connection.close()
        except (PostgresUnreachable, NoTables, psycopg.Error):
            return False
        return bool(found) and all(one.behind == 0 for one in found)

    try:
        await until(all_of_them, "the tables hold both streams", PROJECTED_WITHIN)
    except AssertionError:
        return [f"the projector stands or is behind: {found}"]
    return []


async def _tasks_left(cluster: Cluster) -> list[Task]:
    """What voters have still to judge, once that is nothing or it took too long.

    A task that no consumer has any more doesn't count: a killed nats-server brought it back, and its TTL ends it.
    """

    async def left() -> int:
        count = 0
        for voter in VOTERS:
            name = f"{subjects.TASKS}.{subjects.task_consumer(VoterId(voter))}"
            state = msgspec.json.decode(await cluster.bus.request(f"$JS.API.CONSUMER.INFO.{name}"), type=_Consumer)
            count += state.num_pending + state.num_ack_pending
        return count

    try:
        await until_none(left, "tasks", TASKS_DONE_WITHIN)
        return []
    except AssertionError:
        tasks = map(decode_task, await _messages(cluster, subjects.TASKS))
        return [task for task in tasks if not task.task_id.endswith(f".{GHOST}")]


class _Consumer(Struct):
    num_pending: int
    num_ack_pending: int


class _Stored(Struct):
    data: bytes
    seq: int


class _Get(Struct):
    message: _Stored | None = None


async def _messages(cluster: Cluster, stream: str) -> list[bytes]:
    """All that a work queue holds."""
    found: list[bytes] = []
    start = 1
    while True:
        query = msgspec.json.encode({"seq": start, "next_by_subj": ">"})
        answer = await patiently(
            lambda query=query: cluster.bus.request(f"$JS.API.STREAM.MSG.GET.{stream}", query),  # type: ignore[misc]
            stream,
        )
        message = msgspec.json.decode(answer, type=_Get).message
        if message is None:
            return found
        found.append(message.data)
        start = message.seq + 1
