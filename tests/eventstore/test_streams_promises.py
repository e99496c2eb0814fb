"""What the declared streams promise, seen on a real server: what is kept, refused, passed on and forgotten."""

import asyncio
from collections.abc import Callable

import msgspec
import nats
import pytest
from msgspec.structs import replace
from nats.aio.client import Client
from nats.js.errors import APIError, KeyNotFoundError

from magi.eventstore.declarations import INBOX, LOG, PRESENCE, TASKS, StreamDeclaration, find, load_declarations
from magi.eventstore.streams import apply, check, diff, ensure_presence
from tests.servers import NatsServer
from tests.waiting import until

DECLARATIONS = load_declarations()
EVENT = "magi.log.agent.0f0e0d0c-0b0a-4908-8706-050403020100"


@pytest.fixture(autouse=True)
async def applied(nc: Client) -> None:
    await apply(nc, DECLARATIONS)


async def messages(nc: Client, stream: str) -> int:
    return (await nc.jetstream().stream_info(stream)).state.messages


async def test_a_stored_event_is_passed_on_under_magi_live(nc: Client) -> None:
    live = await nc.subscribe("magi.live.agent.>")
    ack = await nc.jetstream().publish(EVENT, b"event")
    message = await live.next_msg(timeout=30)
    assert (message.subject, message.data) == (EVENT.replace("magi.log.", "magi.live."), b"event")
    assert message.headers is not None
    assert (message.headers["Nats-Subject"], message.headers["Nats-Sequence"]) == (EVENT, str(ack.seq))


async def test_nothing_leaves_the_log(nc: Client) -> None:
    js = nc.jetstream()
    ack = await js.publish(EVENT, b"event")
    with pytest.raises(APIError, match="message delete not permitted"):
        await js.delete_msg(LOG, ack.seq)
    with pytest.raises(APIError, match="stream purge not permitted"):
        await js.purge_stream(LOG)
    with pytest.raises(APIError, match="rollup not permitted"):
        await js.publish(EVENT, b"another", headers={"Nats-Rollup": "all"})
    with pytest.raises(APIError, match="message TTL is disabled"):
        await js.publish(EVENT, b"another", headers={"Nats-TTL": "1s"})
    assert (await js.get_msg(LOG, ack.seq, direct=True)).data == b"event"


async def test_the_log_takes_atomic_batches_and_compares_before_it_stores(nc: Client) -> None:
    def batch(n: int) -> dict[str, str]:
        return {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": str(n)}

    await nc.publish(EVENT, b"1", headers=batch(1) | {"Nats-Expected-Last-Subject-Sequence": "0"})
    ack = await nc.request(EVENT, b"2", headers=batch(2) | {"Nats-Batch-Commit": "1"})
    assert msgspec.json.decode(ack.data)["seq"] == 2
    with pytest.raises(APIError, match="wrong last sequence: 2"):
        await nc.jetstream().publish(EVENT, b"3", headers={"Nats-Expected-Last-Subject-Sequence": "1"})


async def test_an_acknowledged_submission_leaves_the_inbox(nc: Client) -> None:
    js = nc.jetstream()
    await js.publish("magi.inbox.3.submission.agent", b"submission")
    await js.publish("magi.inbox.3.ballot.voter_1", b"ballot")
    consumer = await js.pull_subscribe("magi.inbox.3.>", durable="partition-3", stream=INBOX)
    first, _ = await consumer.fetch(2, timeout=30)
    await first.ack_sync()
    assert await messages(nc, INBOX) == 1


async def test_a_full_inbox_refuses_and_keeps_what_it_has(nc: Client) -> None:
    small = StreamDeclaration(INBOX, replace(find(DECLARATIONS, INBOX).config, max_msgs=1))
    await apply(nc, [small])
    await nc.jetstream().publish("magi.inbox.0.submission.agent", b"first")
    with pytest.raises(APIError, match="maximum messages exceeded"):
        await nc.jetstream().publish("magi.inbox.0.submission.agent", b"second")
    assert (await nc.jetstream().get_msg(INBOX, 1)).data == b"first"


async def test_a_task_expires_at_its_deadline(nc: Client) -> None:
    await nc.jetstream().publish("magi.tasks.voter_1", b"soon", headers={"Nats-TTL": "1s"})
    await nc.jetstream().publish("magi.tasks.voter_1", b"later", headers={"Nats-TTL": "60s"})

    async def one_is_left() -> bool:
        return await messages(nc, TASKS) == 1

    await until(one_is_left, "the first task is gone")
    assert (await nc.jetstream().get_msg(TASKS, 2)).data == b"later"


async def test_a_voter_that_stopped_pulling_fills_only_its_own_subject(nc: Client) -> None:
    small = StreamDeclaration(TASKS, replace(find(DECLARATIONS, TASKS).config, max_msgs_per_subject=1))
    await apply(nc, [small])
    js = nc.jetstream()
    await js.publish("magi.tasks.dead", b"first")
    with pytest.raises(APIError, match="maximum messages per subject exceeded"):
        await js.publish("magi.tasks.dead", b"second")
    await js.publish("magi.tasks.alive", b"first")


async def test_a_task_that_is_dispatched_twice_is_stored_once(nc: Client) -> None:
    js = nc.jetstream()
    acks = [await js.publish("magi.tasks.voter_1", b"task", headers={"Nats-Msg-Id": "agent.u.voter_1"}) for _ in "12"]
    assert [bool(ack.duplicate) for ack in acks] == [False, True]


async def test_a_heartbeat_that_stops_is_gone_at_its_age(nc: Client) -> None:
    # A second and not the declared four: what is to be seen is that the bucket's age ends a key.
    quick = replace(find(DECLARATIONS, PRESENCE).config, max_age=10**9, duplicate_window=10**9)
    await apply(nc, [StreamDeclaration(PRESENCE, quick)])
    bucket = await nc.jetstream().key_value("magi_presence")
    written = asyncio.get_running_loop().time()
    await bucket.put("orchestrator.a", b"alive")
    assert (await bucket.get("orchestrator.a")).value == b"alive"

    async def gone() -> bool:
        try:
            await bucket.get("orchestrator.a")
        except KeyNotFoundError:
            return True
        return False

    await until(gone, "the key is gone")
    assert asyncio.get_running_loop().time() - written > 0.9


@pytest.mark.parametrize("end", [NatsServer.stop, NatsServer.kill])
async def test_after_a_restart_all_is_there_but_presence_which_any_part_makes_again(
    fresh_nats: NatsServer, end: Callable[[NatsServer], None]
) -> None:
    client = await nats.connect(fresh_nats.url)
    await apply(client, DECLARATIONS)
    await client.jetstream().publish(EVENT, b"event")
    await client.jetstream().publish("magi.inbox.0.submission.agent", b"submission")
    await client.close()
    end(fresh_nats)
    fresh_nats.start()
    client = await nats.connect(fresh_nats.url)
    assert [(d.stream, d.field, d.live) for d in await diff(client, DECLARATIONS)] == [(PRESENCE, "stream", "missing")]
    await check(client, DECLARATIONS)
    await ensure_presence(client, DECLARATIONS)
    assert await diff(client, DECLARATIONS) == []
    bucket = await client.jetstream().key_value("magi_presence")
    await bucket.put("gateway.a", b"alive")
    assert (await messages(client, LOG), await messages(client, INBOX)) == (1, 1)
    await client.close()
