"""The factory: settings, and an application of the library that lives on JetStream from end to end."""

import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError, OperationalError, ProgrammingError

import magi
from magi.eventstore.persistence.factory import JetStreamFactory
from tests.eventstore.logs import new_name
from tests.eventstore.persistence.conftest import MakeFactory, events
from tests.eventstore.test_bus import new_key, users
from tests.servers import NatsServer


class Account(Aggregate):
    @event("Opened")
    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.balance = 0

    @event("Paid")
    def pay(self, amount: int) -> None:
        self.balance += amount


class Bank(Application[UUID]):
    is_snapshotting_enabled = True
    snapshotting_intervals = {Account: 3}


@pytest.fixture
def bank_settings(shared_nats: NatsServer) -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "magi.eventstore.persistence",
        "MAGI_ES_NATS_URL": shared_nats.url,
        "BANK_MAGI_ES_STREAM": new_name("BANK"),
    }


def test_an_application_stores_finds_and_snapshots_its_aggregates(bank_settings: dict[str, str]) -> None:
    with Bank(bank_settings) as bank:
        account = Account("me")
        bank.save(account)
        for amount in (1, 10, 100, 1000):
            account.pay(amount)
            bank.save(account)
        assert bank.snapshots is not None
        assert [s.originator_version for s in bank.snapshots.get(account.id)] == [3]
        assert bank.repository.get(account.id).balance == 1111
        assert bank.repository.get(account.id, version=2).balance == 1
        assert [n.id for n in bank.notification_log.select(1, 10)] == [1, 2, 3, 4, 5]
    with Bank(bank_settings) as again:  # as another process would
        assert again.repository.get(account.id).balance == 1111
        stale: Account = again.repository.get(account.id, version=3)
        stale.pay(5)
        with pytest.raises(IntegrityError):
            again.save(stale)
        with pytest.raises(AggregateNotFoundError):
            again.repository.get(UUID(int=0))


def test_streams_are_named_after_the_application() -> None:
    factory = JetStreamFactory(None)
    assert (factory._stream, factory._prefix) == ("APPLICATION_EVENTS", "es.APPLICATION_EVENTS.")


def test_streams_keep_everything(make_factory: MakeFactory) -> None:
    recorder = make_factory().application_recorder()
    info = recorder.facade.call(recorder.records.bus.request(f"$JS.API.STREAM.INFO.{recorder.records.stream}"))
    for promise in (b'"deny_delete":true', b'"deny_purge":true', b'"discard":"new"', b'"storage":"file"'):
        assert promise in info


def test_without_create_table_a_missing_stream_stays_missing(make_factory: MakeFactory) -> None:
    recorder = make_factory(CREATE_TABLE="no", MAGI_ES_PATIENCE="0.1").application_recorder()
    with pytest.raises(OperationalError):
        recorder.insert_events(events(1))


def test_a_stream_that_is_there_is_used_as_it_is(make_factory: MakeFactory) -> None:
    first = make_factory(MAGI_ES_SUBJECT_PREFIX="orders.").application_recorder()
    first.insert_events(events(2, "a"))
    again = make_factory(MAGI_ES_SUBJECT_PREFIX="orders.").application_recorder()
    assert len(again.select_events("a")) == 2


def test_subjects_that_another_stream_has_are_told(make_factory: MakeFactory) -> None:
    make_factory(MAGI_ES_STREAM=new_name("ONE"), MAGI_ES_SUBJECT_PREFIX="taken.").application_recorder()
    with pytest.raises(OperationalError, match=r"can't create the stream TWO.*overlap"):
        make_factory(MAGI_ES_STREAM="TWO", MAGI_ES_SUBJECT_PREFIX="taken.").application_recorder()


def test_the_log_has_no_snapshots_and_is_never_created(make_factory: MakeFactory) -> None:
    factory = make_factory(MAGI_ES_FORMAT="log", MAGI_ES_SUBJECT_PREFIX="magi.log.", MAGI_ES_PATIENCE="0.1")
    with pytest.raises(ProgrammingError, match="no snapshots"):
        factory.aggregate_recorder(purpose="snapshots")
    with pytest.raises(OperationalError):
        factory.application_recorder().max_notification_id()


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        ("MAGI_ES_FORMAT", "xml", "expected 'plain' or 'log', got 'xml'"),
        ("MAGI_ES_SUBJECT_PREFIX", "orders", "expected a dot at its end"),
        ("MAGI_ES_PATIENCE", "long", "expected a number of seconds"),
        ("MAGI_ES_SEED_FILE", "/no/such/file", "can't be read"),
    ],
)
def test_a_bad_setting_is_named(setting: str, value: str, problem: str) -> None:
    with pytest.raises(ProgrammingError, match=f"{setting}: .*{problem}"):
        JetStreamFactory({setting: value})


def test_the_nkey_of_a_file_is_proved(tmp_path: Path, make_factory: MakeFactory) -> None:
    seed, key = new_key()
    file = tmp_path / "seed"
    file.write_text(seed + "\n")
    with NatsServer(tmp_path / "nats", config=users(key)) as server:
        factory = make_factory(MAGI_ES_NATS_URL=server.url, MAGI_ES_SEED_FILE=str(file))
        assert factory.application_recorder().max_notification_id() is None
        with pytest.raises(OperationalError, match="Authorization Violation"):
            make_factory(MAGI_ES_NATS_URL=server.url).application_recorder()
        factory.close()


def test_the_library_is_imported_nowhere_else() -> None:
    package = Path(magi.__file__).parent
    importing = [
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        if "eventsourcing" in file.read_text("utf-8") and file.parent != package / "eventstore" / "persistence"
        if any(line.lstrip().startswith(("import eventsourcing", "from eventsourcing")) for line in file.open())
    ]
    assert importing == []
    program = "import sys, magi.eventstore.log, magi.eventstore.follow; sys.exit('eventsourcing' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
