"""Requests as they were: the library's repository over a history that the log wrote."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from eventsourcing.domain import ImmutableAggregateProtocol
from eventsourcing.persistence import DataError, OperationalError

from magi.domain.messages import ResultBallot
from magi.domain.voting_request import INITIAL, CastVote, RequestEvent, VotingRequest, decide, evolve, fold
from magi.eventstore.bus import Bus
from magi.eventstore.history import EMPTY
from magi.eventstore.log import JetStreamLog
from magi.eventstore.persistence.repository import (
    AggregateNotFoundError,
    RequestAggregate,
    RequestRepository,
    project,
    request_repository,
)
from tests.eventstore.contract import OTHER, REQUEST, progress, received
from tests.eventstore.logs import PREFIX, make_log
from tests.servers import NatsServer

DECIDED = 1_767_225_601_000
"""A second after the submission (milliseconds)."""


@pytest.fixture
async def log(bus: Bus, log_stream: str) -> JetStreamLog[RequestEvent]:
    return await make_log(bus, log_stream)


@pytest.fixture
async def repository(nats_server: NatsServer, log: JetStreamLog[RequestEvent]) -> AsyncIterator[RequestRepository]:
    def make() -> RequestRepository:
        return request_repository(nats_server.url, stream=log.stream, prefix=PREFIX, patience=0.5)

    repository = await asyncio.to_thread(make)
    yield repository
    await asyncio.to_thread(repository.close)


async def write_a_request(log: JetStreamLog[RequestEvent]) -> list[VotingRequest]:
    """Append a request's whole life. Returns its state at version 0, 1, 2 …"""
    first = received("the answer")
    vote = ResultBallot(task_id="", vote="pass", reason="fine")
    head = EMPTY
    states = [INITIAL]
    state = INITIAL
    for decide_next in ([first], [progress()], None):
        new = decide_next or decide(state, CastVote("casper", vote, arrived=DECIDED, now=DECIDED))
        for recorded in await log.append(REQUEST, new, head):
            head = recorded.head
            state = evolve(state, recorded.event)
            states.append(state)
    return states


async def get(repository: RequestRepository, version: int | None = None) -> VotingRequest:
    return await asyncio.to_thread(lambda: repository.get(REQUEST, version=version))


async def test_a_request_is_had_as_it_was_at_each_version(
    log: JetStreamLog[RequestEvent], repository: RequestRepository
) -> None:
    states = await write_a_request(log)
    assert len(states) == 5
    for version in range(1, 5):
        assert await get(repository, version) == states[version]
    assert (await get(repository, 2)).verdict is None
    now = await get(repository)
    assert now == states[-1]
    assert now.verdict is not None
    assert now.verdict.final_vote == "pass"
    assert now == fold([recorded.event for recorded in await log.load(REQUEST)])


async def test_what_is_appended_meanwhile_is_seen(
    log: JetStreamLog[RequestEvent], repository: RequestRepository
) -> None:
    appended = await log.append(REQUEST, [received("x")], EMPTY)
    assert (await get(repository)).version == 1
    await log.append(REQUEST, [progress()], appended[-1].head)
    assert (await get(repository)).version == 2


async def test_a_request_that_never_was_is_not_found(
    log: JetStreamLog[RequestEvent], repository: RequestRepository
) -> None:
    await log.append(OTHER, [received("x")], EMPTY)
    for version in (None, 3):
        with pytest.raises(AggregateNotFoundError, match=str(REQUEST)):
            await get(repository, version)


async def test_damage_is_a_data_error(bus: Bus, log: JetStreamLog[RequestEvent], repository: RequestRepository) -> None:
    await log.append(REQUEST, [received("x")], EMPTY)
    await bus.store(f"{PREFIX}{REQUEST}", b"no event")
    with pytest.raises(DataError, match="sequence 2"):
        await get(repository)


@pytest.mark.parametrize("wrong", [{"stream": "NO_SUCH_LOG"}, {"url": "nats://127.0.0.1:1"}])
async def test_a_log_that_does_not_answer_is_an_operational_error(
    nats_server: NatsServer, wrong: dict[str, str]
) -> None:
    def look() -> VotingRequest:
        url = wrong.get("url", nats_server.url)
        with request_repository(url, stream=wrong.get("stream", "MAGI_LOG"), patience=0.1) as repository:
            return repository.get(REQUEST)

    with pytest.raises(OperationalError):
        await asyncio.to_thread(look)


def test_a_projected_request_is_what_the_library_calls_an_aggregate() -> None:
    projector: Callable[[RequestAggregate | None, list[RequestEvent]], RequestAggregate | None] = project
    assert projector(None, []) is None
    aggregate = projector(None, [received("x")])
    assert aggregate is not None
    request: ImmutableAggregateProtocol[str] = aggregate
    assert (request.id, request.version) == ("", 1)
