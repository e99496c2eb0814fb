"""Judges for tests: what they say follows from what they are asked, so that a test knows what it should have been."""

import asyncio
import zlib

from magi.domain.messages import Opinion, Vote
from magi.voters import Task

VOTES: tuple[Vote, ...] = ("pass", "pass", "fail", "abstain")


def expected_vote(voter: str, answer: str) -> Vote:
    """What `voter` says of an answer."""
    return VOTES[zlib.crc32(f"{voter}/{answer}".encode()) % len(VOTES)]


async def judge_by_content(task: Task) -> Opinion:
    """Votes as `expected_vote` says, at once."""
    voter = task.task_id.rpartition(".")[2]
    return Opinion(expected_vote(voter, task.agent_answer), "seen by the judge")


async def judge_slowly(task: Task) -> Opinion:
    """As `judge_by_content`, after up to 100 ms: a voter that is killed has something in hand."""
    await asyncio.sleep(zlib.crc32(task.task_id.encode()) % 100 / 1000)
    return await judge_by_content(task)
