"""Subscriptions: all that is stored and all that comes, however slow the reader, until it or the stream ends."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import pytest
from eventsourcing.persistence import DataError, Notification, OperationalError

from magi.eventstore.persistence.factory import JetStreamFactory
from magi.eventstore.persistence.recorders import JetStreamApplicationRecorder
from magi.eventstore.persistence.subscription import AHEAD, JetStreamSubscription
from tests.eventstore.persistence.conftest import MakeFactory, events
from tests.proxy import Proxy
from tests.servers import NatsServer
from tests.waiting import eventually


class Reader(threading.Thread):
    """Reads a subscription to its end in a thread of its own."""

    def __init__(self, subscription: JetStreamSubscription) -> None:
        super().__init__()
        self.got: list[Notification] = []
        self.error: BaseException | None = None
        self._subscription = subscription

    def run(self) -> None:
        try:
            with self._subscription:
                self.got.extend(self._subscription)
        except BaseException as error:
            self.error = error


@contextmanager
def reading(recorder: JetStreamApplicationRecorder, gt: int | None = None) -> Iterator[Reader]:
    subscription = recorder.subscribe(gt)
    reader = Reader(subscription)
    reader.start()
    yield reader
    subscription.stop()
    reader.join(5)
    assert not reader.is_alive()


def test_a_reader_that_is_slow_gets_everything_and_little_is_read_ahead(recorder: JetStreamApplicationRecorder) -> None:
    total = 3 * AHEAD
    for n in range(3):
        recorder.insert_events(events(AHEAD, f"originator {n}"))
    with recorder.subscribe() as subscription:
        first = next(subscription)
        eventually(lambda: len(subscription._found) >= AHEAD - 1, "it has read ahead")
        assert len(subscription._found) <= AHEAD
        rest = list(islice(subscription, total - 1))
    assert [n.id for n in (first, *rest)] == list(range(1, total + 1))


def test_it_goes_on_from_a_position_to_what_comes(recorder: JetStreamApplicationRecorder) -> None:
    recorder.insert_events(events(3, "a"))
    with reading(recorder, gt=2) as reader:
        eventually(lambda: len(reader.got) == 1, "what is stored comes")
        recorder.insert_events(events(2, "b"))
        eventually(lambda: len(reader.got) == 3, "what is new comes")
    assert [n.id for n in reader.got] == [3, 4, 5]
    assert reader.error is None


def test_only_the_topics_asked_for_come(recorder: JetStreamApplicationRecorder) -> None:
    for n in range(4):
        recorder.insert_events(events(2, f"o{n}", topic="even" if n % 2 == 0 else "odd"))
    with recorder.subscribe(topics=["odd"]) as subscription:
        assert [n.id for n in islice(subscription, 4)] == [3, 4, 7, 8]


def test_stopping_wakes_a_reader_that_waits(recorder: JetStreamApplicationRecorder) -> None:
    with reading(recorder) as reader:
        assert reader.is_alive()
    assert (reader.got, reader.error) == ([], None)


def test_stopping_in_the_midst_of_reading_ahead_does_not_hang(recorder: JetStreamApplicationRecorder) -> None:
    recorder.insert_events(events(1000, "a"))
    recorder.insert_events(events(1000, "b"))
    subscription = recorder.subscribe()
    eventually(lambda: len(subscription._found) >= AHEAD, "it has read ahead")
    subscription.stop()
    assert list(subscription) == []


def test_closing_the_factory_ends_its_subscriptions(make_factory: MakeFactory) -> None:
    factory: JetStreamFactory = make_factory()
    reader = Reader(factory.application_recorder().subscribe())
    reader.start()
    factory.close()
    reader.join(5)
    assert not reader.is_alive()
    assert reader.error is None


def test_a_server_that_restarts_is_no_end(fresh_nats: NatsServer, make_factory: MakeFactory) -> None:
    recorder = make_factory(MAGI_ES_NATS_URL=fresh_nats.url).application_recorder()
    with reading(recorder) as reader:
        recorder.insert_events(events(3, "a"))
        fresh_nats.kill()
        fresh_nats.start()
        recorder.insert_events(events(3, "b"))
        eventually(lambda: len(reader.got) == 6, "all come")
    assert [n.id for n in reader.got] == [1, 2, 3, 4, 5, 6]


async def test_a_connection_that_is_cut_is_no_end(proxy: Proxy, make_factory: MakeFactory) -> None:
    def read() -> list[int]:
        recorder = make_factory(MAGI_ES_NATS_URL=proxy.url).application_recorder()
        with reading(recorder) as reader:
            for n in range(4):
                recorder.insert_events(events(500, f"originator {n}"))
                loop.call_soon_threadsafe(proxy.cut)
            eventually(lambda: len(reader.got) == 2000, "all come")
        return [n.id for n in reader.got]

    loop = asyncio.get_running_loop()
    assert await asyncio.to_thread(read) == list(range(1, 2001))


def test_what_is_no_event_is_raised_where_it_stands(recorder: JetStreamApplicationRecorder) -> None:
    recorder.insert_events(events(2, "a"))
    bus, prefix = recorder.records.bus, recorder.records.prefix
    recorder.facade.call(bus.store(f"{prefix}b", b"no event"))
    with recorder.subscribe() as subscription:
        assert [next(subscription).id, next(subscription).id] == [1, 2]
        with pytest.raises(DataError, match="sequence 3"):
            next(subscription)


def test_a_connection_that_the_server_ends_for_good_ends_the_reading(recorder: JetStreamApplicationRecorder) -> None:
    bus = recorder.records.bus
    with recorder.subscribe() as subscription:
        recorder.facade.call(bus.nc.publish("a", b"x" * (bus.nc.max_payload - 10), headers={"Header": "x" * 60}))
        with pytest.raises(OperationalError, match="for good"):
            next(subscription)
