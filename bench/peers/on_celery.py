"""Celery with Redis: a request is a chord, three votes and then the verdict.

    python -m bench.peers.on_celery PORT READY_FILE                                the front     (BENCH_REDIS: the URL)
    python -m celery -A bench.peers.on_celery worker --concurrency 2 …             the workers

Redis has appendonly on and appendfsync everysec, its default (`--sync always`: always). A request is acknowledged when
the chord has been submitted, which is in Redis then. `acks_late` and `reject_on_worker_lost`: the task of a worker that
died runs again. What happens is appended to a Redis stream, as durable as the tasks, which the front follows; the front
leaves out what a task that ran twice says twice.

Spared: two prefork workers (quicker here than threads and gevent), no gossip, mingle, heartbeat nor events; the front
numbers the events in memory. What Redis acknowledged within the last second is lost in a power cut.
"""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
import uvloop
from celery import Celery, chord

from bench.peers.front import VOTERS, Front

URL = os.environ.get("BENCH_REDIS", "")
EVENTS = "events"
SUBMITTERS = 4
"""Threads of the front: submitting a chord blocks."""

app = Celery("bench", broker=f"{URL}/0", backend=f"{URL}/1")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    broker_pool_limit=SUBMITTERS,
)


@cache
def stream() -> redis.Redis:
    """A process's own connection: made after the worker has forked."""
    return redis.Redis.from_url(f"{URL}/0")


def append(request_id: str, type_: str, voter: str, value: str) -> None:
    fields: Any = {"request": request_id, "type": type_, "voter": voter, "value": value}
    stream().xadd(EVENTS, fields, maxlen=100_000, approximate=True)


@app.task(name="vote")
def vote(voter: str, request_id: str, request: str) -> str:
    append(request_id, "voter_progress", voter, "processing")
    append(request_id, "voter_result", voter, "pass")
    return "pass"


@app.task(name="adjudicate")
def adjudicate(votes: list[str], request_id: str) -> str:
    verdict = "pass" if votes.count("pass") > 1 else "fail"
    append(request_id, "final_result", "", verdict)
    return verdict


def submit(request_id: str, request: str) -> None:
    chord([vote.s(voter, request_id, request) for voter in VOTERS])(adjudicate.s(request_id))


class Requests:
    """What the front holds back until a request is acknowledged, and what it has told of it."""

    def __init__(self) -> None:
        self.front = Front(self.accept)
        self._held: dict[str, list[tuple[str, str, str]]] = {}
        self._told: dict[str, set[tuple[str, str]]] = {}
        self._threads = ThreadPoolExecutor(SUBMITTERS)

    async def accept(self, request_id: str, frame: bytes) -> None:
        self._held[request_id] = []
        self._told[request_id] = set()
        await asyncio.get_running_loop().run_in_executor(self._threads, submit, request_id, frame.decode())
        self.front.tell(request_id, "acknowledged")
        for held in self._held.pop(request_id):
            self._tell(request_id, *held)

    def on_event(self, request_id: str, type_: str, voter: str, value: str) -> None:
        if request_id in self._held:
            self._held[request_id].append((type_, voter, value))
        else:
            self._tell(request_id, type_, voter, value)

    def _tell(self, request_id: str, type_: str, voter: str, value: str) -> None:
        told = self._told.get(request_id)
        if told is None or (type_, voter) in told:
            return
        told.add((type_, voter))
        if type_ == "final_result":
            del self._told[request_id]
        self.front.tell(request_id, type_, voter_id=voter, value=value)


async def follow(requests: Requests) -> None:
    client = redis.asyncio.Redis.from_url(f"{URL}/0", decode_responses=True)
    last = "0"
    while True:
        # Seconds: redis-py breaks off a read that takes longer than its own timeout.
        streams: Any = await client.xread({EVENTS: last}, count=1000, block=2000) or ()
        for _, entries in streams:
            for last, event in entries:  # noqa: B007 - the next read begins there
                requests.on_event(event["request"], event["type"], event["voter"], event["value"])


async def main(port: str, ready: str) -> None:
    requests = Requests()
    await asyncio.gather(follow(requests), requests.front.run(int(port), Path(ready)))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
