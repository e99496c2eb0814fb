"""The lines that a voter's tasks leave in its log (`telemetry.steps`): nothing of what is judged, or said of it.

A judge is somebody else's code, and its errors may quote either."""

import traceback
from pathlib import Path

import structlog

from magi.domain.ids import VoterId
from magi.domain.messages import ResultBallot, Task
from magi.eventstore.bus import BusError, Rejected
from magi.telemetry import detail

log = structlog.get_logger(__name__)


def tell_taken(voter: VoterId, task: Task) -> None:
    if not detail.wanted():
        return
    log.debug(
        "task_taken",
        request=task.task_id.rpartition(".")[0],
        request_id=task.request_id,
        trace=task.traceparent or "",
        voter_id=voter,
        attempt=task.attempt,
    )


def tell_sent(voter: VoterId, task: Task, ballot: ResultBallot, latency_ms: int) -> None:
    if not detail.wanted():
        return
    log.debug(
        "vote_sent",
        request=task.task_id.rpartition(".")[0],
        request_id=task.request_id,
        trace=task.traceparent or "",
        voter_id=voter,
        vote=ballot.vote,
        failed=ballot.failed or None,
        latency_ms=latency_ms,
    )


def tell_failed(voter: VoterId, task: Task, error: BaseException) -> None:
    """The judge raised."""
    log.warning(
        "cannot_judge",
        request=task.task_id.rpartition(".")[0],
        request_id=task.request_id,
        trace=task.traceparent or "",
        voter_id=voter,
        attempt=task.attempt,
        error=type(error).__name__,
        at=_where(error),
    )


def in_short(error: BaseException) -> str:
    """An error of the bus as it is; of another one its type."""
    return str(error) if isinstance(error, BusError | Rejected) else type(error).__name__


def _where(error: BaseException) -> str:
    """The line that raised it, such as ``judges.py:12``."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
