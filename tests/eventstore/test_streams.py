"""Applying, comparing and checking the declared streams on a real server."""

import contextlib
import json

import nats
import pytest
from msgspec.structs import replace
from nats.aio.client import Client
from nats.aio.msg import Msg

from magi.eventstore.bus import Bus
from magi.eventstore.consumers import ensure_inbox_consumer
from magi.eventstore.declarations import (
    INBOX,
    LOG,
    PARTITIONS,
    PRESENCE,
    TASKS,
    Overrides,
    StreamDeclaration,
    find,
    load_declarations,
)
from magi.eventstore.differences import Difference
from magi.eventstore.pull import PullConsumer
from magi.eventstore.stream_config import ConsumerLimits, Republish
from magi.eventstore.streams import (
    NotInPlace,
    PartitionsInUse,
    StreamRefused,
    StreamsError,
    StreamsUnreachable,
    WeakerStreams,
    apply,
    check,
    diff,
    ensure_presence,
    inbox_partitions,
)
from magi.eventstore.subjects import GROUP, inbox_consumer
from tests.servers import NatsServer
from tests.waiting import until

DECLARATIONS = load_declarations()
SECOND = 10**9


def changed(stream: str, **changes: object) -> tuple[StreamDeclaration, ...]:
    """Our declarations, those of `stream` with `changes`."""
    return tuple(
        StreamDeclaration(d.name, replace(d.config, **changes)) if d.name == stream else d for d in DECLARATIONS
    )


async def test_apply_creates_what_is_missing_and_a_second_time_changes_nothing(nc: Client) -> None:
    first = await apply(nc, DECLARATIONS)
    assert [(a.stream, a.action) for a in first] == [(d.name, "created") for d in DECLARATIONS]
    before = await stored(nc)
    assert {a.action for a in await apply(nc, DECLARATIONS)} == {"unchanged"}
    assert await stored(nc) == before
    assert await diff(nc, DECLARATIONS) == []
    await check(nc, DECLARATIONS)


async def test_streams_in_memory_and_with_other_partitions_can_be_applied_too(nc: Client) -> None:
    declarations = load_declarations(overrides=Overrides(storage="memory", partitions=3))
    await apply(nc, declarations)
    await check(nc, declarations)
    assert await inbox_partitions(nc) == 3


async def test_diff_tells_field_by_field_what_is_declared_and_what_is_live(nc: Client) -> None:
    await apply(nc, changed(LOG, compression="s2", max_msg_size=2048, allow_direct=False))
    await nc.request("$JS.API.STREAM.DELETE.MAGI_TASKS", b"")
    assert await diff(nc, DECLARATIONS) == [
        Difference(LOG, "max_msg_size", "1MiB", "2KiB", weaker=True),
        Difference(LOG, "compression", "none", "s2", weaker=True),
        Difference(LOG, "allow_direct", "true", "false", weaker=True),
        Difference(TASKS, "stream", "present", "missing", weaker=True),
    ]


@pytest.mark.parametrize(
    ("stream", "weak"),
    [
        (LOG, {"storage": "memory"}),
        (LOG, {"retention": "interest"}),
        (LOG, {"discard": "old"}),
        (LOG, {"persist_mode": "async", "allow_atomic": False}),
        (LOG, {"deny_delete": False}),
        (LOG, {"deny_purge": False}),
        (LOG, {"deny_purge": False, "allow_rollup_hdrs": True}),
        (LOG, {"max_age": 3600 * SECOND}),
        (LOG, {"max_msgs": 10}),
        (LOG, {"max_bytes": 1024}),
        (LOG, {"max_msgs_per_subject": 1}),
        (LOG, {"max_msg_size": 100}),
        (LOG, {"duplicate_window": SECOND}),
        (LOG, {"subjects": ("elsewhere.*",), "republish": None}),
        (LOG, {"republish": None}),
        (LOG, {"republish": Republish(src="magi.log.>", dest="elsewhere.>")}),
        (LOG, {"allow_direct": False}),
        (LOG, {"allow_atomic": False}),
        (LOG, {"allow_msg_ttl": True}),
        (LOG, {"no_ack": True, "allow_atomic": False}),
        (LOG, {"subject_transform": {"src": "magi.log.*.*", "dest": "x.{{wildcard(1)}}"}, "republish": None}),
        (INBOX, {"consumer_limits": ConsumerLimits(max_ack_pending=10)}),
        (INBOX, {"metadata": {}}),
        (INBOX, {"subjects": ("magi.inbox.*.ballot.*",)}),
        (INBOX, {"max_consumers": 2}),
        (INBOX, {"retention": "limits"}),
        (TASKS, {"allow_msg_ttl": False}),
        (TASKS, {"max_age": 3600 * SECOND}),
        (TASKS, {"discard_new_per_subject": False}),
        (PRESENCE, {"max_age": 60 * SECOND}),
        (PRESENCE, {"allow_rollup_hdrs": False}),
    ],
    ids=str,
)
async def test_a_stream_that_was_made_weaker_is_named_with_each_weak_field(
    nc: Client, stream: str, weak: dict[str, object]
) -> None:
    await apply(nc, changed(stream, **weak))
    with pytest.raises(WeakerStreams, match="magi streams apply") as caught:
        await check(nc, DECLARATIONS)
    assert {(d.stream, d.field.partition(".")[0]) for d in caught.value.differences} == {(stream, f) for f in weak}
    for difference in caught.value.differences:
        assert f"{stream}: {difference.field} is {difference.live}, declared {difference.declared}" in str(caught.value)


async def test_fewer_replicas_than_declared_are_weaker(nc: Client) -> None:
    await apply(nc, DECLARATIONS)
    with pytest.raises(WeakerStreams, match="MAGI_LOG: num_replicas is 1, declared 3"):
        await check(nc, load_declarations(overrides=Overrides(replicas=3)))


async def test_no_streams_at_all_is_weaker_and_says_what_to_do(nc: Client) -> None:
    with pytest.raises(
        WeakerStreams, match=r"MAGI_LOG: stream is missing.*\n(.*\n)*Run `magi streams apply`"
    ) as caught:
        await check(nc, DECLARATIONS)
    assert PRESENCE not in {d.stream for d in caught.value.differences}


async def test_what_is_different_but_not_weaker_stops_nobody(nc: Client) -> None:
    await apply(nc, changed(LOG, description=""))
    assert [d.field for d in await diff(nc, DECLARATIONS)] == ["description"]
    await check(nc, DECLARATIONS)


async def test_apply_makes_weak_fields_strong_again_where_jetstream_can(nc: Client) -> None:
    weak = changed(LOG, deny_delete=False, deny_purge=False, discard="old", republish=None, max_age=3600 * SECOND)
    await apply(nc, weak)
    applied = {a.stream: a for a in await apply(nc, DECLARATIONS)}
    assert applied[LOG].action == "updated"
    assert {d.field for d in applied[LOG].changes} == {"deny_delete", "deny_purge", "discard", "republish", "max_age"}
    await check(nc, DECLARATIONS)


@pytest.mark.parametrize(
    ("stream", "live", "fields"),
    [
        (LOG, {"storage": "memory"}, "storage from memory to file"),
        (LOG, {"allow_msg_ttl": True}, "allow_msg_ttl from true to false"),
        (LOG, {"persist_mode": "async", "allow_atomic": False}, "persist_mode from async to default"),
        (INBOX, {"retention": "limits"}, "retention from limits to workqueue"),
        (INBOX, {"deny_purge": True, "deny_delete": True}, "deny_delete from true to false, deny_purge from true to"),
    ],
)
async def test_what_jetstream_cannot_change_is_refused_with_what_and_why(
    nc: Client, stream: str, live: dict[str, object], fields: str
) -> None:
    await apply(nc, changed(stream, **live))
    before = await stored(nc)
    with pytest.raises(NotInPlace, match=f"can't change {fields}.*back the stream up") as caught:
        await apply(nc, DECLARATIONS)
    assert (caught.value.stream, caught.value.action, caught.value.err_code) == (stream, "update", 10052)
    assert caught.value.description in str(caught.value)
    assert await stored(nc) == before


async def test_a_stream_whose_subjects_belong_to_another_is_refused(nc: Client) -> None:
    await nc.jetstream().add_stream(name="OTHER", subjects=["magi.log.>"])
    with pytest.raises(StreamRefused, match="refused to create MAGI_LOG: subjects overlap") as caught:
        await apply(nc, [find(DECLARATIONS, LOG)])
    assert (caught.value.stream, caught.value.err_code) == (LOG, 10065)


async def test_more_replicas_than_servers_are_refused(nc: Client) -> None:
    with pytest.raises(StreamRefused, match="replicas > 1 not supported"):
        await apply(nc, load_declarations(overrides=Overrides(replicas=3)))


async def test_metadata_of_others_survives_an_update(nc: Client) -> None:
    await apply(nc, changed(INBOX, metadata={PARTITIONS: "8", "team": "a"}, max_msgs=10))
    await apply(nc, DECLARATIONS)
    assert (await nc.jetstream().stream_info(INBOX)).config.metadata["team"] == "a"  # type: ignore[index]


async def test_the_partitions_change_when_the_inbox_is_empty_and_not_before(nc: Client) -> None:
    await apply(nc, DECLARATIONS)
    assert await inbox_partitions(nc) == 8
    await nc.jetstream().publish("magi.inbox.7.submission.agent", b"open")
    sixteen = load_declarations(overrides=Overrides(partitions=16))
    with pytest.raises(PartitionsInUse, match="from 8 to 16 while 1 messages wait: stop the gateways"):
        await apply(nc, sixteen)
    assert await inbox_partitions(nc) == 8
    await nc.jetstream().purge_stream(INBOX)
    await apply(nc, sixteen)
    assert await inbox_partitions(nc) == 16


async def test_the_partitions_do_not_change_under_those_who_read_them_and_take_their_consumers_along(
    nats_server: NatsServer,
) -> None:
    bus = await Bus.connect(nats_server.url, name="test")
    await apply(bus.nc, DECLARATIONS)
    for partition in range(8):
        await ensure_inbox_consumer(bus, partition)

    async def ignore(_: Msg) -> None: ...

    reader = PullConsumer(bus, INBOX, inbox_consumer(5), ignore, group=GROUP)
    await reader.start()
    two = load_declarations(overrides=Overrides(partitions=2))

    async def refused() -> bool:  # the server may not have got the pull request yet
        with contextlib.suppress(PartitionsInUse):
            await apply(bus.nc, two)
            await apply(bus.nc, DECLARATIONS)
            return False
        return True

    await ensure_inbox_consumer(bus, 5)
    await until(refused, "the change is refused while partition 5 is read")
    await reader.stop()

    async def applied() -> bool:
        with contextlib.suppress(PartitionsInUse):
            await apply(bus.nc, two)
            return True
        return False

    await until(applied, "the change is made once nobody reads")
    names = json.loads(await bus.request(f"$JS.API.CONSUMER.NAMES.{INBOX}"))["consumers"]
    assert sorted(names) == ["inbox-0", "inbox-1"]
    await bus.close()


async def test_other_fields_of_the_inbox_change_while_messages_wait(nc: Client) -> None:
    await apply(nc, changed(INBOX, max_msgs=10))
    await nc.jetstream().publish("magi.inbox.7.submission.agent", b"open")
    await apply(nc, DECLARATIONS)
    await check(nc, DECLARATIONS)


async def test_partitions_of_an_inbox_that_is_missing_or_has_none_are_an_error(nc: Client) -> None:
    with pytest.raises(StreamsError, match="no stream MAGI_INBOX: run `magi streams apply`"):
        await inbox_partitions(nc)
    await apply(nc, changed(INBOX, metadata={}))
    with pytest.raises(StreamsError, match=r"magi.partitions: expected a number.* got None"):
        await inbox_partitions(nc)


async def test_presence_is_made_once_by_however_many_parts(nc: Client) -> None:
    await ensure_presence(nc, DECLARATIONS)
    await ensure_presence(nc, DECLARATIONS)
    assert PRESENCE not in {d.stream for d in await diff(nc, DECLARATIONS)}


async def test_a_presence_stream_that_differs_is_left_to_apply(nc: Client) -> None:
    await apply(nc, changed(PRESENCE, max_age=60 * SECOND))
    await ensure_presence(nc, DECLARATIONS)
    assert "max_age" in {d.field for d in await diff(nc, DECLARATIONS)}


async def test_a_connection_that_is_closed_is_unreachable(nats_server: NatsServer) -> None:
    client = await nats.connect(nats_server.url)
    await client.close()
    with pytest.raises(StreamsUnreachable, match=r"no answer to STREAM\.INFO"):
        await diff(client, DECLARATIONS)


async def test_an_account_without_jetstream_is_said_to_be_so(fresh_nats: NatsServer) -> None:
    fresh_nats.stop()
    with NatsServer(
        fresh_nats.directory / "other", config="accounts { A { users: [{user: a, password: a}] } }"
    ) as server:
        client = await nats.connect(server.url, user="a", password="a")
        with pytest.raises(StreamRefused, match="JetStream not enabled for account"):
            await apply(client, DECLARATIONS)
        await client.close()


async def stored(nc: Client) -> dict[str, object]:
    """The configuration of every live stream, as the server gives it."""
    reply = json.loads((await nc.request("$JS.API.STREAM.LIST", b"{}")).data)
    return {stream["config"]["name"]: stream["config"] for stream in reply["streams"]}
