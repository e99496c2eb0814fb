"""FastStream on NATS JetStream: the floor's three processes and its streams, with FastStream's brokers and handlers.

    python -m bench.peers.on_faststream front|orchestrator|voters NATS_URL READY_FILE [PORT]

Every message is published to a stream and awaited, and acknowledged after its handler is done: what a process that died
had in hand comes again (AckPolicy.NACK_ON_ERROR). File storage, `sync_interval` as the floor's.

Spared: what the orchestrator knows of a request is in its memory, and not taken up after a crash, as with the floor.
The handlers get msgspec's decoder instead of pydantic's. Consumers push instead of being pulled, for a pulled batch is
handled at once and so loses the order of a voter's progress and result.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import uvloop
from fast_depends.msgspec import MsgSpecSerializer
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage
from msgspec import Struct
from nats.js.api import ConsumerConfig

from bench.peers.front import VOTERS, Front

LOG, INBOX, TASKS = (JStream(name, declare=False) for name in ("F_LOG", "F_INBOX", "F_TASKS"))
"""Those of `bench.floor`, which makes them."""
WORKERS = 256
"""Handlers at once: twice the most requests in flight."""


class Submission(Struct):
    request_id: str
    user_query: str
    agent_answer: str


class Ballot(Struct):
    request_id: str
    type: str
    voter_id: str
    value: str


class Event(Struct):
    request_id: str
    type: str
    seq: int
    voter_id: str = ""
    value: str = ""


class Open(Struct):
    seq: int = 0
    votes: list[str] = []


def connect(url: str) -> NatsBroker:
    return NatsBroker(url, serializer=MsgSpecSerializer(), logger=None, log_level=logging.WARNING, graceful_timeout=1)


def consume(broker: NatsBroker, subject: str, stream: JStream) -> Callable[..., Callable[..., Awaitable[None]]]:
    config = ConsumerConfig(max_ack_pending=-1)
    return broker.subscriber(
        subject,
        stream=stream,
        config=config,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        max_workers=WORKERS,
        pending_msgs_limit=-1,
        pending_bytes_limit=-1,
    )


def storing(broker: NatsBroker) -> Callable[[Struct, str, JStream], Awaitable[None]]:
    async def store(message: Struct, subject: str, stream: JStream) -> None:
        # Its own limit of half a second is too short for a server that is to be loaded.
        await broker.publish(message, subject, stream=stream.name, timeout=30)

    return store


async def front(broker: NatsBroker, ready: Path, port: int) -> None:
    store = storing(broker)
    come: dict[str, dict[int, Event]] = {}

    async def accept(request_id: str, frame: bytes) -> None:
        come[request_id] = {}
        await store(decode(frame), f"f.inbox.submission.{request_id}", INBOX)

    @broker.subscriber("f.live.*", pending_msgs_limit=-1, pending_bytes_limit=-1)
    async def on_event(event: Event) -> None:
        """Publishers of one request may overtake each other: its events are told in order."""
        waiting = come.get(event.request_id)
        if waiting is None:
            return
        waiting[event.seq] = event
        while (following := waiting.pop(told.get(event.request_id, 0) + 1, None)) is not None:
            told[event.request_id] = following.seq
            sockets.tell(event.request_id, following.type, voter_id=following.voter_id, value=following.value)
            if following.type == "final_result":
                del come[event.request_id], told[event.request_id]

    told: dict[str, int] = {}
    decode = msgspec.json.Decoder(Submission).decode
    sockets = Front(accept)
    await broker.start()
    await sockets.run(port, ready)


async def orchestrator(broker: NatsBroker, ready: Path) -> None:
    store = storing(broker)
    requests: dict[str, Open] = {}

    async def tell(request_id: str, type_: str, voter: str = "", value: str = "") -> None:
        requests[request_id].seq += 1
        event = Event(request_id, type_, requests[request_id].seq, voter, value)
        await store(event, f"f.log.{request_id}", LOG)

    @consume(broker, "f.inbox.submission.*", INBOX)
    async def on_submission(submission: Submission) -> None:
        requests[submission.request_id] = Open()
        await tell(submission.request_id, "acknowledged")
        await asyncio.gather(*(store(submission, f"f.tasks.{voter}", TASKS) for voter in VOTERS))

    @consume(broker, "f.inbox.ballot.*", INBOX)
    async def on_ballot(ballot: Ballot) -> None:
        request = requests[ballot.request_id]
        await tell(ballot.request_id, ballot.type, ballot.voter_id, ballot.value)
        if ballot.type == "voter_result":
            request.votes.append(ballot.value)
            if len(request.votes) == len(VOTERS):
                verdict = "pass" if request.votes.count("pass") > 1 else "fail"
                await tell(ballot.request_id, "final_result", value=verdict)
                del requests[ballot.request_id]

    await broker.start()
    ready.touch()  # noqa: ASYNC240 - once, at the start
    await asyncio.Event().wait()


async def voters(broker: NatsBroker, ready: Path) -> None:
    store = storing(broker)

    @consume(broker, "f.tasks.*", TASKS)
    async def judge(submission: Submission, msg: NatsMessage) -> None:
        voter = msg.raw_message.subject.rpartition(".")[2]
        request_id = submission.request_id
        await store(Ballot(request_id, "voter_progress", voter, "processing"), f"f.inbox.ballot.{request_id}", INBOX)
        await store(Ballot(request_id, "voter_result", voter, "pass"), f"f.inbox.ballot.{request_id}", INBOX)

    await broker.start()
    ready.touch()  # noqa: ASYNC240 - once, at the start
    await asyncio.Event().wait()


async def main(part: str, url: str, ready: str, port: str = "0") -> None:
    broker = connect(url)
    if part == "front":
        await front(broker, Path(ready), int(port))
    elif part == "orchestrator":
        await orchestrator(broker, Path(ready))
    else:
        await voters(broker, Path(ready))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
