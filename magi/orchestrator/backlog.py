"""What waits, where, and how much room is left: asked of the streams and their consumers when somebody scrapes.

Every orchestrator tells the same, so that any of them may be away: `max by (stream)` over all.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
from msgspec import Struct

from magi.domain.clock import milliseconds
from magi.domain.directory import Directory
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError
from magi.telemetry import declarations as d
from magi.telemetry.instruments import Reading

T = TypeVar("T")

FRESH = 3.0
"""Seconds for which what was learned is told again: several who scrape cost no more than one."""
ANSWER_WITHIN = 1.0
"""Seconds. A scrape is given up after ten, and a server that doesn't answer in one is news enough."""
_STREAMS = (subjects.LOG, subjects.INBOX, subjects.TASKS, subjects.DIRECTORY)
_NEVER_DELETE = (subjects.LOG, subjects.DIRECTORY)
_QUEUES = (subjects.INBOX, subjects.TASKS)


class _State(Struct, frozen=True):
    messages: int = 0
    bytes: int = 0
    first_seq: int = 0
    first_ts: str = ""
    last_seq: int = 0


class _Config(Struct, frozen=True):
    max_msgs: int = -1
    max_bytes: int = -1


class StreamInfo(Struct, frozen=True):
    state: _State
    config: _Config


class ConsumerInfo(Struct, frozen=True):
    num_pending: int
    num_ack_pending: int


class Backlog:
    """Polls for one orchestrator. `refresh` first, then `metrics`."""

    def __init__(self, bus: Bus, partitions: int, directory: Callable[[], Directory], now: Callable[[], int]) -> None:
        """`now` gives milliseconds since 1970."""
        self._bus = bus
        self._partitions = partitions
        self._directory = directory
        self._now = now
        self._streams: dict[str, StreamInfo] = {}
        self._inbox: dict[str, ConsumerInfo] = {}
        self._tasks: dict[str, ConsumerInfo] = {}
        self._failures = Counter({"streams": 0, "inbox": 0, "tasks": 0})
        self._looked = float("-inf")

    async def refresh(self) -> None:
        """Ask anew, unless that was done just now. What doesn't answer is left out."""
        if time.monotonic() - self._looked < FRESH:
            return
        self._looked = time.monotonic()
        inbox = {str(p): f"{subjects.INBOX}.{subjects.inbox_consumer(p)}" for p in range(self._partitions)}
        voters = [name for name, voter in self._directory().voters.items() if voter.status != "revoked"]
        tasks = {str(name): f"{subjects.TASKS}.{subjects.task_consumer(name)}" for name in voters}
        self._streams, self._inbox, self._tasks = await asyncio.gather(
            self._ask("streams", "STREAM.INFO", {name: name for name in _STREAMS}, StreamInfo),
            self._ask("inbox", "CONSUMER.INFO", inbox, ConsumerInfo),
            self._ask("tasks", "CONSUMER.INFO", tasks, ConsumerInfo),
        )

    async def _ask(self, what: str, api: str, named: dict[str, str], kind: type[T]) -> dict[str, T]:
        async def one(subject: str) -> T | None:
            try:
                answer = await self._bus.request(f"$JS.API.{api}.{subject}", timeout=ANSWER_WITHIN)
                return msgspec.json.decode(answer, type=kind)
            except (BusError, msgspec.DecodeError):  # the latter: it says that there is no such thing
                self._failures[what] += 1
                return None

        found = await asyncio.gather(*(one(subject) for subject in named.values()))
        return {name: info for name, info in zip(named, found, strict=True) if info is not None}

    def metrics(self) -> Iterable[Reading]:
        yield d.POLL_FAILURES, self._failures
        infos = self._streams
        yield d.STREAM_MESSAGES, {name: info.state.messages for name, info in infos.items()}
        yield d.STREAM_BYTES, {name: info.state.bytes for name, info in infos.items()}
        yield d.STREAM_LAST, {name: info.state.last_seq for name, info in infos.items()}
        yield d.STREAM_MISSING, {name: missing(infos[name].state) for name in _NEVER_DELETE if name in infos}
        yield d.STREAM_OLDEST, {name: age(infos[name].state, self._now()) for name in _QUEUES if name in infos}
        used = {name: used_share(info) for name, info in infos.items()}
        yield d.STREAM_USED, {name: share for name, share in used.items() if share is not None}
        yield d.INBOX_UNTAKEN, {name: info.num_pending for name, info in self._inbox.items()}
        yield d.INBOX_PUT_OFF, {name: info.num_ack_pending for name, info in self._inbox.items()}
        yield d.TASKS_UNTAKEN, {name: info.num_pending for name, info in self._tasks.items()}
        yield d.TASKS_AT_WORK, {name: info.num_ack_pending for name, info in self._tasks.items()}


def missing(state: _State) -> int:
    """How many of a stream's messages aren't there, from the first that there ever was to the last."""
    return max(0, state.last_seq - state.messages)


def age(state: _State, now: int) -> float:
    """Seconds since the oldest message was stored; 0 for none. `now` in milliseconds since 1970."""
    return max(0, now - milliseconds(state.first_ts)) / 1000 if state.messages else 0.0


def used_share(info: StreamInfo) -> float | None:
    """The share of a stream's limits that is used, the greater one; None without limits."""
    limits = ((info.state.messages, info.config.max_msgs), (info.state.bytes, info.config.max_bytes))
    return max((used / limit for used, limit in limits if limit > 0), default=None)
