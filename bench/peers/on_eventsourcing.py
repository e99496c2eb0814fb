"""The `eventsourcing` library on Postgres: a request is an aggregate, each step an event that is saved.

    python -m bench.peers.on_eventsourcing PORT READY_FILE        (POSTGRES_* in the environment, as it reads them)

Two processes share a port; in each are its front and four threads, for the library is synchronous. `save` returns after
the commit (fsync and synchronous_commit on), and then the client is told: eight commits a request. The library's
optimistic lock keeps two writers of a request apart.

Spared: the voters are functions that are called one after the other in the same thread, no message is between; the
client is told from memory; nothing takes up a request whose process died. POSTGRES_ENABLE_DB_FUNCTIONS is on, which
halves the processor time.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import uvloop
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from bench.peers.front import VOTERS, Front

THREADS = 4


class Request(Aggregate):
    @event("Received")
    def __init__(self, id: UUID, content: str) -> None:
        self._id = id
        self.content = content
        self.votes: dict[str, str] = {}
        self.verdict = ""

    @staticmethod
    def create_id(id: UUID) -> UUID:
        return id

    @event("Progressed")
    def progress(self, voter: str, status: str) -> None:
        """Nothing in the state depends on it."""

    @event("Voted")
    def vote(self, voter: str, vote: str) -> None:
        self.votes[voter] = vote

    @event("Adjudicated")
    def adjudicate(self, verdict: str) -> None:
        self.verdict = verdict


class Requests(Application[UUID]):
    """As the library has it: no snapshots, no cache, for what is saved is at hand."""


def judge(request_id: str, content: str) -> None:
    """In a thread: save each event, then tell of it."""

    def tell(type_: str, **fields: str) -> None:
        requests.save(request)
        loop.call_soon_threadsafe(lambda: front.tell(request_id, type_, **fields))

    request = Request(id=UUID(request_id), content=content)
    tell("acknowledged")
    for voter in VOTERS:
        request.progress(voter, "processing")
        tell("voter_progress", voter_id=voter, status="processing")
        request.vote(voter, "pass")
        tell("voter_result", voter_id=voter, vote="pass")
    request.adjudicate("pass" if list(request.votes.values()).count("pass") > 1 else "fail")
    tell("final_result", final_vote=request.verdict)


async def accept(request_id: str, frame: bytes) -> None:
    await loop.run_in_executor(threads, judge, request_id, frame.decode())


async def main(port: str, ready: str) -> None:
    global loop, requests
    loop = asyncio.get_running_loop()
    requests = Requests()
    await front.run(int(port), Path(ready))


threads = ThreadPoolExecutor(THREADS)
front = Front(accept)
loop: asyncio.AbstractEventLoop
requests: Requests

if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
