"""The floor: the messages of a MAGI request over nats-py and websockets, three processes, and no logic at all.

    python -m bench.floor gateway|orchestrator|voters NATS_URL [PORT_FILE]

What it leaves out is what MAGI is for: nothing is loaded, checked, chained, put on a timer or taken up after a crash.
What it keeps is the flow: submission, received, three tasks, three times progress and result as ballots and as events,
verdict: 18 messages stored, and each acknowledged to its publisher.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import nats
import uvloop
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig
from websockets.asyncio.server import ServerConnection, serve

from bench.plain import PlainBus

VOTERS = ("v1", "v2", "v3")
STREAMS: dict[str, dict[str, Any]] = {
    "F_LOG": {"subjects": ["f.log.*"], "republish": {"src": "f.log.>", "dest": "f.live.>"}},
    "F_INBOX": {"subjects": ["f.inbox.>"]},
    "F_TASKS": {"subjects": ["f.tasks.*"]},
}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


async def create_streams(url: str) -> None:
    nc = await nats.connect(url)
    for name, config in STREAMS.items():
        await nc.request(f"$JS.API.STREAM.CREATE.{name}", json.dumps({"name": name, **config}).encode())
    await nc.close()


async def consume(bus: PlainBus, subject: str, stream: str, handler: Callable[[Msg], Awaitable[None]]) -> None:
    """A push consumer whose acknowledgements cover everything before: one for a hundred messages."""
    seen = 0

    async def on_message(msg: Msg) -> None:
        nonlocal seen
        await handler(msg)
        seen += 1
        if seen % 100 == 0:
            await bus.nc.publish(msg.reply, b"+ACK")

    await bus.nc.jetstream().subscribe(
        subject,
        stream=stream,
        cb=on_message,
        manual_ack=True,
        config=ConsumerConfig(ack_policy=AckPolicy.ALL, max_ack_pending=-1),
        pending_msgs_limit=-1,
        pending_bytes_limit=-1,
    )


async def gateway(bus: PlainBus, port_file: str) -> None:
    waiting: dict[str, ServerConnection] = {}

    async def on_live(msg: Msg) -> None:
        event = _decode(msg.data)
        request = msg.subject.rpartition(".")[2]
        ws = waiting.pop(request, None) if event["type"] == "final_result" else waiting.get(request)
        if ws:
            await ws.send(msg.data, text=True)

    async def on_connection(ws: ServerConnection) -> None:
        async for frame in ws:
            request = _decode(frame)["request_id"]
            waiting[request] = ws
            await bus.store(f"f.inbox.submission.{request}", frame.encode() if isinstance(frame, str) else frame)

    await bus.nc.subscribe("f.live.>", cb=on_live, pending_msgs_limit=-1, pending_bytes_limit=-1)
    async with serve(on_connection, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        Path(port_file).write_text(str(port))  # noqa: ASYNC240 - once, at the start
        await asyncio.Event().wait()


async def orchestrator(bus: PlainBus) -> None:
    tasks: set[asyncio.Task[None]] = set()
    queues: dict[str, asyncio.Queue[dict[str, Any]]] = {}

    async def request(name: str, submission: dict[str, Any]) -> None:
        queue = queues[name] = asyncio.Queue()
        seq = 1
        await bus.store(f"f.log.{name}", _encode({"type": "acknowledged", "seq": 1, "content": submission}))
        data = _encode(submission)
        await asyncio.gather(*(bus.store(f"f.tasks.{voter}", data) for voter in VOTERS))
        votes = 0
        while votes < len(VOTERS):
            ballot = await queue.get()
            seq += 1
            votes += ballot["type"] == "voter_result"
            await bus.store(f"f.log.{name}", _encode({**ballot, "seq": seq}))
        await bus.store(f"f.log.{name}", _encode({"type": "final_result", "seq": seq + 1, "final_vote": "pass"}))
        del queues[name]

    async def on_message(msg: Msg) -> None:
        _, _, kind, name = msg.subject.split(".")
        if kind == "submission":
            task = asyncio.create_task(request(name, _decode(msg.data)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        elif name in queues:
            queues[name].put_nowait(_decode(msg.data))

    await consume(bus, "f.inbox.>", "F_INBOX", on_message)
    await asyncio.Event().wait()


async def voters(bus: PlainBus) -> None:
    tasks: set[asyncio.Task[None]] = set()

    async def judge(voter: str, data: bytes) -> None:
        subject = f"f.inbox.ballot.{_decode(data)['request_id']}"
        await bus.store(subject, _encode({"type": "voter_progress", "voter_id": voter, "status": "processing"}))
        await bus.store(subject, _encode({"type": "voter_result", "voter_id": voter, "vote": "pass"}))

    async def on_message(msg: Msg) -> None:
        task = asyncio.create_task(judge(msg.subject.rpartition(".")[2], msg.data))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    await consume(bus, "f.tasks.*", "F_TASKS", on_message)
    await asyncio.Event().wait()


async def main(part: str, url: str, port_file: str = "") -> None:
    bus = await PlainBus.connect(url)
    if part == "gateway":
        await gateway(bus, port_file)
    elif part == "orchestrator":
        await orchestrator(bus)
    else:
        await voters(bus)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
