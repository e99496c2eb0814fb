"""Real answers through `magi serve` and the built-in voters: decided exactly once, and told as they are stored.

    python -m bench.real_answers FILE [--count 2000] [--connections 16]

FILE is JSON Lines with `ID`, `user_query` and `chatgpt_response`, such as HaluEval's `general_data`. Every event that a
client gets is compared with what the log holds. Exits 1 when they differ, or a request was not decided exactly once.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from msgspec import Struct
from websockets.asyncio.client import connect

from bench.environment import describe
from magi.cli.context import Context
from magi.cli.local_token import LOCAL, token_file
from magi.cli.serve import running
from magi.domain.ids import InitiatorId, RequestId, request_aggregate
from magi.domain.voting_request import Adjudicated, RequestEvent
from magi.eventstore import subjects
from magi.eventstore.log import JetStreamLog
from magi.gateway import wire


class Answer(Struct):
    id: str = msgspec.field(name="ID")
    user_query: str
    agent_answer: str = msgspec.field(name="chatgpt_response")


class Report(Struct):
    requests: int = 0
    seconds: float = 0.0
    verdicts: Counter[str] = msgspec.field(default_factory=Counter)
    votes: Counter[tuple[str, str]] = msgspec.field(default_factory=Counter)
    problems: list[str] = msgspec.field(default_factory=list)


def answers(file: Path, count: int) -> list[Answer]:
    """The first `count` answers of the file, from its beginning again when it has fewer."""
    decode = msgspec.json.Decoder(Answer).decode
    with file.open("rb") as lines:
        found = [decode(line) for line in itertools.islice(lines, count)]
    return [
        msgspec.structs.replace(a, id=f"{a.id}-{n}")
        for n, a in enumerate(itertools.islice(itertools.cycle(found), count))
    ]


async def client(url: str, token: str, queue: Iterator[Answer], seen: dict[str, list[bytes]]) -> None:
    """One connection: takes answers off the common queue and notes each frame it gets."""
    headers = {"Authorization": f"Bearer {token}"}
    async with connect(url, additional_headers=headers, compression=None) as ws:
        for answer in queue:
            request: dict[str, Any] = {
                "type": "request",
                "request_id": answer.id,
                "user_query": answer.user_query,
                "agent_answer": answer.agent_answer,
            }
            await ws.send(msgspec.json.encode(request), text=True)
            frames = seen[answer.id] = []
            while True:
                frame = await ws.recv(decode=False)
                frames.append(frame)
                if msgspec.json.decode(frame)["type"] in ("final_result", "error"):
                    break


async def compare(data: Path, seen: dict[str, list[bytes]], report: Report) -> None:
    """What each client saw, beside what is stored."""
    async with Context.load(data).bus("auditor") as bus:
        log: JetStreamLog[RequestEvent] = JetStreamLog(bus, subjects.LOG, subjects.LOG_PREFIX, RequestEvent)
        await log.start()
        messages: set[int] = set()
        for request_id, frames in seen.items():
            history = await log.load(request_aggregate(InitiatorId(LOCAL), RequestId(request_id)))
            stored = [wire.event(request_id, recorded.event) for recorded in history]
            messages |= {recorded.sequence for recorded in history}
            if stored != frames:
                report.problems.append(f"{request_id}: saw {len(frames)} events, {len(stored)} are stored")
            final = [r.event for r in history if isinstance(r.event, Adjudicated)]
            if len(final) != 1:
                report.problems.append(f"{request_id}: {len(final)} verdicts")
                continue
            report.verdicts[final[0].final_vote] += 1
            report.votes.update(final[0].details.items())
        if await log.last_sequence() != len(messages):
            report.problems.append("the log holds events that no client saw")


async def run(file: Path, count: int, connections: int) -> Report:
    """Start everything over a directory of its own, judge, compare, and stop."""
    report = Report(requests=count)
    with tempfile.TemporaryDirectory(prefix="magi-real-") as folder:
        data = Path(folder) / "data"
        async with running(data, {"gateway.port": 0, "log.level": "warning"}) as magi:
            token = token_file(data).read_text().strip()
            queue = iter(answers(file, count))
            seen: dict[str, list[bytes]] = {}
            began = time.perf_counter()
            await asyncio.gather(*(client(magi.url, token, queue, seen) for _ in range(connections)))
            report.seconds = time.perf_counter() - began
            await compare(data, seen, report)
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args()
    print(describe(answers=options.count, connections=options.connections, sync_interval="as set (always)"))
    report = uvloop.run(run(options.file, options.count, options.connections))
    rate = report.requests / report.seconds
    print(f"\n{report.requests} requests in {report.seconds:.1f} s ({rate:.0f}/s); verdicts {dict(report.verdicts)}")
    for voter in sorted({voter for voter, _ in report.votes}):
        votes = {vote: n for (who, vote), n in sorted(report.votes.items()) if who == voter}
        print(f"  {voter:12} {votes}")
    for problem in report.problems[:20]:
        print(f"PROBLEM {problem}")
    print(f"{len(report.problems)} problems")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
