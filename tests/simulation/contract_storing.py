"""The cases about streams: what is stored, refused, forgotten, and how it is read (see `contract`)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nats.aio.msg import Msg

from magi.eventstore.bus import Bus, BusError, NoStream, Rejected
from magi.eventstore.direct import DirectReader, StoredMessage
from magi.eventstore.log import EXPECTED
from tests.simulation.contract import (
    Reader,
    Seen,
    api,
    case,
    error_of,
    left,
    make_stream,
    put,
    uncounted,
)
from tests.waiting import until

# --- Storing ----------------------------------------------------------------------------------------------------------


@case
async def the_expected_sequence_is_compared(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    await make_stream(bus, name)

    async def append(subject: str, expected: str) -> Any:
        try:
            return (await bus.store(f"{name}.{subject}", b"x", {EXPECTED: expected})).seq
        except Rejected as error:
            return error.err_code, str(error)

    return [await append(*one) for one in (("a", "0"), ("a", "0"), ("b", "1"), ("b", "0"), ("a", "1"), ("a", "2"))]


@case
async def a_repeated_id_is_a_duplicate(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    await make_stream(bus, name)
    seen: Seen = [await put(bus, f"{name}.{s}", s, Nats_Msg_Id=i) for s, i in (("a", "1"), ("a", "1"), ("b", "1"))]
    seen.append(await put(bus, f"{name}.a", "other", Nats_Msg_Id="1", **{EXPECTED: "0"}))  # compared first
    seen.append(await put(bus, f"{name}.a", "new", Nats_Msg_Id="2"))
    assert seen[1] == (1, True)
    return seen


@case
async def an_id_is_forgotten_after_its_window(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    await make_stream(bus, name, duplicate_window=10**8)
    first = await put(bus, f"{name}.a", Nats_Msg_Id="1")
    await asyncio.sleep(1.0)  # the server looks for old ones now and then
    return [first, await put(bus, f"{name}.a", Nats_Msg_Id="1")]


@case
async def what_is_too_much_is_refused(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    await make_stream(bus, name, max_msg_size=100, max_msgs=3)
    seen: Seen = [await put(bus, f"{name}.a", "x" * 101)]
    seen += [await put(bus, f"{name}.a", str(n)) for n in range(4)]
    await make_stream(bus, f"{name}2", retention="workqueue", max_msgs_per_subject=1, discard_new_per_subject=True)
    seen += [await put(bus, f"{name}2.{s}") for s in "aab"]
    assert 10077 in seen
    return seen


@case
async def a_bucket_keeps_the_last_of_each_key(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    await make_stream(bus, name, max_msgs_per_subject=1, storage="memory")
    seen: Seen = [await put(bus, f"{name}.{s}", str(n)) for n, s in enumerate("aba")]
    reader = DirectReader(bus, name)
    await reader.start()
    return [*seen, await left(bus, name), *map(_shown, await reader.last_of_each([f"{name}.*"]))]


@case
async def what_is_old_is_forgotten(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    await make_stream(bus, name, allow_msg_ttl=True)
    await make_stream(bus, f"{name}2", max_age=10**9, duplicate_window=10**8)
    await put(bus, f"{name}.a", "soon gone", Nats_TTL="1s")
    await put(bus, f"{name}.a", "stays")
    await put(bus, f"{name}2.a", "soon gone")
    before = [await left(bus, name), await left(bus, f"{name}2")]

    async def gone() -> bool:
        return [await left(bus, name), await left(bus, f"{name}2")] == [1, 0]

    await until(gone, "old messages are forgotten", 20)
    return [before, (await api(bus, f"STREAM.INFO.{name}"))["state"]["first_seq"]]


@case
async def nobody_answers_for_what_is_not_there(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    seen: Seen = []
    for ask in (
        lambda: bus.store(f"{name}.a", b"x"),
        lambda: bus.request(f"{name}.service"),
        lambda: bus.request(f"$JS.API.CONSUMER.MSG.NEXT.{name}.c"),
        lambda: DirectReaderOf(bus, name),
    ):
        try:
            await ask()
        except BusError as error:
            seen.append(type(error).__name__)
    seen += [error_of(await api(bus, call)) for call in (f"STREAM.INFO.{name}", f"CONSUMER.INFO.{name}.c")]
    await make_stream(bus, name)
    seen.append(error_of(await api(bus, f"CONSUMER.INFO.{name}.c")))
    seen.append(error_of(await api(bus, f"CONSUMER.DELETE.{name}.c")))
    assert seen[:2] == [NoStream.__name__] * 2
    return seen


async def DirectReaderOf(bus: Bus, name: str) -> list[StoredMessage]:  # noqa: N802 - it stands for one
    reader = DirectReader(bus, name)
    await reader.start()
    return await reader.batch(1)


@case
async def a_stream_is_made_once(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    await make_stream(bus, name)
    await make_stream(bus, name)
    info = await api(bus, f"STREAM.INFO.{name}")
    other = {**info["config"], "max_msgs": 7}
    assert info["config"]["name"] == name
    seen: Seen = [error_of(await api(bus, f"STREAM.CREATE.{name}", **other))]
    await put(bus, f"{name}.a")
    again = await api(bus, f"STREAM.INFO.{name}", subjects_filter=f"{name}.>")
    return [*seen, again["state"]["subjects"], again["state"]["last_seq"], info["created"] == again["created"]]


@case
async def what_is_stored_is_told_again(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    seen: Seen = []

    async def hear(msg: Msg) -> None:
        headers = msg.headers or {}
        seen.append((msg.subject, msg.data, headers.get("Nats-Sequence"), headers.get("Nats-Subject")))

    await bus.subscribe(f"{name}live.*", hear)
    await make_stream(bus, name, republish={"src": f"{name}.>", "dest": f"{name}live.>"})
    for data, expected in (("1", "0"), ("refused", "0"), ("2", "1")):
        await put(bus, f"{name}.a", data, **{EXPECTED: expected})

    async def heard() -> bool:
        return len(seen) == 2

    await until(heard, "both are told again", 20)
    return seen


# --- Reading ----------------------------------------------------------------------------------------------------------


def _shown(message: StoredMessage | None) -> Any:
    return message and (
        message.sequence,
        message.subject,
        message.data,
        message.headers.get("Nats-Num-Pending", "") > "",
    )


@case
async def stored_messages_are_read_directly(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    await make_stream(bus, name)
    for n in range(6):
        await put(bus, f"{name}.{'ab'[n % 2]}", str(n))
    reader = DirectReader(bus, name)
    await reader.start()

    def brief(messages: list[StoredMessage]) -> list[Any]:
        return [(m.sequence, m.subject, m.data) for m in messages]

    one = await reader.next_of_subject(f"{name}.a", 2)
    last = await reader.last_of_subject(f"{name}.b")
    return [
        brief(await reader.of_subject(f"{name}.a")),
        brief(await reader.of_subject(f"{name}.a", 4)),
        brief(await reader.of_subject(f"{name}.c")),
        brief([one] if one else []),
        brief([last] if last else []),
        await reader.last_of_subject(f"{name}.c"),
        brief(await reader.last_of_each([f"{name}.*"])),
        brief(await reader.batch(2, 3)),
        brief(await reader.batch(5, 10)),
        brief(await reader.batch(7, 10)),
        await reader.last_sequence(),
        (await reader._ask({"seq": 1, "batch": 2})).pending,
    ]


@case
async def stored_messages_are_read_by_the_api(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    await make_stream(bus, name, retention="workqueue")
    await put(bus, f"{name}.a", "1")
    await put(bus, f"{name}.b", "2")
    seen: Seen = []
    queries: tuple[dict[str, Any], ...] = (
        {"seq": 2},
        {"seq": 1, "next_by_subj": ">"},
        {"seq": 1, "next_by_subj": f"{name}.b"},
        {"last_by_subj": f"{name}.a"},
        {"seq": 3},
        {"seq": 3, "next_by_subj": ">"},
    )
    for query in queries:
        answer = await api(bus, f"STREAM.MSG.GET.{name}", **query)
        message = answer.get("message")
        seen.append([message[k] for k in ("seq", "subject", "data")] if message else error_of(answer))
    return seen


@case
async def a_follower_begins_where_it_says(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    await make_stream(bus, name)
    for n in range(3):
        await put(bus, f"{name}.a", str(n))
    config = {"deliver_policy": "by_start_sequence", "opt_start_seq": 2, "ack_policy": "none"}
    config |= {"mem_storage": True, "num_replicas": 1, "inactive_threshold": 300 * 10**9}
    made = await api(bus, f"CONSUMER.CREATE.{name}", stream_name=name, config=config)
    reader = await Reader(bus, name, made["name"]).start()
    await reader.pull(10)
    seen = await reader.take(2)
    await put(bus, f"{name}.b", "new")
    seen += uncounted(await reader.take(1))
    deleted = await api(bus, f"CONSUMER.DELETE.{name}.{made['name']}")
    return [made["num_pending"], *seen, deleted["success"], *await reader.take(1)]
