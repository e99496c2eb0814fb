"""Nothing that a recorder inserts is lost, stored twice or torn, whatever the network and the server do meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from magi.domain.voting_request import RequestEvent
from magi.eventstore.bus import Bus
from magi.eventstore.history import EMPTY
from magi.eventstore.persistence.facade import Facade
from magi.eventstore.persistence.formats import Format, LogFormat, PlainFormat
from magi.eventstore.persistence.recorders import JetStreamApplicationRecorder
from magi.eventstore.persistence.records import Records
from tests.eventstore.contract import REQUEST, progress
from tests.eventstore.logs import PREFIX, make_log, make_stream, new_name
from tests.eventstore.persistence.conftest import events
from tests.eventstore.persistence.test_recorders_on_a_log import stamp
from tests.proxy import Proxy
from tests.servers import NatsServer
from tests.waiting import eventually, until

LOG = LogFormat(RequestEvent)


@pytest.fixture
async def shaky_facade(proxy: Proxy) -> AsyncIterator[Facade]:
    facade = Facade(proxy.url)
    yield facade
    await asyncio.to_thread(facade.close)


@pytest.mark.parametrize(("form", "size", "messages"), [(PlainFormat(), 1, 1), (PlainFormat(), 5, 5), (LOG, 5, 1)])
async def test_after_a_lost_acknowledgement_everything_is_stored_once(
    proxy: Proxy, shaky_facade: Facade, bus: Bus, log_stream: str, form: Format, size: int, messages: int
) -> None:
    def prepare() -> JetStreamApplicationRecorder:
        records = Records(shaky_facade.bus, log_stream, PREFIX, form, patience=10)
        shaky_facade.call(records.start())
        return JetStreamApplicationRecorder(shaky_facade, records)

    recorder = await asyncio.to_thread(prepare)
    one = stamp([progress()] * size, REQUEST, EMPTY) if form is LOG else events(size, "a")
    publish = recorder.records.bus.store

    async def publish_into_silence(*args: object, **kwargs: object) -> object:
        # The look at the history has come back by now: only the acknowledgement is lost.
        recorder.records.bus.store = publish  # type: ignore[method-assign]
        proxy.lose_answers()
        return await publish(*args, **kwargs)  # type: ignore[arg-type]

    recorder.records.bus.store = publish_into_silence  # type: ignore[assignment, method-assign]
    inserting = asyncio.create_task(asyncio.to_thread(recorder.insert_events, one))
    log = await make_log(bus, log_stream)

    async def stored() -> bool:
        return await log.last_sequence() == messages and proxy.lost > 0

    await until(stored, "the events are stored and their acknowledgement lost")
    proxy.cut()
    last = messages * form.together
    assert await inserting == list(range(last - size + 1, last + 1))
    assert await asyncio.to_thread(recorder.select_events, one[0].originator_id) == one
    assert await log.last_sequence() == messages


def test_a_batch_that_has_lost_a_member_is_sent_again(recorder: JetStreamApplicationRecorder) -> None:
    bus = recorder.records.bus
    publish = bus.publish
    members: list[str] = []

    async def lose_the_third(subject: str, data: bytes = b"", **options: Any) -> None:
        member = (options.get("headers") or {}).get("Nats-Batch-Sequence")
        if member:
            members.append(member)
        if not member or len(members) != 3:
            await publish(subject, data, **options)

    bus.publish = lose_the_third  # type: ignore[method-assign]
    one = events(5, "a")
    assert recorder.insert_events(one) == [1, 2, 3, 4, 5]
    assert members == list("1234") * 2  # the fifth, which commits, is stored and not only published
    assert recorder.select_events("a") == one


@pytest.fixture
def own_facade(fresh_nats: NatsServer) -> Iterator[Facade]:
    facade = Facade(fresh_nats.url)
    yield facade
    facade.close()


def test_kill_9_amid_inserts_tears_no_batch_and_loses_none(own_facade: Facade, fresh_nats: NatsServer) -> None:
    bus = own_facade.bus
    stream = own_facade.call(make_stream(bus, new_name("LOG"), "test.log.>"))
    records = Records(bus, stream, PREFIX, PlainFormat())
    own_facade.call(records.start())
    recorder = JetStreamApplicationRecorder(own_facade, records)
    done: list[int] = []

    def insert(number: int) -> None:
        recorder.insert_events(events(1 + number % 4, f"originator {number}"))
        done.append(number)

    with ThreadPoolExecutor(8) as threads:
        inserting = [threads.submit(insert, number) for number in range(120)]
        eventually(lambda: len(done) > 30, "some are stored")
        fresh_nats.kill()
        assert len(done) < 120
        fresh_nats.start()
        for each in inserting:
            each.result()
    for number in range(120):
        expected = events(1 + number % 4, f"originator {number}")
        assert recorder.select_events(f"originator {number}") == expected
    assert recorder.max_notification_id() == sum(1 + number % 4 for number in range(120))
