"""The cases about consumers, about who listens, and about a server that is killed (see `contract`)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nats.aio.msg import Msg

from magi.eventstore.bus import Bus
from tests.simulation.contract import (
    QUIET,
    Reader,
    Seen,
    api,
    case,
    error_of,
    left,
    make_consumer,
    make_stream,
    put,
    reading,
    uncounted,
)
from tests.waiting import until

# --- Consuming --------------------------------------------------------------------------------------------------------


@case
async def what_is_acknowledged_is_gone(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    reader = await reading(connect, name)
    for n in range(3):
        await put(reader.bus, f"{name}.a", str(n))
    await reader.pull(2)
    seen = await reader.take(2)
    await reader.nothing()
    await reader.say("+ACK")
    seen.append(await left(reader.bus, name))
    await reader.pull(1)
    seen += await reader.take(1)
    await reader.say("+TERM")
    seen.append(await left(reader.bus, name))
    info = await api(reader.bus, f"CONSUMER.INFO.{name}.c")
    return [*seen, info["num_ack_pending"], info["num_pending"], info["num_waiting"]]


@case
async def what_is_not_acknowledged_comes_again_first(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    reader = await reading(connect, name, ack_wait=10**9)
    await put(reader.bus, f"{name}.a", "1")
    await reader.pull()
    seen = await reader.take(1)
    first = reader.last.reply
    await asyncio.sleep(1.3)
    for n in "23":
        await put(reader.bus, f"{name}.a", n)
    await reader.pull(2)
    seen += await reader.take(2)
    await reader.say("+ACK", first)  # the first delivery's is as good as the second's
    return [*seen, await left(reader.bus, name)]


@case
async def a_no_brings_it_again_at_once(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    reader = await reading(connect, name)
    for n in range(2):
        await put(reader.bus, f"{name}.a", str(n))
    await reader.pull(1)
    seen = await reader.take(1)
    await reader.say("-NAK")
    await asyncio.sleep(QUIET)
    await reader.pull(5)
    return [*seen, *await reader.take(2)]


@case
async def a_no_with_a_delay_is_a_timer(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    reader = await reading(connect, name)
    loop = asyncio.get_running_loop()
    for n in range(2):
        await put(reader.bus, f"{name}.a", str(n))
    await reader.pull(5)
    seen = await reader.take(2)
    begun = loop.time()
    await reader.say('-NAK {"delay":400000000}')
    seen += await reader.take(1)
    assert loop.time() - begun >= 0.399, loop.time() - begun
    await reader.say('-NAK {"delay":300000000}')
    await reader.say("+ACK")  # ends it
    await asyncio.sleep(0.5)
    await reader.nothing()
    return [*seen, await left(reader.bus, name)]


@case
async def a_later_no_sets_the_timer_anew(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    reader = await reading(connect, name)
    await put(reader.bus, f"{name}.a", "1")
    await reader.pull(5)
    seen = await reader.take(1)
    await reader.say('-NAK {"delay":60000000000}')
    await reader.say('-NAK {"delay":100000000}')
    return [*seen, *await reader.take(1)]


@case
async def work_in_progress_is_left_alone(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    reader = await reading(connect, name, ack_wait=2 * 10**9)
    await put(reader.bus, f"{name}.a", "1")
    await reader.pull(5)
    seen = await reader.take(1)
    for _ in range(12):
        await asyncio.sleep(0.25)
        await reader.say("+WPI")
    await reader.nothing()
    return [*seen, *await reader.take(1)]


@case
async def a_request_ends(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    reader = await reading(connect, name)
    await put(reader.bus, f"{name}.a", "1")
    await reader.pull(3, expires=1.0)
    seen = await reader.take(2)
    await reader.pull(5)
    await asyncio.sleep(QUIET)
    deleted = await api(reader.bus, f"CONSUMER.DELETE.{name}.c")
    seen += await reader.take(1)
    await reader.pull(5)
    return [*seen, deleted["success"], *await reader.take(1)]


@case
async def so_many_may_be_unacknowledged(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    reader = await reading(connect, name, max_ack_pending=1)
    for n in range(2):
        await put(reader.bus, f"{name}.a", str(n))
    await reader.pull(5)
    seen = await reader.take(1)
    await reader.nothing()
    await reader.say("+ACK")
    return [*seen, *await reader.take(1)]


@case
async def who_is_gone_gets_nothing(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    reader = await reading(connect, name)
    gone = await Reader(await connect(), name).start()
    await gone.pull(5)
    await gone.bus.nc.flush()
    left_it = await Reader(reader.bus, name).start()
    await left_it.pull(5)
    await left_it.sub.unsubscribe()
    await gone.bus.close()
    await asyncio.sleep(QUIET)
    await reader.pull(2)
    await reader.bus.nc.flush()
    for n in range(2):
        await put(reader.bus, f"{name}.a", str(n))
    return uncounted(await reader.take(2))


@case
async def readers_take_turns(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    first = await reading(connect, name)
    second = await Reader(first.bus, name).start()
    await first.pull(2)
    await second.pull(2)
    await first.bus.nc.flush()
    for n in range(4):
        await put(first.bus, f"{name}.a", str(n))
    return [uncounted(await first.take(2)), uncounted(await second.take(2))]


@case
async def one_at_a_time_reads_what_is_pinned(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    pinned = {"priority_groups": ["g"], "priority_policy": "pinned_client", "priority_timeout": 10**9}
    first = await reading(connect, name, **pinned)
    second = await Reader(await connect(), name).start()
    seen: Seen = []
    await second.pull(1)  # without a group
    seen += await second.take(1)
    await first.pull(1, group="g")
    await first.bus.nc.flush()
    await second.pull(2, group="g")
    await second.bus.nc.flush()
    await put(first.bus, f"{name}.a", "1")
    seen += uncounted(await first.take(1))
    pin = first.last.headers["Nats-Pin-Id"]
    await put(first.bus, f"{name}.a", "2")
    await second.nothing()
    await first.pull(1, group="g", id=pin)
    seen += uncounted(await first.take(1))
    await second.pull(1, group="g", id="another")
    seen.append((await second.take(1))[0][0])
    await put(first.bus, f"{name}.a", "3")
    seen += uncounted(await second.take(1))  # once the first has been silent for its time
    other = second.last.headers["Nats-Pin-Id"]
    await first.pull(1, group="g", id=pin)
    seen.append((await first.take(1))[0][0])
    await first.pull(1, group="g")
    await first.bus.nc.flush()
    await api(first.bus, f"CONSUMER.UNPIN.{name}.c", group="g")
    await put(first.bus, f"{name}.a", "4")
    await asyncio.sleep(QUIET)
    return [*seen, other != pin, [Reader.shown(m)[1] for m in first.messages + second.messages]]


@case
async def a_request_that_waits_loses_its_pin(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    pinned = {"priority_groups": ["g"], "priority_policy": "pinned_client", "priority_timeout": 10 * 10**9}
    reader = await reading(connect, name, **pinned)
    await reader.pull(1, group="g")
    await put(reader.bus, f"{name}.a", "1")
    seen = uncounted(await reader.take(1))
    await reader.pull(3, group="g", id=reader.last.headers["Nats-Pin-Id"])
    await reader.bus.nc.flush()
    await api(reader.bus, f"CONSUMER.UNPIN.{name}.c", group="g")
    await put(reader.bus, f"{name}.a", "2")
    seen += uncounted(await reader.take(1))
    await reader.pull(1, group="g")
    return [*seen, *uncounted(await reader.take(1))]


# --- Without streams --------------------------------------------------------------------------------------------------


@case
async def messages_reach_who_listens(connect: Callable[[], Awaitable[Bus]], name: str) -> Seen:
    bus = await connect()
    heard: Seen = []

    def note(who: str) -> Any:
        async def on(msg: Msg) -> None:
            heard.append((who, msg.subject, msg.data, msg.reply, (msg.headers or {}).get("A")))

        return on

    await bus.subscribe(f"{name}.a", note("exact"))
    await bus.subscribe(f"{name}.*", note("one"))
    rest = await bus.subscribe(f"{name}.>", note("rest"))
    await bus.publish(f"{name}.a", b"1", reply="r", headers={"A": "b"})
    await bus.publish(f"{name}.a.b", b"2")
    await bus.publish(name, b"3")
    await bus.nc.flush()
    await asyncio.sleep(QUIET)
    await rest.unsubscribe()
    await bus.publish(f"{name}.c", b"4")
    await bus.nc.flush()
    await asyncio.sleep(QUIET)
    return sorted(heard, key=str)


# --- A server that is killed and comes back ---------------------------------------------------------------------------


async def what_a_restart_leaves(connect: Callable[[], Awaitable[Bus]], restart: Callable[[], None]) -> Seen:
    """What was stored stays; what is in memory, who waited, and the ids of what was acknowledged are forgotten."""
    bus = await connect()
    await make_stream(bus, "S", retention="workqueue")
    await make_stream(bus, "M", storage="memory")
    pinned = {"priority_groups": ["g"], "priority_policy": "pinned_client", "priority_timeout": 60 * 10**9}
    await make_consumer(bus, "S", ack_wait=10**9, **pinned)
    reader = await Reader(bus, "S").start()
    seen: Seen = [await put(bus, "S.a", n, Nats_Msg_Id=n) for n in "123"]
    await put(bus, "M.a")
    await reader.pull(2, group="g")
    seen += await reader.take(2)
    await reader.say("+ACK")
    await asyncio.sleep(QUIET)
    restart()

    async def back() -> bool:
        return bus.reconnects == 1 and bus.connected

    await until(back, "the connection is back", 20)
    seen += [await put(bus, "S.a", n, Nats_Msg_Id=n) for n in "123"]
    seen.append(error_of(await api(bus, "STREAM.INFO.M")))
    await asyncio.sleep(1.5)
    await reader.pull(9, group="g")  # without the pin: it is forgotten
    return [*seen, *sorted(await reader.take(3), key=str)]
