"""A recorder over a log of ours keeps the store's contract, writes what the log itself writes, and takes the events of
one message apart and together: ids that rise, none missed, none torn."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from itertools import islice

import pytest
from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    JSONTranscoder,
    Notification,
    ProgrammingError,
    StoredEvent,
)

from magi.domain.ids import AggregateId
from magi.domain.voting_request import RequestEvent, VoterProgress
from magi.eventstore.bus import Bus
from magi.eventstore.codec import Codec, pack
from magi.eventstore.history import EMPTY, AppendConflict, Head, Recorded
from magi.eventstore.persistence.facade import Facade
from magi.eventstore.persistence.formats import LogFormat
from magi.eventstore.persistence.mapper import StructMapper
from magi.eventstore.persistence.recorders import JetStreamApplicationRecorder
from magi.eventstore.persistence.records import Records
from tests.eventstore.contract import OTHER, REQUEST, Store, StoreContract, progress
from tests.eventstore.logs import PREFIX, make_log

codec: Codec[RequestEvent] = Codec(RequestEvent)
mapper: StructMapper[str] = StructMapper(JSONTranscoder())


def stamp(new: Sequence[RequestEvent], aggregate: AggregateId, head: Head) -> list[StoredEvent]:
    """Stored events as the log wants them: with their envelope, chained to `head` and to each other."""
    stored = []
    for stamped, data, _ in codec.stamp_all(new, aggregate, head):
        stored.append(mapper.to_stored_event(stamped))
        assert stored[-1].state == data
    return stored


def sequence_of(notification_id: int) -> int:
    """Of the message of a log that holds the event."""
    return math.ceil(notification_id / LogFormat.together)


class RecorderStore:
    """An event store made of an application recorder over a log."""

    def __init__(self, recorder: JetStreamApplicationRecorder) -> None:
        self._recorder = recorder

    async def append(
        self, aggregate: AggregateId, events: Sequence[RequestEvent], head: Head
    ) -> list[Recorded[RequestEvent]]:
        stored = stamp(events, aggregate, head)
        try:
            ids = await asyncio.to_thread(self._recorder.insert_events, stored)
        except IntegrityError as error:
            raise AppendConflict(str(error)) from error
        return [self._recorded(i, event) for i, event in zip(ids or [], stored, strict=True)]

    async def load(self, aggregate: AggregateId, after: int = 0) -> list[Recorded[RequestEvent]]:
        selected = await asyncio.to_thread(self._recorder.select_events, aggregate, gt=after)
        everything = await asyncio.to_thread(self._recorder.select_notifications, None, 1_000_000)
        ids = {n.originator_version: n.id for n in everything if n.originator_id == aggregate}
        return [self._recorded(ids[event.originator_version], event) for event in selected]

    async def read(self, start: int = 1, stop: int | None = None) -> AsyncIterator[Recorded[RequestEvent]]:
        first = (start - 1) * LogFormat.together + 1
        last = None if stop is None else stop * LogFormat.together
        for notification in await asyncio.to_thread(self._recorder.select_notifications, first, 1_000_000, last):
            yield self._recorded(notification.id, notification)

    async def last_sequence(self) -> int:
        last = await asyncio.to_thread(self._recorder.max_notification_id)
        return sequence_of(last or 0)

    def _recorded(self, notification_id: int, event: StoredEvent) -> Recorded[RequestEvent]:
        (recorded,) = codec.recorded(sequence_of(notification_id), event.state)
        return recorded


def make_recorder(facade: Facade, stream: str, patience: float = 10.0) -> JetStreamApplicationRecorder:
    """A recorder over a log like MAGI_LOG."""
    records = Records(facade.bus, stream, PREFIX, LogFormat(RequestEvent), patience=patience)
    facade.call(records.start())
    return JetStreamApplicationRecorder(facade, records)


class TestRecorderOnALog(StoreContract):
    @pytest.fixture
    def store(self, facade: Facade, log_stream: str) -> Store:
        return RecorderStore(make_recorder(facade, log_stream))


@pytest.fixture
def log_recorder(facade: Facade, log_stream: str) -> JetStreamApplicationRecorder:
    return make_recorder(facade, log_stream)


async def test_the_recorder_and_the_log_write_the_same(
    bus: Bus, log_stream: str, log_recorder: JetStreamApplicationRecorder
) -> None:
    log = await make_log(bus, log_stream)
    head = (await log.append(REQUEST, [progress("a"), progress("b")], EMPTY))[-1].head
    ids = await asyncio.to_thread(log_recorder.insert_events, stamp([progress("c"), progress("d")], REQUEST, head))
    assert ids == [1999, 2000]  # the two of message 2
    head = (await log.load(REQUEST))[-1].head
    await log.append(REQUEST, [progress("e")], head)
    selected = await asyncio.to_thread(log_recorder.select_events, REQUEST)
    history = await log.load(REQUEST)
    assert [event.state for event in selected] == [recorded.data for recorded in history]
    assert [event.originator_version for event in selected] == [1, 2, 3, 4, 5]
    assert {event.topic for event in selected} == {"magi.domain.voting_request:VoterProgress"}


def test_the_log_refuses_an_event_that_breaks_the_chain(log_recorder: JetStreamApplicationRecorder) -> None:
    log_recorder.insert_events(stamp([progress()], REQUEST, EMPTY))
    with pytest.raises(IntegrityError, match="prev"):
        log_recorder.insert_events(stamp([progress()], REQUEST, Head(1, 1, "0" * 64)))
    assert log_recorder.max_notification_id() == 1000


def test_an_insert_goes_on_behind_the_last_event_of_a_message(
    log_recorder: JetStreamApplicationRecorder,
) -> None:
    one = stamp([progress(text) for text in "abcde"], REQUEST, EMPTY)
    assert log_recorder.insert_events(one[:3]) == [998, 999, 1000]
    for stale in (one[1:2], one[2:4]):
        with pytest.raises(IntegrityError, match="can't follow 3"):
            log_recorder.insert_events(stale)
    assert log_recorder.insert_events(one[3:]) == [1999, 2000]
    assert log_recorder.select_events(REQUEST) == one


def test_events_of_several_requests_are_stored_in_their_order_or_not_at_all(
    log_recorder: JetStreamApplicationRecorder,
) -> None:
    a = stamp([progress(text) for text in "abcd"], REQUEST, EMPTY)
    b = stamp([progress(text) for text in "ab"], OTHER, EMPTY)
    order = [a[0], a[1], b[0], b[1], a[2]]
    assert log_recorder.insert_events(order) == [999, 1000, 1999, 2000, 3000]
    with pytest.raises(IntegrityError):
        log_recorder.insert_events([a[3], b[1]])
    found = log_recorder.select_notifications(None, 100)
    assert [notification.state for notification in found] == [event.state for event in order]
    assert log_recorder.max_notification_id() == 3000


@pytest.fixture
def messages_of_several(log_recorder: JetStreamApplicationRecorder) -> list[StoredEvent]:
    """Six events of one request in messages of one, four and one."""
    one = stamp([progress(text) for text in "abcdef"], REQUEST, EMPTY)
    for together in (one[:1], one[1:5], one[5:]):
        log_recorder.insert_events(together)
    return one


def test_of_a_message_just_the_versions_asked_for_are_selected(
    log_recorder: JetStreamApplicationRecorder, messages_of_several: list[StoredEvent]
) -> None:
    one, select = messages_of_several, log_recorder.select_events
    assert select(REQUEST, gt=2) == one[2:]
    assert select(REQUEST, lte=3) == one[:3]
    assert select(REQUEST, gt=1, lte=4, limit=2) == one[1:3]
    assert select(REQUEST, desc=True, lte=4, limit=2) == [one[3], one[2]]


def test_whoever_goes_on_behind_the_last_id_misses_no_event(
    log_recorder: JetStreamApplicationRecorder, messages_of_several: list[StoredEvent]
) -> None:
    ids = [1000, 1997, 1998, 1999, 2000, 3000]
    states = [event.state for event in messages_of_several]
    whole = log_recorder.select_notifications(None, 100)
    assert [(n.id, n.state) for n in whole] == list(zip(ids, states, strict=True))
    assert log_recorder.max_notification_id() == ids[-1]
    for limit in (1, 2, 3, 4):
        found: list[Notification] = []
        while page := log_recorder.select_notifications(found[-1].id + 1 if found else 1, limit):
            assert len(page) <= limit
            found += page
        assert found == whole
    for number, last in enumerate(ids, 1):
        assert log_recorder.select_notifications(last, 100, inclusive_of_start=False) == whole[number:]
        assert log_recorder.select_notifications(1, 100, stop=last) == whole[:number]
        with log_recorder.subscribe(gt=last) as subscription:
            assert list(islice(subscription, len(ids) - number)) == whole[number:]
    topics = {notification.topic for notification in whole}
    assert log_recorder.select_notifications(1999, 2, topics=[*topics]) == whole[3:5]


def test_the_log_takes_only_what_was_stamped_for_it(log_recorder: JetStreamApplicationRecorder) -> None:
    good = stamp([progress()], REQUEST, EMPTY)[0]
    other = stamp([progress()], AggregateId("acme.other"), EMPTY)[0]
    bad = [
        mapper.to_stored_event(progress()),
        mapper.to_stored_event(
            VoterProgress(originator_id=REQUEST, originator_version=1, voter_id="casper", status="no id")
        ),
        StoredEvent(REQUEST, 1, good.topic, b"encrypted"),
        StoredEvent(REQUEST, 1, "some.module:Class", good.state),
        StoredEvent(REQUEST, 2, good.topic, good.state),
        StoredEvent(REQUEST, 1, good.topic, other.state),
    ]
    for event in bad:
        with pytest.raises(ProgrammingError):
            log_recorder.insert_events([event])
    assert log_recorder.max_notification_id() is None


@pytest.mark.parametrize("name", ["*", ">", "acme.*", "acme.>", "a b", "", ".", "a..b"])
def test_an_id_that_would_match_others_names_no_aggregate(
    log_recorder: JetStreamApplicationRecorder, name: str
) -> None:
    log_recorder.insert_events(stamp([progress()], REQUEST, EMPTY))
    with pytest.raises(ProgrammingError, match="no aggregate's id"):
        log_recorder.select_events(name)


PROGRESS = b'{"type":"voter_progress","aggregate":"acme.x","version":1}'


@pytest.mark.parametrize(
    "data",
    [
        b"no json",
        b"{}",
        b'{"type":"unheard_of","aggregate":"acme.x","version":1}',
        b"[]",
        b"[" + PROGRESS,
        b"[" + PROGRESS + b",{}]",
        b"[[" + PROGRESS + b"]]",
        pack([PROGRESS] * (LogFormat.together + 1)),
    ],
)
async def test_what_is_no_event_of_ours_is_a_data_error(
    bus: Bus, log_stream: str, log_recorder: JetStreamApplicationRecorder, data: bytes
) -> None:
    await bus.store(f"{PREFIX}acme.x", data)
    for operation in (lambda: log_recorder.select_events("acme.x"), lambda: log_recorder.select_notifications(1, 10)):
        with pytest.raises(DataError, match="sequence 1"):
            await asyncio.to_thread(operation)


async def test_a_missing_version_is_a_data_error(
    bus: Bus, log_stream: str, log_recorder: JetStreamApplicationRecorder
) -> None:
    first, _, third = stamp([progress(), progress(), progress()], REQUEST, EMPTY)
    await bus.store(f"{PREFIX}{REQUEST}", pack([first.state, third.state]))
    with pytest.raises(DataError, match="version 3 where 2 was expected"):
        await asyncio.to_thread(log_recorder.select_events, REQUEST)
