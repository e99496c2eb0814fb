"""A subscription: an iterator that blocks its thread until the next event is stored."""

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eventsourcing.persistence import ApplicationRecorder, Notification, OperationalError, Subscription

from magi.eventstore.direct import StoredMessage
from magi.eventstore.follow import MessageFollower
from magi.eventstore.persistence.facade import translated_errors

if TYPE_CHECKING:
    from magi.eventstore.persistence.recorders import JetStreamApplicationRecorder

AHEAD = 1000
"""Notifications that are read ahead of their consumer."""


class JetStreamSubscription(Subscription[ApplicationRecorder]):
    """Follows the stream from the façade's loop, and hands over to the thread that iterates."""

    def __init__(self, recorder: "JetStreamApplicationRecorder", gt: int | None = None, topics: Sequence[str] = ()):
        """Raises OperationalError when the stream doesn't answer."""
        super().__init__(recorder, gt, topics)
        self._gt = gt or 0
        self._facade = recorder.facade
        self._records = recorder.records
        self._changed = threading.Condition()
        self._found: deque[Notification] = deque()
        self._error: BaseException | None = None
        self._room = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None
        self._follower = self._facade.call(self._follow(self._records.sequence_of(self._gt + 1)))
        self._facade.on_close.add(self.stop)

    def stop(self) -> None:
        with self._changed:
            if self._has_been_stopped:
                return
            super().stop()
            self._changed.notify_all()
        self._facade.on_close.discard(self.stop)
        self._facade.call_soon(self._room.set)
        try:
            self._facade.call(self._leave())
        except OperationalError:
            return  # the connection is gone, and the follower with it

    def __next__(self) -> Notification:
        with self._changed:
            while not self._has_been_stopped:
                if self._found:
                    if len(self._found) == AHEAD // 2:
                        self._facade.call_soon(self._room.set)
                    return self._found.popleft()
                if self._error:
                    with translated_errors():
                        raise self._error
                self._changed.wait()
        raise StopIteration

    async def _follow(self, start: int) -> MessageFollower:
        follower = MessageFollower(self._records.bus, self._records.stream, self._receive, start)
        await follower.start()
        follower.failed.add_done_callback(self._failed)
        self._watch = asyncio.create_task(self._watch_connection())
        return follower

    async def _leave(self) -> None:
        if self._watch:
            self._watch.cancel()
        await self._follower.stop()

    async def _receive(self, message: StoredMessage) -> None:
        notifications = [
            notification
            for notification in self._records.notifications_of(message)
            if notification.id > self._gt and (not self._topics or notification.topic in self._topics)
        ]
        if not notifications:
            return
        with self._changed:
            self._found.extend(notifications)
            self._changed.notify(len(notifications))
            full = len(self._found) >= AHEAD and not self._has_been_stopped
            if full:
                self._room.clear()
        if full:
            await self._room.wait()

    def _failed(self, failed: "asyncio.Future[None]") -> None:
        if not failed.cancelled():
            self._end_with(failed.exception())

    async def _watch_connection(self) -> None:
        await self._records.bus.closed.wait()
        self._end_with(OperationalError("the server ended the connection for good"))

    def _end_with(self, error: BaseException | None) -> None:
        with self._changed:
            self._error = error
            self._changed.notify_all()
