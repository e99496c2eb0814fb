"""The synchronous façade: an event loop in a thread of its own with one bus, for callers that can't await."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from eventsourcing.persistence import DataError, OperationalError, ProgrammingError

from magi.eventstore.bus import Bus, BusError, CannotConnect, Rejected
from magi.eventstore.history import CorruptHistory, StoreError

T = TypeVar("T")


class Facade:
    """One connection to NATS that any thread can use. It connects at the first use, and not again after `close`."""

    def __init__(self, url: str, *, name: str = "eventsourcing", seed: str | None = None) -> None:
        """`seed` is the nkey to prove, if the server wants one."""
        self._url = url
        self._name = name
        self._seed = seed
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._bus: Bus | None = None
        self._closed = False
        self.on_close: set[Callable[[], None]] = set()
        """Called by `close`, before the connection ends: whoever blocks a thread must let it go."""

    @property
    def bus(self) -> Bus:
        """The connection, for coroutines that are given to `call`. Raises OperationalError when there can be none."""
        with self._lock:
            if self._closed:
                raise OperationalError("the connection to NATS was closed")
            if self._bus is None:
                self._bus = self._start()
            return self._bus

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` in the loop's thread and return what it returns, in the library's terms for errors.

        Raises OperationalError when the store doesn't answer, DataError when it holds what it can't.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise ProgrammingError("called from the façade's own event loop: it would wait for itself")
        with self._lock:  # so that `close` knows of every call that it has to end
            if self._closed or self._loop is None:
                coroutine.close()
                raise OperationalError("the connection to NATS was closed" if self._closed else "not connected to NATS")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        with translated_errors():
            try:
                return future.result()
            except CancelledError as error:
                raise OperationalError("the connection to NATS was closed meanwhile") from error

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Run `callback` in the loop's thread, some time soon."""
        if self._loop and not self._closed:
            self._loop.call_soon_threadsafe(callback)

    def close(self) -> None:
        """End the connection and the thread. Closing again does nothing."""
        for callback in tuple(self.on_close):
            callback()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            loop, thread, bus = self._loop, self._thread, self._bus
        if loop and thread and bus:
            asyncio.run_coroutine_threadsafe(_shut_down(bus), loop).result()
            self._stop(loop, thread)

    def _start(self) -> Bus:
        loop = asyncio.new_event_loop()
        # A daemon: a program that forgets to close must still be able to end.
        thread = threading.Thread(target=loop.run_forever, name=self._name, daemon=True)
        thread.start()
        try:
            with translated_errors():
                connecting = Bus.connect(self._url, name=self._name, seed=self._seed)
                bus = asyncio.run_coroutine_threadsafe(connecting, loop).result()
        except OperationalError:
            self._stop(loop, thread)
            raise
        self._loop, self._thread = loop, thread
        return bus

    @staticmethod
    def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _shut_down(bus: Bus) -> None:
    """Close the bus and end what is under way, so that no thread waits for an answer that can't come any more."""
    await bus.close()
    tasks: set[asyncio.Task[Any]] = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=0.05)  # again: nats-py swallows a cancellation while it flushes


class translated_errors:  # noqa: N801 - it reads like a function: with translated_errors(): ...
    """Turns the store's exceptions into the library's."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        match error:
            case CorruptHistory():
                raise DataError(str(error)) from error
            case StoreError() | BusError() | CannotConnect() | Rejected():
                raise OperationalError(str(error)) from error
            case _:
                pass
