"""DBOS on Postgres: a request is a workflow of six steps, two a voter.

    python -m bench.peers.on_dbos PORT READY_FILE POSTGRES_URL EXECUTOR

Two processes, each with its front and its DBOS executor, share a port. A workflow's input is committed before its
first line runs, the output of a step before the next line, and the verdict before `judge` returns; only then is the
client told. Postgres has fsync and synchronous_commit on. After a crash an executor takes up its workflows where they
were.

Spared: the client is told from memory by the process that runs the workflow, which is thus the one that it is
connected to. DBOS's durable streams would tell it anywhere, at half of the rate and ten times the latency. The voters
are coroutines of the same process, and no queue is between.
"""

import asyncio
import sys
from pathlib import Path

import uvloop
from dbos import DBOS, SetWorkflowID

from bench.peers.front import VOTERS, Front


@DBOS.step()
async def progress(voter: str) -> str:
    return "processing"


@DBOS.step()
async def vote(voter: str, request: str) -> str:
    return "pass"


@DBOS.workflow()
async def judge(request_id: str, request: str) -> str:
    front.tell(request_id, "acknowledged")

    async def begin(voter: str) -> None:
        front.tell(request_id, "voter_progress", voter_id=voter, status=await progress(voter))

    async def end(voter: str) -> str:
        front.tell(request_id, "voter_result", voter_id=voter, vote=(cast := await vote(voter, request)))
        return cast

    # Steps are numbered as they are begun: in the same order every time, or a recovery could not match them.
    await asyncio.gather(*map(begin, VOTERS))
    votes = await asyncio.gather(*map(end, VOTERS))
    return "pass" if votes.count("pass") > 1 else "fail"


async def accept(request_id: str, frame: bytes) -> None:
    with SetWorkflowID(request_id):
        verdict = await judge(request_id, frame.decode())
    front.tell(request_id, "final_result", final_vote=verdict)


front = Front(accept)


async def main(port: str, ready: str, url: str, executor: str) -> None:
    DBOS(
        config={
            "name": "magi-bench",
            "system_database_url": url.replace("postgresql://", "postgresql+psycopg://"),
            "executor_id": executor,
            "application_version": "1",
            "log_level": "WARNING",
        }
    )
    DBOS.launch()
    await front.run(int(port), Path(ready))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
