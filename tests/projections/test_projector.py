import asyncio
import json
from random import Random

import msgspec
import pytest

from magi.domain.clock import rfc3339
from magi.domain.ids import VoterId, voter_aggregate
from magi.domain.voter import VoterChanged, VoterSuspended
from magi.domain.voting_request import Adjudicated, VoterProgress, VoterResult
from magi.eventstore.bus import Bus
from magi.projections.errors import NotAllowed
from magi.projections.postgres import connect
from magi.projections.skips import skip
from tests.eventstore.damage import MESSAGES, with_a_broken_block
from tests.eventstore.logs import api, delete_message
from tests.ports import lasting_port
from tests.projections.histories import (
    START,
    Said,
    Stream,
    histories_of,
    in_messages,
    new_directory,
    registered,
    requests,
    some_uuid,
)
from tests.projections.postgres import PostgresServer
from tests.projections.world import World
from tests.proxy import Proxy
from tests.servers import NatsServer
from tests.waiting import until


async def skip_it(world: World, sequence: int, reason: str = "seen and understood", *, projection: str = "") -> None:
    connection = await connect(world.url)
    try:
        await skip(connection, sequence, reason, "tester", projection)
    finally:
        await connection.close()


async def test_every_event_becomes_its_rows(world: World) -> None:
    said = requests(40)
    await world.directory.put(registered("melchior", "casper"))
    await world.log.put(said)
    await world.projector()
    await world.caught_up()
    rows = {row["aggregate"]: row for row in await world.rows("SELECT * FROM magi.requests")}
    assert rows.keys() == histories_of(said).keys()
    assert not (await world.verified()).differences
    assert {row["user_query"] for row in rows.values()} == {None}


async def test_events_that_were_stored_together_become_their_rows_and_have_one_sequence(world: World) -> None:
    messages = in_messages(requests(40))
    for message in messages:
        await world.log.put_together(message)
    assert len({len(message) for message in messages}) > 3
    await world.projector()
    await world.caught_up()
    votes, verdicts = set(), set()
    for sequence, message in enumerate(messages, 1):
        for aggregate, event in message:
            if isinstance(event, VoterResult):
                votes.add((aggregate, event.voter_id, event.vote, sequence))
            elif isinstance(event, Adjudicated):
                verdicts.add((aggregate, event.final_vote, sequence))
    rows = await world.rows("SELECT aggregate, voter_id, vote, seq FROM magi.votes")
    assert {tuple(row.values()) for row in rows} == votes
    rows = await world.rows("SELECT aggregate, verdict, decided_seq FROM magi.requests WHERE verdict IS NOT NULL")
    assert {tuple(row.values()) for row in rows} == verdicts
    rebuilt = await world.rebuild().rebuild()
    assert (rebuilt.switched, rebuilt.verified.differences) == (True, ())


async def test_submitted_content_is_kept_when_the_setting_says_so(world: World) -> None:
    await world.log.put(requests(3))
    await world.projector(content=True)
    await world.caught_up()
    rows = await world.rows("SELECT user_query, agent_answer, metadata FROM magi.requests ORDER BY request_id")
    assert rows[0] == {
        "user_query": "question of r0\twith\\tabs",
        "agent_answer": "answer\nin two lines",
        "metadata": {"model": "m", "n": 1},
    }


async def test_a_projector_that_dies_at_any_point_is_taken_up_without_loss_or_repetition(world: World) -> None:
    random = Random(5)
    messages = in_messages(requests(200))

    async def write() -> None:
        for message in messages:
            await world.log.put_together(message)

    writing = asyncio.create_task(write())
    while not writing.done():
        projector = await world.projector()
        reached = (await world.positions()).get("requests", 0)

        async def moved(reached: int = reached) -> bool:
            return writing.done() or (await world.positions()).get("requests", 0) > reached

        await until(moved, "the projector has done something")
        await asyncio.sleep(random.random() * 0.01)  # anywhere: between a batch's rows and its commit, too
        await projector.stop()
    await writing
    await world.projector()
    await world.caught_up()
    assert not (await world.verified()).differences


async def test_of_two_projectors_one_works_and_the_other_takes_over(world: World) -> None:
    first = await world.projector()
    await world.caught_up()
    await world.projector()
    await world.log.put(requests(20))
    await world.caught_up()
    await first.stop()
    await world.log.put(requests(20, seed=2, first=20))
    await world.caught_up()
    assert not (await world.verified()).differences


async def test_postgres_that_is_killed_in_the_middle_loses_and_doubles_nothing(
    world: World, shared_postgres: PostgresServer
) -> None:
    await world.projector()
    writing = asyncio.create_task(world.log.put(requests(400)))

    async def begun() -> bool:
        return (await world.positions()).get("requests", 0) > 50

    await until(begun, "something is projected")
    shared_postgres.kill()
    await writing
    await world.caught_up(within=30)
    assert not (await world.verified()).differences


async def test_a_commit_whose_answer_is_lost_is_not_repeated(world: World) -> None:
    direct = world.url
    port = int(direct.rpartition(":")[2].partition("/")[0])
    async with Proxy(port) as proxy:
        world.url = direct.replace(f":{port}/", f":{proxy.url.rpartition(':')[2]}/")
        await world.projector()
        world.url = direct
        await world.log.put(requests(5))
        await world.caught_up()
        proxy.lose_answers()
        await world.log.put(requests(5, seed=2, first=5))
        connections = proxy.connections

        async def asked() -> bool:
            return proxy.lost > 0

        await until(asked, "Postgres has answered in vain")
        proxy.cut()
        await world.caught_up()
        assert proxy.connections > connections
    assert not (await world.verified()).differences


async def test_postgres_that_comes_late_is_waited_for(world: World) -> None:
    port = int(world.url.rpartition(":")[2].partition("/")[0])
    good = world.url
    async with Proxy(lasting_port()) as nowhere:
        world.url = good.replace(f":{port}/", f":{nowhere.url.rpartition(':')[2]}/")
        await world.projector()
        world.url = good
        await world.log.put(requests(3))

        async def tried() -> bool:
            return nowhere.connections > 2

        await until(tried, "the projector has tried more than once")
        nowhere._ports = [port]  # what listens there from now on
        await world.caught_up()


async def test_a_cut_connection_to_nats_is_waited_out(world: World, nats_server: NatsServer) -> None:
    async with Proxy(nats_server.port) as proxy:
        shaky = await Bus.connect(proxy.url, name="shaky")
        await world.projector(bus=shaky)
        await world.log.put(requests(30))
        await world.caught_up()
        proxy.cut()
        await world.log.put(requests(30, seed=2, first=30))
        await world.caught_up()
        assert not (await world.verified()).differences
        await shaky.close()


async def test_an_event_that_can_not_be_applied_stops_its_projection_only_until_it_is_skipped(world: World) -> None:
    await world.log.put(requests(5))
    before = len(world.log.stored)
    poison = await world.log.put_bytes(f"agent.{some_uuid()}", b'{"type":"received","content":{"user_query":"secret"}}')
    await world.log.put(requests(5, seed=2, first=5))
    await world.projector()
    status = await world.halted()
    (halt,) = status.live_halts
    assert (halt.projection, halt.kind, halt.sequence) == ("requests", "event", poison)
    assert "missing required field" in halt.reason
    assert "secret" not in halt.event
    assert (await world.positions())["requests"] == before
    await world.directory.put(registered("melchior"))  # the other stream goes on

    async def voter_there() -> bool:
        return bool(await world.rows("SELECT 1 FROM magi.voters WHERE voter_id = 'melchior'"))

    await until(voter_there, "the directory is projected")
    with pytest.raises(NotAllowed):
        await skip_it(world, poison + 1)
    await skip_it(world, poison)
    await world.caught_up()
    status = await world.status()
    assert not status.halts
    assert [(s.sequence, s.by, s.reason) for s in status.skips] == [(poison, "tester", "seen and understood")]
    assert not (await world.verified()).differences


async def test_a_message_is_passed_over_with_all_its_events_when_one_of_them_can_not_be_applied(world: World) -> None:
    histories = (requests(1, seed) for seed in range(100))
    received, *votes = next(found for found in map(without_progress, histories) if len(found) > 3)
    await world.log.put(requests(2, seed=4, first=7))
    before = len(world.log.stored)
    poison = await world.log.put_together([received, votes[0], votes[0]])
    await world.log.put(votes[1:2])
    await world.log.put(requests(3, seed=4, first=17))
    await world.projector()
    (halt,) = (await world.halted()).live_halts
    assert (halt.kind, halt.sequence, halt.subject) == ("event", poison, world.log.prefix + received.aggregate)
    assert "event 3 of 3" in halt.reason
    assert "voted already" in halt.reason
    assert "not kept here" in halt.event
    assert "question" not in halt.event
    assert (await world.positions())["requests"] == before
    assert len(await world.rows("SELECT 1 FROM magi.requests")) == 2
    await skip_it(world, poison)
    await world.caught_up()
    assert [(s.sequence, s.by) for s in (await world.status()).skips] == [
        (poison, "tester"),
        (poison + 1, "projector"),
    ]
    rows = await world.rows("SELECT aggregate FROM magi.requests")
    assert len(rows) == 5
    assert received.aggregate not in {row["aggregate"] for row in rows}
    assert not (await world.verified()).differences


def without_progress(said: list[Said]) -> list[Said]:
    return [one for one in said if not isinstance(one.event, VoterProgress)]


async def test_what_follows_a_skipped_event_in_its_request_is_passed_over_and_recorded(world: World) -> None:
    whole = requests(1, seed=3)
    aggregate = whole[0].aggregate
    poison = await world.log.put_bytes(aggregate, b"no JSON")
    await world.log.put(whole[1:])
    await world.log.put(requests(3, seed=4, first=7))
    await world.projector()
    await world.halted()
    await skip_it(world, poison)
    await world.caught_up()
    status = await world.status()
    assert [s.sequence for s in status.skips] == list(range(1, len(whole) + 1))
    assert {s.by for s in status.skips[1:]} == {"projector"}
    assert not (await world.verified()).differences


async def test_rows_that_postgres_refuses_are_traced_to_their_event(world: World) -> None:
    good = requests(30)
    await world.log.put(good)
    said = requests(1, seed=9, first=90)[0]
    # Its name is no UUID: nothing but Postgres looks at that.
    bad = Said(type(said.aggregate)("agent0.no-uuid"), said.event)
    await world.log.put([bad])
    await world.log.put(requests(10, seed=3, first=100))
    await world.projector()
    (halt,) = (await world.halted()).live_halts
    assert (halt.sequence, halt.kind) == (len(good) + 1, "event")
    assert "uuid" in halt.reason
    await skip_it(world, halt.sequence)
    await world.caught_up()
    assert not (await world.verified()).differences


async def test_a_hole_stops_the_projection_until_an_operator_lets_it_go_over(world: World) -> None:
    await world.log.put(requests(3))
    whole = len(world.log.stored)
    one = requests(1, seed=2, first=50)
    first = await world.log.put_bytes("agent.gone", b"1")
    await world.log.put_bytes("agent.gone", b"2")
    await world.log.put(one)
    for sequence in (first, first + 1):
        await delete_message(world.bus, world.log.name, sequence)
    await world.projector()
    (halt,) = (await world.halted()).live_halts
    assert (halt.kind, halt.sequence, halt.last_sequence) == ("hole", first, first + 1)
    assert (await world.positions())["requests"] == whole
    await skip_it(world, first)
    await world.caught_up()
    assert not (await world.verified()).differences


async def test_a_block_of_the_log_that_can_not_be_read_any_more_is_a_hole(
    database: str, fresh_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server says nothing of it to a consumer, ever."""
    monkeypatch.setattr("magi.projections.runner.IDLE", 0.2)
    name = await with_a_broken_block(fresh_nats, "broken.")
    bus = await Bus.connect(fresh_nats.url, name="test")
    world = World(bus, database, Stream(bus, name, "broken."), await new_directory(bus))
    await world.projector()
    (halt,) = (await world.halted()).live_halts
    assert (halt.kind, halt.sequence) == ("hole", 1)
    assert 1 < halt.last_sequence < MESSAGES
    assert "can't be read" in halt.reason
    await world.close()
    await bus.close()


async def test_a_stream_that_was_made_anew_is_refused(world: World) -> None:
    await world.log.put(requests(3))
    await world.projector()
    await world.caught_up()
    before = await world.rows("SELECT aggregate FROM magi.requests ORDER BY 1")
    info = await api(world.bus, f"STREAM.INFO.{world.log.name}")
    config = json.loads(info)["config"]
    await api(world.bus, f"STREAM.DELETE.{world.log.name}")
    await api(world.bus, f"STREAM.CREATE.{world.log.name}", json.dumps(config).encode())
    for number in range(40):
        await world.bus.store(f"{world.log.prefix}agent.{some_uuid()}", b"%d" % number)
    (halt,) = (await world.halted()).live_halts
    assert halt.kind == "stream"
    assert "made anew" in halt.reason
    assert await world.rows("SELECT aggregate FROM magi.requests ORDER BY 1") == before


async def test_a_nul_is_shown_as_a_replacement_and_stops_nothing(world: World) -> None:
    said = requests(1, seed=3)
    aggregate, received = said[0]
    await world.log.put([said[0]])
    voter = received.voters[0]  # type: ignore[attr-defined]
    vote = (
        f'{{"type":"voter_result","aggregate":"{aggregate}","version":2,"id":"x","at":"2026-01-31T12:00:01.000Z",'
        f'"voter_id":"{voter}","vote":"pass","reason":"a\\u0000b"}}'
    )
    await world.log.put_bytes(aggregate, vote.encode())
    await world.projector()
    await world.caught_up()
    status = await world.status()
    rows = await world.rows("SELECT reason FROM magi.votes")
    assert (rows, status.halts) == ([{"reason": "a�b"}], ())


async def test_names_that_no_index_can_hold_stop_the_projection_as_any_other_event(world: World) -> None:
    """Postgres says of them what it says of a full disk: that it is its own limit."""
    random = Random(1)
    long = "".join(random.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8000))
    said = requests(1, seed=9, first=90)[0]
    await world.log.put([Said(said.aggregate, msgspec.structs.replace(said.event, request_id=long))])
    name = f"voter.{long[:3900]}"
    (voter,) = registered("melchior")
    await world.directory.put([Said(type(voter.aggregate)(name), voter.event)])
    await world.log.put(requests(3, seed=3))
    await world.projector()

    async def both() -> bool:
        return bool(await world.positions()) and len((await world.status()).halts) == 2

    await until(both, "both stand")
    assert {halt.sequence for halt in (await world.status()).live_halts} == {1}
    with pytest.raises(NotAllowed, match="requests and voters stand at 1"):
        await skip_it(world, 1)
    await skip_it(world, 1, projection="requests")
    await skip_it(world, 1, projection="voters")
    await world.caught_up()
    assert not (await world.verified()).differences


async def test_what_is_known_of_a_voter_outlives_its_projector(world: World) -> None:
    await world.directory.put(registered("melchior"))
    at, aggregate = rfc3339(START), voter_aggregate(VoterId("melchior"))
    await world.directory.put([Said(aggregate, VoterSuspended(originator_id=aggregate, at=at, reason="slow", by="t"))])
    projector = await world.projector()
    await world.caught_up()
    await projector.stop()
    await world.directory.put(
        [Said(aggregate, VoterChanged(originator_id=aggregate, at=at, description="new", by="t"))]
    )
    await world.projector()
    await world.caught_up()
    (row,) = await world.rows('SELECT description, kind, "group", status FROM magi.voters')
    assert row == {"description": "new", "kind": "builtin", "group": "default", "status": "suspended"}
    assert not (await world.verified()).differences
