"""The recorders keep the store's contract on a log of ours, and what the library's own cases don't ask: all or nothing,
and what can't be stored is told apart from what can."""

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest
from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    JSONTranscoder,
    Notification,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)

from magi.domain.ids import AggregateId
from magi.domain.voting_request import RequestEvent, VoterProgress
from magi.eventstore.bus import Bus
from magi.eventstore.codec import Codec, pack
from magi.eventstore.direct import StoredMessage
from magi.eventstore.history import EMPTY, AppendConflict, Head, Recorded
from magi.eventstore.persistence.facade import Facade
from magi.eventstore.persistence.formats import LogFormat, PlainFormat
from magi.eventstore.persistence.mapper import StructMapper
from magi.eventstore.persistence.recorders import JetStreamApplicationRecorder
from magi.eventstore.persistence.records import MOST, Records
from tests.eventstore.contract import OTHER, REQUEST, Store, StoreContract, progress
from tests.eventstore.logs import PREFIX, make_log, make_stream, new_name
from tests.eventstore.persistence.conftest import MakeFactory, events

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


# --- Both formats: all or nothing -------------------------------------------------------------------------------------


def test_a_version_that_leaves_a_gap_is_refused(recorder: JetStreamApplicationRecorder) -> None:
    one = events(5)
    with pytest.raises(IntegrityError, match="version 3 can't follow nothing"):
        recorder.insert_events(one[2:])
    recorder.insert_events(one[:2])
    for gap in (one[3:], [one[2], one[4]], [one[3], one[2]], one[1:3]):
        with pytest.raises(IntegrityError):
            recorder.insert_events(gap)
    recorder.insert_events(one[2:])
    assert recorder.select_events(one[0].originator_id) == one


def test_what_was_just_stored_is_known_though_a_copy_is_behind(
    recorder: JetStreamApplicationRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of a replicated stream that knows of nothing yet; only what is read of all of a subject is sure."""
    one = events(3)
    recorder.insert_events(one[:1])

    async def nothing(filters: list[str]) -> list[StoredMessage]:
        return []

    async def several() -> bool:
        return True

    monkeypatch.setattr(recorder.records._direct, "last_of_each", nothing)
    monkeypatch.setattr(recorder.records._direct, "replicated", several)
    recorder.insert_events(one[1:2])
    with pytest.raises(IntegrityError, match="version 2 can't follow 2"):
        recorder.insert_events(one[1:2])
    recorder.insert_events(one[2:])
    assert recorder.select_events(one[0].originator_id) == one


def test_of_several_originators_all_events_are_stored_or_none(recorder: JetStreamApplicationRecorder) -> None:
    a, b, c = events(3, "a"), events(3, "b"), events(2, "c")
    assert recorder.insert_events([a[0], b[0], a[1], c[0], b[1]]) == [1, 2, 3, 4, 5]
    with pytest.raises(IntegrityError):
        recorder.insert_events([a[2], b[1]])
    assert recorder.max_notification_id() == 5
    assert recorder.insert_events([c[1], a[2], b[2]]) == [6, 7, 8]
    assert [n.originator_id for n in recorder.select_notifications(None, 100)] == list("abacbcab")
    assert recorder.select_events("a") == a


def test_a_thousand_events_are_inserted_at_once_and_not_one_more(recorder: JetStreamApplicationRecorder) -> None:
    many = events(MOST + 1)
    with pytest.raises(ProgrammingError, match="at most 1000"):
        recorder.insert_events(many)
    assert recorder.insert_events(many[:MOST]) == list(range(1, MOST + 1))


def test_a_thousand_originators_can_be_in_one_insert(recorder: JetStreamApplicationRecorder) -> None:
    first = [events(1, f"originator {n}")[0] for n in range(MOST)]
    assert recorder.insert_events(first) == list(range(1, MOST + 1))
    second = [events(1, f"originator {n}", first=2)[0] for n in range(MOST)]
    assert recorder.insert_events(second) == list(range(MOST + 1, 2 * MOST + 1))


@pytest.mark.parametrize("size", [1, 3])
def test_of_many_recorders_that_insert_at_once_exactly_one_wins(make_factory: MakeFactory, size: int) -> None:
    recorders = [make_factory().application_recorder() for _ in range(8)]
    one = events(size)
    barrier = threading.Barrier(8)

    def insert(recorder: JetStreamApplicationRecorder) -> bool:
        barrier.wait()
        try:
            return bool(recorder.insert_events(one))
        except IntegrityError:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(insert, recorders)) == [False] * 7 + [True]
    assert recorders[0].select_events(one[0].originator_id) == one
    assert recorders[0].max_notification_id() == size


def test_positions_of_projections_are_refused(recorder: JetStreamApplicationRecorder) -> None:
    with pytest.raises(NotSupportedError, match="no transaction"):
        recorder.insert_events(events(1), tracking=Tracking("upstream", 1))
    assert recorder.max_notification_id() is None


def test_notifications_of_a_topic_are_found_among_thousands_of_others(recorder: JetStreamApplicationRecorder) -> None:
    for n in range(3):
        recorder.insert_events(events(900, f"noise {n}", topic="noise"))
        recorder.insert_events(events(1, f"rare {n}", topic="rare"))
    found = recorder.select_notifications(None, 10, topics=["rare"])
    assert [n.id for n in found] == [901, 1802, 2703]
    assert [n.id for n in recorder.select_notifications(902, 1, topics=["rare"])] == [1802]
    assert [n.id for n in recorder.select_notifications(None, 10, stop=1802, topics=["rare"])] == [901, 1802]


# --- Snapshots --------------------------------------------------------------------------------------------------------


def test_snapshots_come_in_any_order_and_each_once(make_factory: MakeFactory) -> None:
    recorder = make_factory().aggregate_recorder(purpose="snapshots")
    tenth, fourth = events(1, "a", first=10)[0], events(1, "a", first=4)[0]
    recorder.insert_events([tenth])
    recorder.insert_events([fourth])
    with pytest.raises(IntegrityError, match="version 4 is there already"):
        recorder.insert_events([fourth])
    assert recorder.select_events("a") == [fourth, tenth]
    assert recorder.select_events("a", desc=True, limit=1) == [tenth]
    assert recorder.select_events("a", lte=9, desc=True, limit=1) == [fourth]


def test_snapshots_are_no_notifications(make_factory: MakeFactory) -> None:
    factory = make_factory()
    factory.aggregate_recorder(purpose="snapshots").insert_events(events(1))
    assert factory.application_recorder().max_notification_id() is None


# --- The log ----------------------------------------------------------------------------------------------------------


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


# --- What is wrong with a stream --------------------------------------------------------------------------------------


@pytest.fixture
def plain_recorder(facade: Facade) -> Callable[[str], JetStreamApplicationRecorder]:
    """Makes recorders of plain events on a stream of any name."""

    def make(stream: str) -> JetStreamApplicationRecorder:
        records = Records(facade.bus, stream, PREFIX, PlainFormat(), patience=0.3)
        facade.call(records.start())
        return JetStreamApplicationRecorder(facade, records)

    return make


def test_a_missing_stream_is_an_operational_error_after_the_patience_is_spent(
    plain_recorder: Callable[[str], JetStreamApplicationRecorder],
) -> None:
    recorder = plain_recorder("NO_SUCH_STREAM")
    started = time.monotonic()
    for operation in (
        lambda: recorder.insert_events(events(1)),
        lambda: recorder.select_events("a"),
        lambda: recorder.select_notifications(1, 10),
        recorder.max_notification_id,
        recorder.subscribe,
    ):
        with pytest.raises(OperationalError, match="NO_SUCH_STREAM"):
            operation()
    assert time.monotonic() - started < 25.0


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b"{}", {}),
        (b"{}", {PlainFormat.VERSION: "x", PlainFormat.TOPIC: "t", PlainFormat.ORIGINATOR: "str"}),
        (b"{}", {PlainFormat.VERSION: "1", PlainFormat.TOPIC: "t", PlainFormat.ORIGINATOR: "uuid"}),
    ],
)
async def test_what_is_no_stored_event_is_a_data_error(
    bus: Bus,
    log_stream: str,
    plain_recorder: Callable[[str], JetStreamApplicationRecorder],
    data: bytes,
    headers: dict[str, str],
) -> None:
    await bus.store(f"{PREFIX}a", data, headers)
    recorder = await asyncio.to_thread(plain_recorder, log_stream)
    for operation in (lambda: recorder.select_events("a"), lambda: recorder.select_notifications(1, 10)):
        with pytest.raises(DataError, match="sequence 1"):
            await asyncio.to_thread(operation)


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


def test_an_event_that_is_too_large_is_refused_at_once(recorder: JetStreamApplicationRecorder) -> None:
    started = time.monotonic()
    with pytest.raises(ProgrammingError, match="message size exceeds"):
        recorder.insert_events([StoredEvent("a", 1, "topic", b"x" * 1_100_000)])
    assert time.monotonic() - started < 8.0, "and not when the patience is spent"


async def test_a_stream_without_batches_is_told(
    bus: Bus, plain_recorder: Callable[[str], JetStreamApplicationRecorder]
) -> None:
    stream = await make_stream(bus, new_name("LOG"), "test.log.>", allow_atomic=False)
    recorder = await asyncio.to_thread(plain_recorder, stream)
    assert await asyncio.to_thread(recorder.insert_events, events(1)) == [1]
    with pytest.raises(ProgrammingError, match="atomic publish is disabled"):
        await asyncio.to_thread(recorder.insert_events, events(2))
