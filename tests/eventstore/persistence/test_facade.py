"""The façade: any thread may call, errors come in the library's terms, and it ends when it is told to."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from eventsourcing.persistence import DataError, OperationalError, ProgrammingError

from magi.eventstore.bus import NoAck, NoStream, Rejected
from magi.eventstore.history import CorruptHistory, StoreUnavailable
from magi.eventstore.persistence.facade import Facade


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def fail(error: Exception) -> None:
    raise error


def test_many_threads_call_at_once(facade: Facade) -> None:
    assert facade.bus.nc.is_connected
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda n: facade.call(double(n)), range(200))) == [2 * n for n in range(200)]


@pytest.mark.parametrize("error", [NoAck("x"), NoStream("x"), StoreUnavailable("x"), Rejected(503, 10077, "x")])
def test_what_is_unavailable_is_an_operational_error(facade: Facade, error: Exception) -> None:
    assert facade.bus
    with pytest.raises(OperationalError, match="x") as raised:
        facade.call(fail(error))
    assert raised.value.__cause__ is error


def test_what_is_corrupt_is_a_data_error(facade: Facade) -> None:
    assert facade.bus
    with pytest.raises(DataError, match="x"):
        facade.call(fail(CorruptHistory("x")))


def test_other_errors_are_left_as_they_are(facade: Facade) -> None:
    assert facade.bus
    with pytest.raises(KeyError):
        facade.call(fail(KeyError("x")))


def test_it_refuses_to_wait_for_itself(facade: Facade) -> None:
    assert facade.bus

    async def call_again() -> None:
        facade.call(double(1))

    with pytest.raises(ProgrammingError, match="wait for itself"):
        facade.call(call_again())


def test_a_server_that_cant_be_reached_is_told_at_once_and_leaves_no_thread() -> None:
    before = threading.active_count()
    started = time.monotonic()
    facade = Facade("nats://127.0.0.1:1")
    for _ in range(2):
        with pytest.raises(OperationalError, match="can't connect to NATS"):
            assert facade.bus
    assert time.monotonic() - started < 30.0
    assert threading.active_count() == before
    facade.close()


def test_closing_ends_its_thread_and_what_comes_after_is_refused(facade: Facade) -> None:
    before = threading.active_count()
    assert facade.bus
    assert threading.active_count() == before + 1
    told: list[str] = []
    facade.on_close.add(lambda: told.append("closing"))
    facade.close()
    facade.close()
    assert threading.active_count() == before
    assert told[0] == "closing"
    with pytest.raises(OperationalError, match="was closed"):
        facade.call(double(1))
    with pytest.raises(OperationalError, match="was closed"):
        assert facade.bus


def test_closing_lets_whoever_waits_go(facade: Facade) -> None:
    assert facade.bus
    errors: list[BaseException] = []
    begun = threading.Event()

    async def wait_for_ever() -> None:
        begun.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            facade.call(wait_for_ever())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    begun.wait(30)
    facade.close()
    thread.join(5)
    assert not thread.is_alive()
    assert [type(error) for error in errors] == [OperationalError]
