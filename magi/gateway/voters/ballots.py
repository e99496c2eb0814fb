"""Ballots on their way into the inbox: tried again through an outage, and never taken for one that is there already."""

import asyncio
import hashlib
import random
from typing import TypeVar

import msgspec

from magi.domain.messages import Ballot, encode
from magi.eventstore import subjects
from magi.eventstore.bus import ACK_TIMEOUT, Bus, BusError, PubAck, Rejected
from magi.eventstore.presence import now_ms
from magi.gateway.errors import Unavailable
from magi.gateway.voters.tasks import OpenTask
from magi.gateway.voters.wire import kind_of
from magi.telemetry.stages import SEND_BALLOT

B = TypeVar("B", bound=Ballot)

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_LAST = 1.0
"""Seconds that a ballot gets whose task has fewer left: one that comes late is answered by its orchestrator."""


async def store(bus: Bus, task: OpenTask, ballot: Ballot) -> None:
    """Put a ballot into the inbox, trying until the task's deadline. Raises Unavailable; it may be stored all the same.

    The id of the first is that of PROTOCOL §3. If the inbox has had that id already it was perhaps this ballot, perhaps
    another status, or the vote of another instance that had the task too: then what this one says is stored under an id
    of its own, and the orchestrator, to whom a repetition is nothing, decides. The `traceparent` of a voter is linked
    to; it is no part of what it says.
    """
    said = encode(without_trace(ballot))
    name = f"{task.task_id}:{kind_of(ballot)}"
    with task.span.child(SEND_BALLOT, task.ballot_subject, link=ballot.traceparent) as sending:
        sending.note("magi.ballot", kind_of(ballot))
        data = encode(msgspec.structs.replace(ballot, traceparent=sending.traceparent))
        ack = await _store(bus, task, data, name)
        if ack.duplicate:
            await _store(bus, task, data, f"{name}:{hashlib.sha256(said).hexdigest()[:16]}")


def without_trace(ballot: B) -> B:
    """What a voter says, and nothing else: two that are equal say the same."""
    return msgspec.structs.replace(ballot, traceparent="") if ballot.traceparent else ballot


async def _store(bus: Bus, task: OpenTask, data: bytes, name: str) -> PubAck:
    pause = _FIRST_PAUSE
    while True:
        left = (task.deadline - now_ms()) / 1000
        try:
            timeout = min(ACK_TIMEOUT, max(_LAST, left))
            return await bus.store(task.ballot_subject, data, {"Nats-Msg-Id": name}, timeout)
        except (BusError, Rejected) as error:
            if (task.deadline - now_ms()) / 1000 <= pause:
                raise Unavailable("the inbox can't be reached") from error
        bus.retries[subjects.INBOX] += 1
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        pause = min(2 * pause, _LONGEST_PAUSE)
