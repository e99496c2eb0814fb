"""What a voter's ballots go through to the inbox: those for one partition in order, and what waits in one message.

While one message is being stored, what is said meanwhile gathers behind it and goes in the next: one at a time when
there is little to do, dozens when there is much, and nobody ever waits for more to come.
"""

import asyncio
import itertools
import uuid
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from magi.domain.messages import AT_ONCE, Ballot, Ballots, ProgressBallot, encode
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError, Rejected

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between two tries of what could not be stored."""
ENOUGH = 64 * 1024
"""Characters of reasons after which a message is full: some way below what a stream takes."""


class _Waiting(Struct):
    ballot: Ballot
    deadline: int
    stored: "asyncio.Future[None]"


class BallotBox:
    """Sends ballots; one of it serves all that a voter's instance says."""

    def __init__(self, bus: Bus, now: Callable[[], int]) -> None:
        """`now` gives the time in milliseconds since 1970."""
        self._bus = bus
        self._now = now
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._names = map(f"{uuid.uuid4().hex[:16]}-{{}}".format, itertools.count(1))

    def put(self, subject: str, ballot: Ballot, deadline: int) -> "asyncio.Future[None]":
        """Have `ballot` stored, after all that was put for `subject` before; done once it can't be lost any more.

        It is tried until the deadline (milliseconds); then the future has a BusError. Whoever doesn't wait for it
        needn't: it is tried all the same.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(ballot, deadline, loop.create_future())
        waiting.stored.add_done_callback(_seen)
        queue = self._waiting.get(subject)
        if queue is None:
            self._waiting[subject] = deque((waiting,))
            self._senders[subject] = loop.create_task(self._send(subject))
        else:
            queue.append(waiting)
        return waiting.stored

    def close(self) -> None:
        """Send nothing more."""
        for sender in self._senders.values():
            sender.cancel()

    async def _send(self, subject: str) -> None:
        queue = self._waiting[subject]
        try:
            while queue:
                await self._store(subject, _some(queue))
        finally:
            del self._waiting[subject], self._senders[subject]
            for left in queue:
                left.stored.cancel()

    async def _store(self, subject: str, some: list[_Waiting]) -> None:
        """Store them in one message, trying each until its deadline."""
        pause = FIRST_PAUSE
        data, name = self._message(some)
        try:
            while some:
                try:
                    await self._bus.store(subject, data, {"Nats-Msg-Id": name})
                except (BusError, Rejected) as error:
                    self._bus.retries[subjects.INBOX] += 1
                    left = _still_in_time(some, self._now(), error)
                    if len(left) < len(some):
                        some = left
                        if some:
                            data, name = self._message(some)
                    await asyncio.sleep(pause if some else 0)
                    pause = min(LONGEST_PAUSE, pause * 2)
                else:
                    for one in some:
                        if not one.stored.done():
                            one.stored.set_result(None)
                    return
        finally:
            for one in some:
                one.stored.cancel()  # whose sending was: nobody else's is left here

    def _message(self, some: list[_Waiting]) -> tuple[bytes, str]:
        """What is sent, and the id by which the inbox knows it again.

        A ballot alone has the name that PROTOCOL §3 gives it, so that another instance's is dropped. Several have one
        of their own: who finds the same ballot in two of them makes nothing of the second.
        """
        if len(some) == 1:
            ballot = some[0].ballot
            return encode(ballot), f"{ballot.task_id}:{'progress' if isinstance(ballot, ProgressBallot) else 'result'}"
        return encode(Ballots(ballots=tuple(one.ballot for one in some))), next(self._names)


def _some(queue: deque[_Waiting]) -> list[_Waiting]:
    """Take from the queue what goes into one message."""
    some: list[_Waiting] = []
    size = 0
    while queue and len(some) < AT_ONCE and size < ENOUGH:
        some.append(queue.popleft())
        size += len(getattr(some[-1].ballot, "reason", None) or "")
    return some


def _still_in_time(some: list[_Waiting], now: int, error: Exception) -> list[_Waiting]:
    left = [one for one in some if now < one.deadline]
    for one in some:
        if now >= one.deadline and not one.stored.done():
            late = BusError(f"no ballot for {one.ballot.task_id} before its deadline: {error}")
            late.__cause__ = error
            one.stored.set_exception(late)
    return left


def _seen(stored: "asyncio.Future[None]") -> None:
    """Nobody has to wait: then a failure is nobody's."""
    if not stored.cancelled():
        stored.exception()
