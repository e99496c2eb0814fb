"""The example that everything began with, as any client in any language would see it: websockets and JSON, no more."""

import asyncio
import json
import re
from typing import Any

from websockets.asyncio.client import connect

from magi.voters import Opinion, Task
from tests.cli.conftest import Voters
from tests.cli.serving import Serve

REQUEST = {
    "type": "request",
    "request_id": "abc123",
    "user_query": "Please generate some code for me",
    "agent_answer": "function helloWorld() { console.log('Hello, World!'); }",
    "voter_list": ["voter_1", "voter_2"],
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")


async def test_one_pass_and_one_fail_are_a_tie_which_fails(serve: Serve, voters: Voters) -> None:
    both_at_work, first_voted = asyncio.Event(), asyncio.Event()

    async def passes(task: Task) -> Opinion:
        assert (task.user_query, task.agent_answer) == (REQUEST["user_query"], REQUEST["agent_answer"])
        await both_at_work.wait()
        return Opinion.passes()

    async def fails(task: Task) -> Opinion:
        await first_voted.wait()
        return Opinion.fails("Nobody asked for JavaScript.", 0.9)

    await voters.start("voter_1", passes)
    await voters.start("voter_2", fails)
    headers = {"Authorization": f"Bearer {serve.token}"}
    async with connect(serve.url, additional_headers=headers) as ws, asyncio.timeout(30):
        await ws.send(json.dumps(REQUEST))
        frames: list[str] = []
        while len(frames) < 6:
            frame = await ws.recv(decode=True)
            assert isinstance(frame, str)
            frames.append(frame)
            if len(frames) == 3:
                both_at_work.set()
            if len(frames) == 4:
                first_voted.set()
        await ws.send('{"type":"resume","request_id":"abc123"}')
        again = [await ws.recv() for _ in range(7)]

    messages: list[dict[str, Any]] = [json.loads(frame) for frame in frames]
    assert [message["seq"] for message in messages] == [1, 2, 3, 4, 5, 6]
    assert {message["request_id"] for message in messages} == {"abc123"}
    assert all(TIME.match(message["at"]) for message in messages)
    bare = [{k: v for k, v in m.items() if k not in ("request_id", "seq", "at")} for m in messages]
    assert TIME.match(bare[0].pop("deadline"))
    assert bare[0] == {"type": "acknowledged", "status": "received", "voters": ["voter_1", "voter_2"]}
    assert sorted(bare[1:3], key=lambda message: message["voter_id"]) == [
        {"type": "voter_progress", "voter_id": "voter_1", "status": "processing"},
        {"type": "voter_progress", "voter_id": "voter_2", "status": "processing"},
    ]
    assert bare[3:] == [
        {"type": "voter_result", "voter_id": "voter_1", "vote": "pass"},
        {
            "type": "voter_result",
            "voter_id": "voter_2",
            "vote": "fail",
            "reason": "Nobody asked for JavaScript.",
            "confidence": 0.9,
        },
        {
            "type": "final_result",
            "final_vote": "fail",
            "details": {"voter_1": "pass", "voter_2": "fail"},
            "strategy": "minority_rule",
            "parameters": {"quorum": 2},
            "decided_by": "votes",
            "outcome_reason": "tie",
            "tally": {"pass": 1, "fail": 1, "abstain": 0, "missing": 0},
        },
    ]
    assert again == [*frames, '{"type":"resumed","request_id":"abc123","last_seq":6}']
