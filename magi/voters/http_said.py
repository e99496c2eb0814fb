"""What an HTTP voter says, in the answer to a task or in a callback: the `result` of PROTOCOL §2."""

import msgspec
from msgspec import UNSET, Struct, UnsetType

from magi.domain.messages import Confidence, Opinion, Vote


class NoVote(Exception):
    """What was said is no vote on this task. The message names the field."""


class _Said(Struct, frozen=True):
    vote: Vote
    reason: str | None = None
    """Of any length: the agent shortens it, as it does for every judge."""
    confidence: Confidence | None = None
    task_id: str | UnsetType = UNSET


_decode = msgspec.json.Decoder(_Said).decode


def answered(body: bytes, task_id: str) -> Opinion:
    """The opinion in the answer to the task itself; it may leave `task_id` out. Raises NoVote."""
    said = _read(body)
    if said.task_id not in (UNSET, task_id):
        raise NoVote("task_id: names another task")
    return Opinion(said.vote, said.reason, said.confidence)


def called_back(body: bytes, task_id: str) -> Opinion:
    """The opinion in a callback. It must name the task: what is signed is the body, not the URL. Raises NoVote."""
    said = _read(body)
    if said.task_id is UNSET:
        raise NoVote("task_id: missing")
    if said.task_id != task_id:
        raise NoVote("task_id: names another task than the URL")
    return Opinion(said.vote, said.reason, said.confidence)


def _read(body: bytes) -> _Said:
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoVote(str(error)) from None
