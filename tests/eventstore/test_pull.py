"""Pull consumers: how much is asked for, who is given what, and that reading goes on whatever happens."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from nats.aio.msg import Msg

from magi.eventstore import pull
from magi.eventstore.bus import Bus
from magi.eventstore.pull import Delivery, PullConsumer, delivery
from tests.eventstore.logs import ConsumerState, api, consumer_state, make_consumer, make_stream, new_name
from tests.proxy import Proxy
from tests.servers import NatsServer
from tests.waiting import until

NAME = "reader"


class Work:
    """A work queue of its own with a consumer, as seen over `bus`."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.stream = new_name("WORK")
        self.subject = f"work.{self.stream}"

    async def make(self, **config: object) -> "Work":
        await make_stream(self.bus, self.stream, self.subject, retention="workqueue")
        await make_consumer(self.bus, self.stream, NAME, **config)
        return self

    async def fill(self, count: int, first: int = 0) -> None:
        """Store messages that hold the numbers from `first` on."""
        await asyncio.gather(*(self.bus.store(self.subject, str(n).encode()) for n in range(first, first + count)))

    async def state(self) -> ConsumerState:
        return await consumer_state(self.bus, self.stream, NAME)

    async def one_request_waits(self) -> bool:
        return (await self.state()).num_waiting == 1

    async def until_open(self, count: int) -> None:
        """Wait until `count` messages are not acknowledged."""

        async def holds() -> bool:
            state = await self.state()
            return state.num_pending + state.num_ack_pending == count

        await until(holds, f"{count} are open")


@pytest.fixture
async def work(bus: Bus) -> Work:
    return await Work(bus).make()


class Reader:
    """Keeps what it is given, and acknowledges it when it was told to."""

    def __init__(
        self, work: Work, bus: Bus | None = None, *, acks: bool = True, consumer: str = NAME, **options: Any
    ) -> None:
        """`capacity` among the options is how many messages it holds until `acknowledge` is called."""
        self.got: list[Msg] = []
        self.numbers: list[int] = []
        self.acknowledged = 0
        self.gone = 0
        self.capacity: int | None = options.pop("capacity", None)
        if self.capacity is not None:
            options["room"] = self._room
        self._acks = acks
        self._bus = bus or work.bus
        self.pull = PullConsumer(self._bus, work.stream, consumer, self._receive, on_gone=self._on_gone, **options)

    async def _receive(self, msg: Msg) -> None:
        self.got.append(msg)
        self.numbers.append(int(msg.data))
        if self._acks:
            await self.acknowledge()

    async def acknowledge(self) -> None:
        """Acknowledge the oldest message that isn't."""
        await self._bus.publish(self.got[self.acknowledged].reply, b"+ACK")
        self.acknowledged += 1

    def _room(self) -> int:
        assert self.capacity is not None
        return self.capacity - (len(self.got) - self.acknowledged)

    def _on_gone(self) -> None:
        self.gone += 1

    async def has(self, count: int) -> None:
        await until(later(lambda: len(self.got) >= count), f"{count} messages came")


def later(condition: Callable[[], bool]) -> Any:
    async def holds() -> bool:
        return condition()

    return holds


# --- Deliveries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.MAGI_INBOX.inbox-3.2.41.7.1767225600123456789.5",
        "$JS.ACK._.ABCDEF.MAGI_INBOX.inbox-3.2.41.7.1767225600123456789.5.qx7Kd",
    ],
)
def test_both_forms_of_the_acknowledgement_subject_are_understood(reply: str) -> None:
    assert delivery(reply) == Delivery(sequence=41, attempt=2, stored_ms=1_767_225_600_123, pending=5, number=7)


async def test_a_delivery_says_where_it_stands(work: Work) -> None:
    await work.fill(3)
    reader = Reader(work)
    await reader.pull.start()
    await reader.has(3)
    deliveries = [delivery(msg.reply) for msg in reader.got]
    assert [(d.sequence, d.attempt, d.pending) for d in deliveries] == [(1, 1, 2), (2, 1, 1), (3, 1, 0)]
    await reader.pull.stop()


# --- Asking -----------------------------------------------------------------------------------------------------------


async def test_what_is_asked_for_is_topped_up_in_batches(work: Work) -> None:
    asked: list[int] = []

    async def look(msg: Msg) -> None:
        asked.append(msgspec.json.decode(msg.data)["batch"])

    await work.bus.subscribe(f"$JS.API.CONSUMER.MSG.NEXT.{work.stream}.{NAME}", look)
    await work.fill(1000)
    reader = Reader(work, want=100)
    await reader.pull.start()
    await reader.has(1000)
    assert reader.numbers == list(range(1000))
    assert asked[0] == 100
    assert all(50 <= batch <= 100 for batch in asked)
    assert sum(asked) <= 1100
    await reader.pull.stop()


async def test_messages_that_come_later_are_delivered_after_requests_have_run_out(work: Work) -> None:
    reader = Reader(work, expires=0.1)
    await reader.pull.start()
    for n in range(3):
        await until(work.one_request_waits, "the request has run out and another waits")
        await asyncio.sleep(0.15)  # longer than a request waits
        await work.fill(1, first=n)
    await reader.has(3)
    assert reader.numbers == [0, 1, 2]
    assert reader.gone == 0
    await reader.pull.stop()


async def test_no_more_is_unacknowledged_than_there_is_room_for(work: Work) -> None:
    await work.fill(50)
    reader = Reader(work, acks=False, capacity=8)
    await reader.pull.start()
    await reader.has(8)
    while reader.acknowledged < 50:
        # As the reader sees it: the server handles acknowledgements beside requests, and may count one too many.
        assert len(reader.got) - reader.acknowledged <= 8
        await reader.acknowledge()
        await reader.pull.ask()
        await reader.has(min(50, reader.acknowledged + 1))
    assert reader.numbers == list(range(50))
    await reader.pull.stop()


async def test_without_room_nothing_is_asked_for_until_there_is_some(work: Work) -> None:
    await work.fill(3)
    reader = Reader(work, capacity=0)
    await reader.pull.start()
    await work.bus.request("$JS.API.INFO")
    assert (await work.state()).num_waiting == 0
    assert reader.got == []
    reader.capacity = 3
    await reader.pull.ask()
    await reader.has(3)
    await reader.pull.stop()


async def test_a_connection_that_was_cut_leaves_no_request_behind_that_would_overfill(
    work: Work, proxy: Proxy, shaky: Bus
) -> None:
    reader = Reader(work, shaky, acks=False, capacity=8, expires=30.0)
    await reader.pull.start()
    for cuts in range(1, 4):
        await until(work.one_request_waits, "it asks")
        proxy.cut()
        await until(later(lambda cuts=cuts: shaky.reconnects == cuts), "it is back")  # type: ignore[misc]
    await until(work.one_request_waits, "it asks")
    await work.fill(30)
    await reader.has(8)
    await shaky.request("$JS.API.INFO")
    assert len(reader.got) == 8
    assert (await work.state()).num_ack_pending == 8
    await reader.pull.stop()


# --- Handing on -------------------------------------------------------------------------------------------------------


async def test_a_message_whose_handling_fails_holds_up_no_other(work: Work) -> None:
    await work.fill(3)
    handled: list[bytes] = []
    failed: list[None] = []

    async def handle(msg: Msg) -> None:
        if msg.data == b"1":
            raise ValueError("not this one")
        handled.append(msg.data)
        await work.bus.publish(msg.reply, b"+ACK")

    consumer = PullConsumer(work.bus, work.stream, NAME, handle, on_failed=lambda: failed.append(None))
    await consumer.start()
    await until(later(lambda: len(handled) == 2), "the others are handled")
    assert handled == [b"0", b"2"]
    assert len(failed) == 1
    await work.until_open(1)
    await consumer.stop()


async def test_stopping_lets_the_callback_end_and_gives_the_rest_back_at_once(work: Work) -> None:
    await work.fill(20)
    begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(msg: Msg) -> None:
        begun.set()
        await go_on.wait()
        await work.bus.publish(msg.reply, b"+ACK")
        ended.set()

    consumer = PullConsumer(work.bus, work.stream, NAME, handle)
    await consumer.start()
    await begun.wait()
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    go_on.set()
    await stopping
    assert ended.is_set()
    other = Reader(work)
    await other.pull.start()
    await asyncio.wait_for(other.has(19), 25)  # the consumer's ack_wait is 30 s
    assert sorted(other.numbers) == list(range(1, 20))
    await other.pull.stop()


async def test_a_callback_may_stop_its_consumer(work: Work) -> None:
    await work.fill(5)
    handled: list[bytes] = []
    stopped = asyncio.Event()

    async def handle(msg: Msg) -> None:
        handled.append(msg.data)
        await work.bus.publish(msg.reply, b"+ACK")
        await consumer.stop()
        stopped.set()

    consumer = PullConsumer(work.bus, work.stream, NAME, handle)
    await consumer.start()
    await asyncio.wait_for(stopped.wait(), 30)
    assert handled == [b"0"]
    await work.until_open(4)


async def test_after_stop_nothing_is_asked_for(work: Work) -> None:
    reader = Reader(work)
    await reader.pull.start()
    await until(work.one_request_waits, "it asks")
    await reader.pull.stop()
    await work.fill(3)
    await work.bus.request("$JS.API.INFO")
    assert reader.got == []
    other = Reader(work)
    await other.pull.start()
    await other.has(3)
    await other.pull.stop()


# --- Losing the server ------------------------------------------------------------------------------------------------


async def test_reading_goes_on_after_the_server_was_killed(fresh_nats: NatsServer) -> None:
    bus = await Bus.connect(fresh_nats.url, name="test")
    work = await Work(bus).make()
    await work.fill(5)
    reader = Reader(work)
    await reader.pull.start()
    await reader.has(5)
    fresh_nats.kill()
    fresh_nats.start()
    await until(later(lambda: bus.reconnects == 1), "it is back")
    await work.fill(5, first=5)
    await reader.has(10)
    assert sorted(set(reader.numbers)) == list(range(10))
    await reader.pull.stop()
    await bus.close()


async def test_reading_goes_on_after_the_server_was_stopped_for_longer_than_a_request(
    fresh_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "SILENCE", 0.1)
    bus = await Bus.connect(fresh_nats.url, name="test")
    work = await Work(bus).make()
    reader = Reader(work, expires=0.2)
    await reader.pull.start()
    os.kill(fresh_nats.pid, signal.SIGSTOP)
    await until(later(lambda: reader.gone > 0), "nothing is heard for too long")
    os.kill(fresh_nats.pid, signal.SIGCONT)
    await work.fill(10)
    await reader.has(10)
    assert reader.numbers == list(range(10))
    await reader.pull.stop()
    await bus.close()


async def test_a_request_whose_end_was_lost_is_made_again(
    work: Work, proxy: Proxy, shaky: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "SILENCE", 0.1)
    reader = Reader(work, shaky, expires=0.2)
    await reader.pull.start()
    await until(work.one_request_waits, "it asks")
    proxy.lose_answers()
    await until(later(lambda: proxy.lost > 0), "the end of the request is lost")
    proxy.pass_answers()
    await work.fill(3)
    await reader.has(3)
    assert reader.gone == 1
    await reader.pull.stop()


async def test_a_slow_callback_is_not_taken_for_silence(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "SILENCE", 0.05)
    await work.fill(3)
    gone: list[None] = []
    handled: list[bytes] = []

    async def handle(msg: Msg) -> None:
        await asyncio.sleep(0.3)  # longer than silence may be
        handled.append(msg.data)
        await work.bus.publish(msg.reply, b"+ACK")

    consumer = PullConsumer(work.bus, work.stream, NAME, handle, want=3, expires=0.1, on_gone=lambda: gone.append(None))
    await consumer.start()
    await until(later(lambda: len(handled) == 3), "all are handled")
    assert gone == []
    await consumer.stop()


async def test_a_consumer_that_is_deleted_is_reported(work: Work) -> None:
    reader = Reader(work)
    await reader.pull.start()
    await until(work.one_request_waits, "it asks")
    await api(work.bus, f"CONSUMER.DELETE.{work.stream}.{NAME}")
    await until(later(lambda: reader.gone > 0), "it is told")
    await make_consumer(work.bus, work.stream, NAME)
    await work.fill(3)
    await reader.has(3)
    await reader.pull.stop()


async def test_a_consumer_that_never_was_is_reported(work: Work) -> None:
    reader = Reader(work, consumer="nobody")
    await reader.pull.start()
    await until(later(lambda: reader.gone > 0), "it is told")
    await reader.pull.stop()


# --- Pinned groups ----------------------------------------------------------------------------------------------------


async def make_pinned_work(bus: Bus) -> Work:
    """A queue whose consumer lets one reader in, and another one a second after the first was last heard of."""
    return await Work(bus).make(
        priority_groups=["group"], priority_policy="pinned_client", priority_timeout=10**9, ack_wait=10**9
    )


async def test_of_two_pinned_readers_one_gets_everything_and_when_it_dies_the_other(
    bus: Bus, nats_server: NatsServer
) -> None:
    work = await make_pinned_work(bus)
    dying = await Bus.connect(nats_server.url, name="dying")
    first = Reader(work, dying, group="group", expires=0.5, want=4)
    second = Reader(work, group="group", expires=0.5, want=4)
    await first.pull.start()
    await work.fill(1)
    await first.has(1)
    await second.pull.start()
    for n in range(1, 60, 20):
        await work.fill(20, first=n)
        await first.has(n + 20)
    assert second.got == []
    await dying.close()  # as a process that dies: it says nothing
    await work.fill(20, first=61)
    await second.has(20)
    # What the server had sent already when it learned of the death comes again after ack_wait, behind the others.
    assert sorted(second.numbers) == list(range(61, 81))
    assert len(first.got) == 61
    await second.pull.stop()


async def test_a_reader_that_loses_its_pin_waits_for_it_and_nothing_is_lost(bus: Bus, nats_server: NatsServer) -> None:
    work = await make_pinned_work(bus)
    other = await Bus.connect(nats_server.url, name="other")
    readers = [Reader(work, bus, group="group", expires=0.5, want=4) for bus in (bus, other)]
    for reader in readers:
        await reader.pull.start()
    for round_ in range(4):
        await work.fill(50, first=50 * round_)
        await api(bus, f"CONSUMER.UNPIN.{work.stream}.{NAME}", b'{"group":"group"}')

    def everything() -> bool:
        return sorted({n for reader in readers for n in reader.numbers}) == list(range(200))

    await until(later(everything), "all came")
    await work.until_open(0)
    for reader in readers:
        await reader.pull.stop()
    await other.close()
